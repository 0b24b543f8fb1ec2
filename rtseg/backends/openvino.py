"""OpenVINO on the CPU: bytes in, bytes out, everything between in one compiled graph."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from io import BytesIO
from typing import Any, ClassVar

import numpy as np

from rtseg.backends.base import Backend, BackendInfo, EngineRequest, NetworkOutput, Pending
from rtseg.backends.openvino_cache import EngineFolder, engine_key
from rtseg.backends.openvino_graph import build_graph
from rtseg.backends.openvino_runtime import (
    DEVICE,
    capabilities_of,
    device_name,
    engine_errors,
    inference_errors,
    openvino_build,
    openvino_core,
    openvino_module,
    openvino_version,
)
from rtseg.errors import BackendUnavailable, ConfigError, InferenceError
from rtseg.types import FloatArray, UInt8Array

_FLOAT_TYPES = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_FEW_CORES = 4
"""Up to here one stream a core is the best for throughput; above, OpenVINO's own choice is taken."""


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
        core = openvino_core()
        if DEVICE not in core.available_devices:
            raise BackendUnavailable(
                f"backend openvino: got devices {core.available_devices}; expected its CPU plugin. "
                "Run: pip install --force-reinstall openvino."
            )
        native = ", ".join(name for name in ("BF16", "FP16", "INT8") if name in capabilities_of(core))
        return f"OpenVINO {openvino_version()} on {device_name(core)}, native {native or 'FP32'}"

    def _load(self, request: EngineRequest) -> BackendInfo:
        core = openvino_core()
        precision, floats, reason = _choose_precision(request, capabilities_of(core))
        threads = request.threads or _usable_cores()
        compiled, origin = _compiled(core, request, _settings(request, floats, threads))
        with engine_errors(request.network.onnx_path.name, "start"):
            streams = int(compiled.get_property("NUM_STREAMS"))
            # One more than streams: the next picture is prepared and copied in while every stream is at work.
            count = 1 if request.hint == "latency" else streams + 1
            self._slots = [_Slot(compiled, request) for _ in range(count)]
        self._free = deque(self._slots)
        in_flight = f"{count} frame{'s' * (count > 1)} in flight on {streams} streams for {request.hint}."
        return BackendInfo(
            name=self.name,
            version=openvino_version(),
            device=device_name(core),
            precision=precision,
            in_flight=count,
            reasons=(reason, in_flight, origin),
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

    def __init__(self, compiled: Any, request: EngineRequest) -> None:
        ov = openvino_module()
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
        with inference_errors():
            self._request.start_async()
        self._busy = True

    def finish(self) -> NetworkOutput:
        """Wait and return copies of what came out."""
        with inference_errors():
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


def _compiled(core: Any, request: EngineRequest, settings: dict[str, Any]) -> tuple[Any, str]:
    """Return the engine, from the cache or compiled and kept there, and a sentence that says which."""
    network = request.network
    form = "mask and scores" if request.with_scores else "mask"
    key = engine_key(
        network,
        runtime=openvino_build(),
        device=device_name(core),
        native=capabilities_of(core),
        settings=settings,
        form=form,
    )
    engines = EngineFolder()
    blob, found = engines.read(key)
    if blob is not None:
        with suppress(RuntimeError):  # OpenVINO refuses what another build of it wrote, whatever its version says
            return core.import_model(BytesIO(blob), DEVICE, settings), f"Engine {found}."
        found = "OpenVINO refused the one in the cache"
    model = build_graph(openvino_module(), core, network, request.with_scores)
    with engine_errors(network.onnx_path.name, "compile"):
        compiled = core.compile_model(model, DEVICE, settings)
        kept = engines.write(key, _exported(compiled))
    return compiled, f"Engine compiled, as {found}; {kept}."


def _exported(compiled: Any) -> bytes:
    """Return an engine as bytes; OpenVINO's versions differ in what they give."""
    exported = compiled.export_model()
    return bytes(exported.getvalue() if isinstance(exported, BytesIO) else exported)


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
