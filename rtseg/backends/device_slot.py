"""One picture in flight on a device: its memory, its stream and its graph.

Note [Slots of a backend]
    Each picture in flight has a slot of its own: stream, context of the engine, host and device memory, graph. A slot
    is used again only after its result was collected, so nothing in it is overwritten before it was read. A picture
    that fails takes nothing along: the other slots have their own stream, and the failed one is used again.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from rtseg.backends.base import EngineRequest, NetworkOutput
from rtseg.backends.device import DeviceEngine
from rtseg.backends.device_errors import inferring
from rtseg.backends.device_runtime import DeviceRuntime, Work
from rtseg.backends.device_steps import mask_out, picture_in
from rtseg.errors import InferenceError
from rtseg.types import FloatArray, UInt8Array


class DeviceSlot:
    """What one picture in flight needs, allocated once. See Note [Slots of a backend]."""

    def __init__(self, backend: str, engine: DeviceEngine, runtime: DeviceRuntime, request: EngineRequest) -> None:
        self._backend, self._runtime = backend, runtime
        self._is_matte = request.network.is_matte
        self._context = engine.new_context()
        self._in = picture_in(engine, self._context, runtime)
        self._out = mask_out(engine, self._context, runtime, with_scores=request.with_scores and not self._is_matte)
        self._host_picture = runtime.host_tensor(tuple(self._in.picture.shape), torch.uint8)
        self._host_mask = runtime.host_tensor(tuple(self._out.mask.shape), torch.uint8)
        self._picture_view, self._mask_view = self._host_picture.numpy()[0], self._host_mask.numpy()
        self._host_scores: Tensor | None = None
        if self._out.scores is not None:
            self._host_scores = runtime.host_tensor(tuple(self._out.scores.shape), torch.float32)
        self._stream = runtime.new_stream()
        blocking = request.hint == "throughput"
        self._started, self._ended = runtime.new_event(blocking=blocking), runtime.new_event(blocking=blocking)
        self._busy = False
        runtime.synchronize()  # zeroing and warming up went over other streams
        runtime.launch(self._stream, self._steps)  # once as it is: kernels are chosen and loaded before recording
        runtime.synchronize()
        self.recorded = runtime.has_graphs and self._context.is_recordable(self._stream)
        """Whether the work is one graph."""
        self._work: Work = runtime.record(self._stream, self._steps) if self.recorded else self._steps

    def _steps(self) -> None:
        """Queue everything that happens to one picture on the device."""
        self._in.picture.copy_(self._host_picture, non_blocking=True)
        self._in.run()
        self._context.enqueue(self._stream)
        self._out.run()
        self._host_mask.copy_(self._out.mask, non_blocking=True)
        if self._host_scores is not None and self._out.scores is not None:
            self._host_scores.copy_(self._out.scores, non_blocking=True)

    def start(self, picture: UInt8Array) -> None:
        """Copy the picture in and queue its work; returns at once."""
        np.copyto(self._picture_view, picture)
        with inferring(self._backend, self._runtime):
            self._started.record(self._stream)
            self._runtime.launch(self._stream, self._work)
            self._ended.record(self._stream)
        self._busy = True

    def finish(self) -> NetworkOutput:
        """Wait for the mark and return copies of what came out."""
        self._busy = False
        with inferring(self._backend, self._runtime):
            self._ended.synchronize()
            infer_ns = round(self._started.elapsed_time(self._ended) * 1e6)
        mask: UInt8Array = self._mask_view.copy()
        if self._is_matte:
            return NetworkOutput(alpha=mask, infer_ns=infer_ns)
        scores: FloatArray | None = None if self._host_scores is None else self._host_scores.numpy().copy()
        return NetworkOutput(labels=mask, scores=scores, infer_ns=infer_ns)

    def settle(self) -> None:
        """Wait, after a picture that did not start, until the device touches nothing of this slot any more."""
        with suppress(RuntimeError):
            self._runtime.synchronize()

    def wait_quietly(self) -> None:
        """Wait for what is in flight and drop it; its failure no longer concerns anybody."""
        if self._busy:
            with suppress(InferenceError):
                self.finish()
