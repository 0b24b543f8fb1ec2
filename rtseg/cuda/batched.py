"""An engine that takes several pictures at once, shared by sources that each have one at a time.

Pictures are gathered on the device, inferred together, and handed back; the host sees no pixel and does not wait.

    a source's stream   ... preprocess -> [ready]                                        waits for [done] -> mask ...
    the batch's stream        waits for every [ready], gathers, infers, hands back, [done]

See `rtseg.pipeline.device_batch` for which pictures are inferred together, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from rtseg.backends.device import DeviceContext, DeviceEngine
from rtseg.backends.device_errors import inferring, opening
from rtseg.backends.device_runtime import CpuRuntime, CudaRuntime, DeviceRuntime, Stream
from rtseg.cuda.streams import WHERE, DeviceEvent, DeviceStream


class BatchedContext(DeviceContext):
    """One source's picture: its own input and outputs, [1, ...], which go through the shared engine."""

    def __init__(self, engine: DeviceEngine, runtime: DeviceRuntime, leave: Callable[[BatchedContext], None]) -> None:
        """Allocate. `leave` queues the batch that this picture is part of, and returns when that has been queued."""
        self.input = runtime.device_tensor((1, *engine.input_shape_nchw[1:]), engine.input_dtype)
        self.outputs = {
            name: runtime.device_tensor((1, *output.shape[1:]), output.dtype) for name, output in engine.outputs.items()
        }
        self.ready, self.done = DeviceEvent(runtime), DeviceEvent(runtime)
        """The input is written; the outputs are."""
        self._runtime, self._leave = runtime, leave

    def enqueue(self, stream: Stream) -> None:
        """Let the picture leave with a batch; what is queued on `stream` after this waits for its outputs.

        Sync: waits on the host until the batch has been queued, at most the length of the window; not for the device.
        """
        with inferring(WHERE, self._runtime):
            self.ready.raw.record(stream)
        self._leave(self)
        if stream is not None:
            with inferring(WHERE, self._runtime):
                stream.wait_event(self.done.raw)

    def is_recordable(self, stream: Stream) -> bool:
        """Return False: with whom a picture leaves is another matter every time."""
        del stream
        return False


class BatchedEngine(DeviceEngine):
    """The shared engine as one source sees it: a picture at a time."""

    def __init__(self, engine: DeviceEngine, runtime: DeviceRuntime, leave: Callable[[BatchedContext], None]) -> None:
        """See the engine with other eyes; nothing is allocated."""
        self.network, self.form, self.device, self.info = engine.network, engine.form, engine.device, engine.info
        self.input_shape_nchw = (1, *engine.input_shape_nchw[1:])
        self.input_dtype = engine.input_dtype
        self.outputs = {name: replace(output, shape=(1, *output.shape[1:])) for name, output in engine.outputs.items()}
        self._engine, self._runtime, self._leave = engine, runtime, leave

    def new_context(self) -> BatchedContext:
        """Allocate one picture's input and outputs."""
        return BatchedContext(self._engine, self._runtime, self._leave)

    def close(self) -> None:
        """Do nothing: the engine is the others' too."""


class BatchRunner:
    """Queues batches: `rtseg.pipeline.device_batch.BatchEngine`.

    Threading: `run` by one thread at a time. Sync: making it waits for the device, `run` does not.
    """

    def __init__(self, engine: DeviceEngine, runtime: DeviceRuntime) -> None:
        """Allocate one context of the engine and record its work where that can be.

        Raises:
            EngineError: too little memory; the message says what was needed and what there is.
        """
        with opening(WHERE, runtime, f"infer {engine.batch} pictures at once"):
            self._context = engine.new_context()
            self._stream = DeviceStream(runtime)
            self._work = self._recorded(runtime)

    def _recorded(self, runtime: DeviceRuntime) -> Callable[[], None]:
        stream, context = self._stream.raw, self._context

        def infer() -> None:
            context.enqueue(stream)

        runtime.synchronize()
        if not (runtime.has_graphs and context.is_recordable(stream)):
            return infer
        runtime.launch(stream, infer)
        runtime.synchronize()
        return runtime.record(stream, infer)

    def run(self, pictures: Sequence[BatchedContext]) -> Sequence[BatchedContext]:
        """Queue one batch; pictures that are not there leave their places as they were, and nobody looks at those.

        Raises:
            InferenceError: it could not be queued.
        """
        for index, picture in enumerate(pictures):
            self._stream.wait(picture.ready)
            self._stream.copy(self._context.input[index : index + 1], picture.input)
        self._stream.launch(self._work)
        for index, picture in enumerate(pictures):
            for name, output in picture.outputs.items():
                self._stream.copy(output, self._context.outputs[name][index : index + 1])
            self._stream.record(picture.done)
        return pictures


def runtime_for(device: torch.device) -> DeviceRuntime:
    """Return the runtime of a device."""
    return CudaRuntime(device.index or 0) if device.type == "cuda" else CpuRuntime()
