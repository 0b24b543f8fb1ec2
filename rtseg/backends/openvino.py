"""OpenVINO on the CPU: bytes in, bytes out, everything between in one compiled graph.

The only file that imports openvino; the package has no type stubs, so it is held as `Any` here and nowhere else.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from rtseg.backends.base import Backend, BackendInfo, EngineRequest, NetworkOutput, Pending
from rtseg.errors import BackendUnavailable, ConfigError, EngineError, InferenceError
from rtseg.network import NetworkSpec
from rtseg.types import FloatArray, UInt8Array

_DEVICE = "CPU"
_FLOAT_TYPES = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_FEW_CORES = 4
"""Up to here one stream a core is the best for throughput; above, OpenVINO's own choice is taken."""


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Keep the import of OpenVINO from reporting it to a web service, and from starting a thread to do so.

    OpenVINO's own stub stands in wherever the telemetry package cannot be imported; nothing is installed or removed.
    """
    if "openvino" in sys.modules:
        yield
        return
    name = "openvino_telemetry"
    modules: dict[str, Any] = sys.modules
    before = modules.get(name)
    modules[name] = None
    try:
        yield
    finally:
        if before is None:
            del modules[name]
        else:
            modules[name] = before


def _openvino() -> Any:
    """Return the openvino module."""
    try:
        with _without_telemetry():
            return import_module("openvino")
    except ImportError as error:
        raise BackendUnavailable(
            f"backend openvino: got {error}; expected the openvino package. Run: pip install 'openvino>=2026.0'."
        ) from error


def _first_line(error: Exception) -> str:
    """Return the telling line of an OpenVINO message: the last that is not about its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or [type(error).__name__])[-1].removeprefix("-- ")[:300]


class OpenVINOBackend(Backend):
    """One network compiled for the CPU, with as many requests in flight as suit the hint."""

    name: ClassVar[str] = "openvino"

    def __init__(self) -> None:
        super().__init__()
        self._slots: list[_Slot] = []
        self._free: deque[_Slot] = deque()

    @classmethod
    def probe(cls) -> str:
        """Return version, CPU and what it does natively."""
        ov = _openvino()
        core = ov.Core()
        if _DEVICE not in core.available_devices:
            raise BackendUnavailable(
                f"backend openvino: got devices {core.available_devices}; expected its CPU plugin. "
                "Run: pip install --force-reinstall openvino."
            )
        native = ", ".join(name for name in ("BF16", "FP16", "INT8") if name in _capabilities(core))
        return f"OpenVINO {_version(ov)} on {core.get_property(_DEVICE, 'FULL_DEVICE_NAME')}, native {native or 'FP32'}"

    def _load(self, request: EngineRequest) -> BackendInfo:
        self.probe()
        ov = _openvino()
        core = ov.Core()
        precision, floats, reason = _choose_precision(request, _capabilities(core))
        threads = request.threads or _usable_cores()
        settings = _settings(request, floats, threads)
        model = build_graph(ov, core, request.network, request.with_scores)
        name = request.network.onnx_path.name
        with _engine_errors(name, "compile"):
            compiled = core.compile_model(model, _DEVICE, settings)
            streams = int(compiled.get_property("NUM_STREAMS"))
            # One more than streams: the next picture is prepared and copied in while every stream is at work.
            count = 1 if request.hint == "latency" else streams + 1
            self._slots = [_Slot(ov, compiled, request) for _ in range(count)]
        self._free = deque(self._slots)
        return BackendInfo(
            name=self.name,
            version=_version(ov),
            device=str(core.get_property(_DEVICE, "FULL_DEVICE_NAME")),
            precision=precision,
            in_flight=count,
            reasons=(reason, f"{count} frame{'s' * (count > 1)} in flight on {streams} streams for {request.hint}."),
            settings={"streams": str(streams), "threads": str(threads), "hint": request.hint},
        )

    def _submit(self, picture: UInt8Array) -> Pending:
        if not self._free:
            raise InferenceError(
                f"openvino: got a picture with {len(self._slots)} in flight; expected at most that many. "
                "Collect the oldest result first."
            )
        slot = self._free.popleft()
        try:
            slot.start(picture)
        except InferenceError:
            self._free.append(slot)
            raise
        return _PendingPicture(slot, self._free)

    def _close(self) -> None:
        for slot in self._slots:
            slot.wait_quietly()
        self._slots = []
        self._free = deque()


class _Slot:
    """One request with the tensors it reads and writes, allocated once."""

    def __init__(self, ov: Any, compiled: Any, request: EngineRequest) -> None:
        self._network = request.network
        self._request: Any = compiled.create_infer_request()
        width, height = request.network.size_wh
        self._input = np.zeros((1, height, width, 3), np.uint8)
        self._request.set_input_tensor(ov.Tensor(self._input, shared_memory=True))
        self._mask: UInt8Array = np.zeros(tuple(compiled.output(0).shape), np.uint8)
        self._request.set_output_tensor(0, ov.Tensor(self._mask, shared_memory=True))
        self._scores: FloatArray | None = None
        if request.with_scores and not request.network.is_matte:
            self._scores = np.zeros(tuple(compiled.output(1).shape), np.float32)
            self._request.set_output_tensor(1, ov.Tensor(self._scores, shared_memory=True))
        self._busy = False

    def start(self, picture: UInt8Array) -> None:
        """Copy the picture in and start; returns at once."""
        np.copyto(self._input[0], picture)
        with _inference_errors():
            self._request.start_async()
        self._busy = True

    def finish(self) -> NetworkOutput:
        """Wait and return copies of what came out."""
        with _inference_errors():
            self._request.wait()
        self._busy = False
        mask = self._mask.copy()
        infer_ns = round(float(self._request.latency) * 1e6)
        if self._network.is_matte:
            return NetworkOutput(alpha=mask, infer_ns=infer_ns)
        scores = None if self._scores is None else self._scores.copy()
        return NetworkOutput(labels=mask, scores=scores, infer_ns=infer_ns)

    def wait_quietly(self) -> None:
        """Wait for what is in flight and drop it; its failure no longer concerns anybody."""
        if self._busy:
            try:
                self.finish()
            except InferenceError:
                self._busy = False


class _PendingPicture:
    """A picture in flight in one slot; the slot is free again once the result was copied out."""

    def __init__(self, slot: _Slot, free: deque[_Slot]) -> None:
        self._slot: _Slot | None = slot
        self._free = free

    def result(self) -> NetworkOutput:
        """Wait for the engine and return its output; once."""
        slot, self._slot = self._slot, None
        if slot is None:
            raise InferenceError("openvino: got result() twice; expected it once a picture. Keep the first result.")
        try:
            return slot.finish()
        finally:
            self._free.append(slot)


@contextmanager
def _inference_errors() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise InferenceError(f"openvino: got a failure on a picture: {_first_line(error)}") from error


@contextmanager
def _engine_errors(file_name: str, doing: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise EngineError(
            f"model file {file_name}: got a failure of OpenVINO to {doing} it ({_first_line(error)}); expected a "
            "network that OpenVINO runs. Export it again, with an older ONNX opset where an operation is unknown."
        ) from error


def _version(ov: Any) -> str:
    return str(ov.__version__).split("-")[0]


def _capabilities(core: Any) -> frozenset[str]:
    return frozenset(str(name) for name in core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES"))


def _usable_cores() -> int:
    """Return the cores this process may use, which can be fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _choose_precision(request: EngineRequest, native: frozenset[str]) -> tuple[str, str, str]:
    """Return the arithmetic, that of what is not 8-bit (a quantised network has such layers too), and the reason."""
    smallest = next((name for name in ("bf16", "fp16") if name.upper() in native), "fp32")
    if request.precision == "auto":
        why = "as this CPU has no native bf16 or fp16" if smallest == "fp32" else "which this CPU does natively"
        return smallest, smallest, f"{smallest}, {why}."
    if request.precision == "int8":
        return "int8", smallest, f"int8, as asked, with the layers that are not quantised in {smallest}."
    if request.precision in ("bf16", "fp16") and request.precision.upper() not in native:
        has = ", ".join(name.lower() for name in ("BF16", "FP16", "INT8") if name in native) or "nothing smaller"
        raise ConfigError(
            f"precision: got {request.precision}; expected fp32 or what this CPU does natively ({has}). Use auto."
        )
    return request.precision, request.precision, f"{request.precision}, as asked."


def _settings(request: EngineRequest, floats: str, threads: int) -> dict[str, Any]:
    """Return the compile properties."""
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": _FLOAT_TYPES[floats],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": request.hint.upper(),
        # Decoding and drawing run beside inference: the system places threads better than fixed cores do.
        "ENABLE_CPU_PINNING": False,
    }
    if request.hint == "latency":
        settings["NUM_STREAMS"] = 1
    elif threads <= _FEW_CORES:
        # Measured on two cores: a stream a core takes 22 ms of CPU a frame, one stream over both takes 27.
        settings["NUM_STREAMS"] = threads
    return settings


def build_graph(ov: Any, core: Any, network: NetworkSpec, with_scores: bool) -> Any:
    """Return the network from picture bytes [1, h, w, 3] (RGB) to mask bytes [h, w], normalisation and argmax inside.

    Raises:
        EngineError: OpenVINO cannot read the file, or its shapes are not what the spec says.
    """
    name = network.onnx_path.name
    with _engine_errors(name, "read"):
        model = core.read_model(str(network.onnx_path))
    _fix_input_shape(model, network)
    output = _raw_output(model, network)
    with _engine_errors(name, "extend"):
        results = _heads(output, network, with_scores)
        extended = ov.Model(results, model.get_parameters(), "rtseg")
        return _with_byte_input(ov, extended, network)


def _fix_input_shape(model: Any, network: NetworkSpec) -> None:
    width, height = network.size_wh
    shape = [1, 3, height, width] if network.layout == "NCHW" else [1, height, width, 3]
    name = network.onnx_path.name
    if len(model.inputs) != 1:
        raise EngineError(f"model file {name}: got {len(model.inputs)} inputs; expected one picture. Export it again.")
    if list(model.input(0).partial_shape.get_min_shape()) != shape or model.is_dynamic():
        with _engine_errors(name, f"reshape to {shape}"):
            model.reshape(shape)


def _raw_output(model: Any, network: NetworkSpec) -> Any:
    """Return the network's own output node: what feeds the result."""
    name = network.onnx_path.name
    port = model.output(0)
    if network.output_name is not None:
        ports = [port for port in model.outputs if network.output_name in port.get_names()]
        if not ports:
            raise EngineError(
                f"model file {name}: got no output {network.output_name!r}; expected it. Correct the name."
            )
        port = ports[0]
    if port.partial_shape.is_dynamic:
        raise EngineError(
            f"model file {name}: got an output of changing shape {port.partial_shape}; expected a fixed one. "
            "Export the network with a fixed input size."
        )
    return port.get_node().input_value(0)


def _heads(output: Any, network: NetworkSpec, with_scores: bool) -> list[Any]:
    """Return the graph's results: the mask [h, w] uint8 and, where asked for, the winner's probability [h, w]."""
    op = import_module("openvino.opset13")
    shape = [int(side) for side in output.get_shape()]
    axis = _class_axis(shape, network)
    if network.is_matte:
        return [op.result(_to_plane(op, _alpha_bytes(op, output, shape, axis), shape, axis))]
    if network.output_kind == "labels":
        limited = op.clamp(op.convert(output, "f32"), 0.0, 255.0)
        return [op.result(_to_plane(op, op.convert(op.round(limited), "u8"), shape, axis))]
    results = [op.result(_to_plane(op, _argmax(op, output, axis), shape, axis))]
    if with_scores:
        results.append(op.result(_to_plane(op, _winner_share(op, output, axis, network), shape, axis)))
    return results


def _class_axis(shape: list[int], network: NetworkSpec) -> int | None:
    """Return the axis of classes or planes, None for an output without one; raise when the shape is another."""
    planes_wanted = {
        "labels": (1,),
        "alpha": (1, 2),
        "probability": (1, 2) if network.is_matte else (network.class_count,),
    }.get(network.output_kind, (network.class_count,))
    if 1 in planes_wanted and (len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)):
        return None
    axis = 1 if network.output_layout == "NCHW" else 3
    if len(shape) == 4 and shape[0] == 1 and shape[axis] in planes_wanted:
        return axis
    wanted = " or ".join(str(planes) for planes in planes_wanted)
    raise EngineError(
        f"model file {network.onnx_path.name}: got output {shape}; expected {network.output_layout} with {wanted} "
        f"planes for {network.output_kind}. Correct the classes, the output kind or its layout."
    )


def _to_plane(op: Any, node: Any, shape: list[int], axis: int | None) -> Any:
    """Return the node reshaped to [h, w]."""
    sides = [side for index, side in enumerate(shape) if index not in (0, axis)] if len(shape) > 2 else shape
    return op.reshape(node, op.constant(np.array(sides, np.int64)), False)


def _argmax(op: Any, output: Any, axis: int | None) -> Any:
    """Return the index of the largest plane, uint8; the lowest index where several are equal.

    Measured on two cores with 19 planes of 512x1024: TopK 5 ms, ReduceMax with Equal 9 to 26 ms, a chain or tree
    of Greater and Select 6 to 26 ms.
    """
    winner = op.topk(output, op.constant(np.int64(1)), axis, "max", "value", "i32", stable=True)
    return op.convert(winner.output(1), "u8")


def _winner_share(op: Any, output: Any, axis: int | None, network: NetworkSpec) -> Any:
    """Return the probability of the winning class, float32."""
    shares = output if network.output_kind == "probability" else op.softmax(output, axis)
    return op.convert(op.reduce_max(shares, op.constant(np.array([axis])), True), "f32")


def _alpha_bytes(op: Any, output: Any, shape: list[int], axis: int | None) -> Any:
    """Return the (last) plane, 0..1, as rounded bytes."""
    plane = output
    if axis is not None and shape[axis] == 2:
        plane = op.gather(output, op.constant(np.array([1])), op.constant(np.int64(axis)))
    limited = op.clamp(op.convert(plane, "f32"), 0.0, 1.0)
    return op.convert(op.round(op.multiply(limited, op.constant(np.float32(255))), "half_away_from_zero"), "u8")


def _with_byte_input(ov: Any, model: Any, network: NetworkSpec) -> Any:
    """Return the model taking uint8 [1, h, w, 3] RGB: channel order, normalisation and layout folded in.

    (byte * scale - mean) / std is (byte - mean / scale) / (std / scale): two element-wise steps instead of three.
    """
    preprocess = import_module("openvino.preprocess")
    steps = preprocess.PrePostProcessor(model)
    source = steps.input()
    source.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    source.model().set_layout(ov.Layout(network.layout))
    if network.channel_order == "BGR":
        source.preprocess().reverse_channels()
    source.preprocess().convert_element_type(ov.Type.f32)
    mean = [value / network.scale for value in network.mean]
    std = [value / network.scale for value in network.std]
    if any(mean):
        source.preprocess().mean(mean)
    if any(value != 1.0 for value in std):
        source.preprocess().scale(std)
    return steps.build()
