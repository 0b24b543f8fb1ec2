"""What happens to one frame on the device between copy in and copy out: one slot's buffers and its recorded work.

    picture (bytes) -> fused preprocess -> engine -> labels or matte -> smoothing, edges -> fused composite -> out

Nothing is allocated and nothing is read back while it runs, so the whole of it is one CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rtseg.backends.device import DeviceContext, DeviceEngine
from rtseg.backends.device_errors import opening
from rtseg.backends.device_runtime import DeviceRuntime, Stream
from rtseg.cuda.stream_memory import MemoryBuffers, StreamMemory
from rtseg.cuda.streams import WHERE
from rtseg.errors import ConfigError
from rtseg.kernels.masks import AlphaBytes, Labels
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.kernels.preprocess import Normalisation, Preprocessor
from rtseg.kernels.resample import Resizer
from rtseg.kernels.tables import is_area
from rtseg.matte import SNAP
from rtseg.render.compositor_cuda import CompositorSlot


@dataclass(frozen=True, slots=True)
class WorkPlan:
    """What every slot of a path does."""

    frame: PictureFormat
    """How frames come in."""
    out: PictureFormat | None
    """How composited frames go out; None: nothing is drawn, and only the mask comes out."""


class FrameWork:
    """One slot's device memory and what is done in it.

    Lifetime: addresses stay the same, so that the work can be recorded once.
    """

    def __init__(
        self,
        engine: DeviceEngine,
        runtime: DeviceRuntime,
        plan: WorkPlan,
        drawing: CompositorSlot | None,
        memory: StreamMemory | None = None,
    ) -> None:
        """Allocate everything.

        Args:
            engine: opened for one picture at a time.
            runtime: its device.
            plan: how frames come in and go out.
            drawing: the compositor's buffers of this slot; None: nothing is drawn.
            memory: of the stream, shared by all its slots; None: every mask is shown as it is.

        Raises:
            EngineError: too little memory; the message says what was needed and what there is.
            ConfigError: an engine whose output this path has no kernel for.
        """
        self._runtime = runtime
        self.drawing = drawing
        """The compositor's buffers of this slot; None: nothing is drawn."""
        with opening(WHERE, runtime, f"hold {plan.frame.size_wh[0]}x{plan.frame.size_wh[1]} frames in flight"):
            self.context: DeviceContext = engine.new_context()
            self.frame_bytes = runtime.device_tensor((1, plan.frame.byte_count), torch.uint8)
            self.out_bytes = None
            if plan.out is not None:
                self.out_bytes = runtime.device_tensor((1, plan.out.byte_count), torch.uint8)
            self._prepare = preprocessor_of(engine, plan.frame)
            self._network_mask, self._make_mask = mask_maker(engine, runtime)
            self._remember(engine, runtime, memory)
        self.picture = DevicePicture.of_bytes(self.frame_bytes, plan.frame)
        self._out = (
            None if self.out_bytes is None or plan.out is None else DevicePicture.of_bytes(self.out_bytes, plan.out)
        )
        self._output = self.context.outputs[engine.main_output]
        self.recorded = False
        """Whether the work is a CUDA graph, or two with the engine between them."""

    def _remember(self, engine: DeviceEngine, runtime: DeviceRuntime, memory: StreamMemory | None) -> None:
        """Allocate what the masks of a stream with a memory need."""
        self._memory, self.memory_buffers = memory, None
        self.mask = self._network_mask
        """What is shown and copied out, uint8 [1, h, w]."""
        self._luma: Tensor | None = None
        self._resize_luma: Resizer | None = None
        if memory is None:
            return
        height, width = self._network_mask.shape[1:]
        self.memory_buffers = MemoryBuffers((width, height), runtime.device)
        self.mask = runtime.device_tensor((1, *memory.mask_wh[::-1]), torch.uint8)
        self._luma = self.memory_buffers.luma
        network_wh = (engine.input_shape_nchw[3], engine.input_shape_nchw[2])
        if network_wh != (width, height):
            by_area = is_area(network_wh, (width, height))
            self._luma = runtime.device_tensor((1, network_wh[1], network_wh[0]), torch.uint8)
            self._resize_luma = Resizer(network_wh, (width, height), by_area=by_area, device=runtime.device)

    def record(self, stream: Stream) -> Callable[[], None]:
        """Return the work, run once to load every kernel; recorded as one graph, or round the engine as two."""

        def steps() -> None:
            self._before()
            self.context.enqueue(stream)
            self._after()

        with opening(WHERE, self._runtime, "record the work of a frame"):
            self._runtime.synchronize()  # zeroing went over other streams
            if not self._runtime.has_graphs:
                return steps
            self._runtime.launch(stream, steps)
            self._runtime.synchronize()
            self.recorded = True
            if self.context.is_recordable(stream):
                return self._runtime.record(stream, steps)
            before, after = (self._runtime.record(stream, part) for part in (self._before, self._after))

            def in_parts() -> None:
                before()
                self.context.enqueue(stream)
                after()

            return in_parts

    def _before(self) -> None:
        """Queue what comes before the engine."""
        self._prepare(self.picture, self.context.input, luma=self._luma)
        if self._resize_luma is not None and self._luma is not None and self.memory_buffers is not None:
            self._resize_luma(self._luma, self.memory_buffers.luma)

    def _after(self) -> None:
        """Queue what comes after the engine."""
        self._make_mask(self._output)
        if self._memory is not None and self.memory_buffers is not None:
            self._memory.run(self.memory_buffers, self._network_mask, self.picture, self.mask)
        if self.drawing is not None and self._out is not None:
            self.drawing.composite(self.picture, self.mask, self._out)


def preprocessor_of(engine: DeviceEngine, frame: PictureFormat) -> Preprocessor:
    """Return the kernel that fills the engine's input from frames of a format."""
    network = engine.network
    normalisation = Normalisation(network.scale, network.mean, network.std, network.channel_order)
    height, width = engine.input_shape_nchw[2:]
    return Preprocessor(
        frame, (width, height), normalisation=normalisation, dtype=engine.input_dtype, device=engine.device
    )


def mask_maker(engine: DeviceEngine, runtime: DeviceRuntime) -> tuple[Tensor, Callable[[Tensor], None]]:
    """Return the mask, uint8 [N, h, w] on the device, and what fills it from the engine's main output.

    Raises:
        ConfigError: an output this path has no kernel for.
    """
    output = engine.outputs[engine.main_output]
    height, width = output.shape[-2:]
    mask = runtime.device_tensor((engine.batch, height, width), torch.uint8)
    if output.meaning == "logits":
        labels = Labels((width, height), (width, height), output.shape[1], device=engine.device)
        return mask, lambda found: labels(found, mask)
    if output.meaning == "labels":
        return mask, lambda found: _queue_copy(mask, found)
    if output.dtype == torch.uint8:
        raise ConfigError("device slots: got a matte in bytes; expected one in 0..1. Open the engine as planes.")
    matte = AlphaBytes(snap=SNAP, device=engine.device)
    return mask, lambda found: matte(found, mask)


def _queue_copy(target: Tensor, source: Tensor) -> None:
    target.copy_(source, non_blocking=True)
