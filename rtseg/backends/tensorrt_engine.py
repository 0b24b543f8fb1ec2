"""A serialized engine opened on a GPU: tensors that are allocated once, `execute_async_v3`, kernels kept for next time.

Both flavours have one API; where one of them lacks something, that is asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from rtseg.backends.base import BackendInfo
from rtseg.backends.device import DeviceContext, DeviceEngine, DeviceOutput
from rtseg.backends.device_errors import failure_of, memory_text
from rtseg.backends.device_runtime import DeviceRuntime, Stream
from rtseg.engine_files.cache import CachedEngine
from rtseg.engine_files.manifest import TensorFacts
from rtseg.errors import BackendUnavailable, EngineError, InferenceError
from rtseg.network import NetworkSpec
from rtseg.tensorrt_flavour import Flavour
from rtseg.tensorrt_log import Log, apart, log_of

_DTYPES: Final = {
    "uint8": torch.uint8,
    "int32": torch.int32,
    "int64": torch.int64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}
_TRT_NAMES: Final = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16"}
"""TensorRT's names of types that are not numpy's in capitals."""
_WARM_UPS: Final = 2
"""The first run loads kernels, or compiles them; the second shows that nothing more happens."""


class TensorRTEngine(DeviceEngine):
    """An engine of the cache. Lifetime: the plan's own copy on the GPU, as long as this is open."""

    def __init__(
        self, cached: CachedEngine, network: NetworkSpec, flavour: Flavour, runtime: DeviceRuntime, info: BackendInfo
    ) -> None:
        """Open the engine.

        Args:
            cached: verified; its manifest says what goes in and comes out.
            network: the facts that it was built from.
            flavour: the one that built it.
            runtime: the device.
            info: what was chosen.

        Raises:
            EngineError: the runtime refuses the plan, it is not the one its manifest tells of, or memory is short.
            BackendUnavailable: the driver or the GPU does not suit.
        """
        manifest = cached.manifest
        self.network, self.info, self.device, self.form = network, info, runtime.device, manifest.form
        self._runtime, self._flavour, self._cached = runtime, flavour, cached
        self._name = f"engine {manifest.key.digest[:12]} of {manifest.key.model}"
        runtime.synchronize()  # TensorRT and its kept kernels want a CUDA context to be there
        self._loader, self._engine = self._deserialize(cached.read_plan())
        self._hold((*manifest.inputs, *manifest.outputs))
        (self._source,) = manifest.inputs
        self._results = manifest.outputs
        width, height = network.size_wh
        self.input_shape_nchw = (manifest.key.batch, 3, height, width)
        self.input_dtype = _DTYPES[self._source.dtype]
        self.outputs = {facts.name: _output_of(facts) for facts in self._results}
        self._config, self._kernels = self._with_kernels()
        cached.mark_used()

    def _deserialize(self, plan: bytes) -> tuple[Any, Any]:
        """Return TensorRT's runtime, which has to live as long as its engine, and the engine."""
        trt = self._flavour.module
        with log_of(self._flavour).recording() as said:
            try:
                loader = trt.Runtime(log_of(self._flavour).logger)
            except (TypeError, RuntimeError) as error:  # TypeError: its bindings got nothing, and have logged why
                words = Log.telling(said) if said else str(error)
                raise self._refused(words, needed_bytes=None, doing="start") from error
            self._check_validity(loader, plan)
            engine = apart(lambda: self._read(loader, plan))
        if engine is None:
            raise self._refused(Log.telling(said), needed_bytes=len(plan), doing="open it")
        return loader, engine

    def _read(self, loader: Any, plan: bytes) -> Any:
        """Return the engine of a plan; in a thread of its own, which has to be told the device."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        return loader.deserialize_cuda_engine(plan)

    def _check_validity(self, loader: Any, plan: bytes) -> None:
        """Refuse a plan that does not run here, with what is wrong; only one flavour tells."""
        if not hasattr(loader, "get_engine_validity"):
            return
        found, diagnostics = loader.get_engine_validity(plan)
        if found == self._flavour.module.EngineValidity.INVALID:
            members = self._flavour.module.EngineInvalidityDiagnostics.__members__.items()
            names = [name for name, value in members if int(diagnostics) & int(value)]
            raise self._refused(", ".join(names) or "INVALID", needed_bytes=len(plan), doing="open it")

    def _refused(self, said: str, *, needed_bytes: int | None, doing: str) -> EngineError | BackendUnavailable:
        """Return the error for what TensorRT says on refusing something."""
        words = said.replace("_", " ")
        if failure_of(RuntimeError(words)) == "memory":
            return EngineError(f"{self._name}: {memory_text(self._runtime, needed_bytes, doing)}")
        if "DRIVER" in words or failure_of(RuntimeError(words)) == "driver":
            return BackendUnavailable(
                f"{self._name}: got {words}; expected a driver that {self._flavour} runs on. Update the NVIDIA driver, "
                "or use --backend openvino."
            )
        return EngineError(
            f"{self._name}: got a refusal of {self._flavour} to {doing} ({words}); expected an engine built for this "
            f"GPU and version. Run: rtseg build {self._cached.manifest.key.model} --backend tensorrt."
        )

    def _hold(self, wanted: Sequence[TensorFacts]) -> None:
        """Refuse an engine whose tensors are not those of its manifest."""
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        found = {
            name: (_dtype_name(self._engine.get_tensor_dtype(name)), tuple(self._engine.get_tensor_shape(name)))
            for name in names
        }
        meant = {facts.name: (facts.dtype, facts.shape) for facts in wanted}
        if found != meant:
            raise EngineError(
                f"{self._name}: got tensors {found}; expected {meant} as its manifest says. "
                f"Run: rtseg build {self._cached.manifest.key.model} --backend tensorrt."
            )

    def _with_kernels(self) -> tuple[Any | None, Any | None]:
        """Return a configuration with the kernels compiled in earlier runs, and them; only one flavour compiles any."""
        if not hasattr(self._engine, "create_runtime_config"):
            return None, None
        config = self._engine.create_runtime_config()
        if not hasattr(config, "create_runtime_cache"):
            return None, None
        kernels = config.create_runtime_cache()
        kept = self._cached.read_runtime_cache()
        if kept is not None:
            kernels.deserialize(kept)  # False: of another driver or GPU; then it stays empty and is filled anew
        config.set_runtime_cache(kernels)
        return config, kernels

    def _keep_kernels(self) -> None:
        """Write the kernels that were compiled beside the engine, where they are new.

        A cache that cannot be written only costs the next start its time.
        """
        if self._kernels is None:
            return
        compiled = bytes(self._kernels.serialize())
        if compiled and compiled != self._cached.read_runtime_cache():
            with suppress(EngineError):
                self._cached = self._cached.write_runtime_cache(compiled)

    @property
    def context_bytes(self) -> int | None:
        """Return scratch memory with inputs and outputs."""
        scratch = getattr(self._engine, "device_memory_size_v2", None)
        tensors = sum(_bytes_of(facts) for facts in (self._source, *self._results))
        return None if scratch is None else int(scratch) + tensors

    def new_context(self) -> DeviceContext:
        """Allocate, and run until every kernel is loaded."""
        runtime = self._runtime
        with log_of(self._flavour).recording() as said:
            made = self._engine.create_execution_context(*([] if self._config is None else [self._config]))
        if made is None:
            raise self._refused(Log.telling(said), needed_bytes=self.context_bytes, doing="make a context of it")
        context = _TensorRTContext(made, self._flavour, runtime, self._source, self._results)
        stream = runtime.new_stream()
        runtime.synchronize()
        for _ in range(_WARM_UPS):
            context.enqueue(stream)
        runtime.synchronize()
        self._keep_kernels()
        return context

    def close(self) -> None:
        """Let TensorRT free what it holds, the engine before its runtime."""
        self._kernels = self._config = None
        self._engine = None
        self._loader = None


class _TensorRTContext(DeviceContext):
    """An execution context with the tensors that it reads and writes, bound for good."""

    def __init__(
        self,
        made: Any,
        flavour: Flavour,
        runtime: DeviceRuntime,
        source: TensorFacts,
        results: Sequence[TensorFacts],
    ) -> None:
        self._made, self._flavour, self._runtime = made, flavour, runtime
        self.input = runtime.device_tensor(source.shape, _DTYPES[source.dtype])
        self._written = {facts.name: runtime.device_tensor(facts.shape, _DTYPES[facts.dtype]) for facts in results}
        self.outputs = {facts.name: _in_order(self._written[facts.name], facts) for facts in results}
        for name, tensor in ((source.name, self.input), *self._written.items()):
            if not made.set_tensor_address(name, tensor.data_ptr()):
                raise InferenceError(
                    f"{flavour}: got a refusal of the memory for {name}; expected its address to be taken. "
                    "Please report this."
                )

    def enqueue(self, stream: Stream) -> None:
        """Queue the engine's kernels."""
        with log_of(self._flavour).recording() as said:
            if not self._made.execute_async_v3(_handle_of(stream)):
                raise InferenceError(
                    f"{self._flavour}: got a refusal to run ({Log.telling(said)}); expected a queued inference. "
                    "Run again; if it comes back, use --backend openvino."
                )

    def is_recordable(self, stream: Stream) -> bool:
        """Return what the flavour says of itself; one that does not say can be recorded."""
        asks = getattr(self._made, "is_stream_capturable", None)
        return True if asks is None else bool(asks(_handle_of(stream)))


def _handle_of(stream: Stream) -> int:
    if stream is None:
        raise InferenceError("tensorrt: got no stream; expected one of a GPU. Please report this.")
    return int(stream.cuda_stream)


def _dtype_name(dtype: Any) -> str:
    """Return TensorRT's name of an element type as numpy has it."""
    name = str(dtype.name)
    return _TRT_NAMES.get(name, name.lower())


def _bytes_of(facts: TensorFacts) -> int:
    return int(np.prod(facts.shape)) * _DTYPES[facts.dtype].itemsize


def _in_order(tensor: Tensor, facts: TensorFacts) -> Tensor:
    """Return the tensor in the order that `DeviceOutput` says: logits [N, K, h, w], labels and mattes [N, h, w]."""
    axis = facts.layout.find("C")
    if axis < 0:
        return tensor
    if facts.role in ("labels", "alpha"):
        return tensor.select(axis, -1)
    return tensor.movedim(axis, 1)


def _output_of(facts: TensorFacts) -> DeviceOutput:
    axis = facts.layout.find("C")
    rest = tuple(side for index, side in enumerate(facts.shape) if index != axis)
    if facts.role == "labels":
        return DeviceOutput(rest, _DTYPES[facts.dtype], "labels")
    if facts.role == "alpha":
        return DeviceOutput(rest, _DTYPES[facts.dtype], "alpha")
    return DeviceOutput((rest[0], facts.shape[axis], *rest[1:]), _DTYPES[facts.dtype], "logits")
