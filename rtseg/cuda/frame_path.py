"""Everything that frames of one format need on the device: slots, streams, host buffers, and how a frame gets in.

Torch stays on this side: the scheduler above takes the parts as they are and never looks inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from rtseg.backends.device import DeviceEngine
from rtseg.backends.device_backend import DeviceBackend
from rtseg.backends.device_errors import opening
from rtseg.backends.device_runtime import DeviceRuntime
from rtseg.cuda.batched import runtime_for
from rtseg.cuda.frame_work import FrameWork, WorkPlan
from rtseg.cuda.memory import DeviceTensor, HostTensor
from rtseg.cuda.stream_memory import Postprocess, StreamMemory
from rtseg.cuda.streams import WHERE, DeviceEvent, DeviceStream
from rtseg.device_picture import DeviceYuv420
from rtseg.errors import ConfigError
from rtseg.kernels.masks import shares_of
from rtseg.kernels.picture import Layout, PictureFormat
from rtseg.render.compositor_cuda import CompositorSlot, CudaCompositor
from rtseg.render.effects import Effect
from rtseg.render.hud import HudState
from rtseg.render.panels import LegendPainter
from rtseg.segmenter import Segmenter
from rtseg.types import FloatArray, Frame, Picture, UInt8Array, Yuv420

SLOTS: Final = 4
"""One frame copied in, one computed, one copied out, one so that the host may be late."""
HELD_PICTURES: Final = 8
"""Results that may wait in the channel, in a sink and in the hands of two threads while all slots are busy."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotParts:
    """What one slot is made of; see `rtseg.pipeline.slots.Slot`."""

    staging: Sequence[HostTensor]
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    work: Callable[[], None]
    started: DeviceEvent
    copied_in: DeviceEvent
    computing: DeviceEvent
    computed: DeviceEvent
    copying_out: DeviceEvent
    copied_out: DeviceEvent
    drawing: CompositorSlot | None
    """Where legend, HUD and backdrops of the slot are brought up to date."""
    params: HostTensor | None = None
    """What the host tells the kernels of a stream with a memory; the last of the inputs is copied from it."""


class FramePath:
    """The device's parts for frames of one format, with the effects that are drawn on them.

    Threading: one thread. Sync: opening waits for the device; nothing after that does.
    """

    def __init__(
        self,
        engine: DeviceEngine,
        runtime: DeviceRuntime,
        frame: PictureFormat,
        compositor: CudaCompositor | None,
        *,
        asked: Postprocess | None = None,
        slots: int = SLOTS,
        stays_on_device: bool = False,
    ) -> None:
        """Allocate and record.

        Args:
            engine: opened for one picture at a time, as planes.
            runtime: its device.
            frame: the format of the frames.
            compositor: draws; closed with the path. None: nothing is drawn, only the mask comes out.
            asked: what is done with masks; None: nothing.
            slots: how many frames may be under way.
            stays_on_device: composited pictures are handed out in device memory, for an encoder there.

        Raises:
            EngineError: too little memory; the message says what was needed and what there is.
            ConfigError: an output that has no kernel.
        """
        self._compositor = compositor
        self.plan = WorkPlan(frame, None if compositor is None else compositor.out_format)
        self.stays_on_device = stays_on_device and self.plan.out is not None and self.plan.out.layout == "nv12"
        self.copy_in, self.compute, self.copy_out = (DeviceStream(runtime) for _ in range(3))
        self._runtime = runtime
        self._has_legend = compositor is not None and any(
            isinstance(painter, LegendPainter) for painter in compositor.plan.panels
        )
        self._memory: StreamMemory | None = None
        if asked:
            is_matte, mask_wh = engine.network.is_matte, engine_mask_wh(engine)
            with opening(WHERE, runtime, "remember what a stream's masks were"):
                self._memory = StreamMemory(asked, mask_wh, frame, is_matte=is_matte, device=engine.device)
        self._last_entered = -1
        drawings = [None if compositor is None else compositor.new_slot() for _ in range(slots)]
        works = [FrameWork(engine, runtime, self.plan, drawing, self._memory) for drawing in drawings]
        self.slots = [self._parts(work) for work in works]
        self.recorded = all(work.recorded for work in works)
        """Whether every slot's work is one CUDA graph."""
        self.ring = [self._result_set(works[0]) for _ in range(slots + HELD_PICTURES)]
        """Sets of buffers for results, one an output."""
        self._shares: FloatArray | None = None

    @property
    def mask_at(self) -> int:
        """Which of a result's buffers holds the mask, uint8 [1, h, w]; it is on the host always."""
        return 0 if self.plan.out is None else 1

    def _outputs(self, work: FrameWork) -> list[Tensor]:
        """Return what is copied out: the picture where one is drawn, the mask, the counts where there is a legend."""
        outputs = [work.mask] if work.out_bytes is None else [work.out_bytes, work.mask]
        if self._has_legend and work.drawing is not None:
            outputs.append(work.drawing.counts.view(torch.uint8))
        return outputs

    def _parts(self, work: FrameWork) -> SlotParts:
        runtime, inputs = self._runtime, [work.frame_bytes]
        staging: Sequence[HostTensor] = ()
        if self.plan.frame.layout == "nv12":  # surfaces of the GPU's decoder, rows padded: plane by plane
            inputs = list(nv12_planes(work.frame_bytes, self.plan.frame.size_wh))
        else:
            staging = [HostTensor(runtime, work.frame_bytes.shape)]
        params = None
        if work.memory_buffers is not None:
            told = work.memory_buffers.params.view(torch.uint8)
            params = HostTensor(runtime, told.shape)
            inputs.append(told)
        return SlotParts(
            staging,
            inputs,
            self._outputs(work),
            work.record(self.compute.raw),
            started=DeviceEvent(runtime),
            copied_in=DeviceEvent(runtime),
            computing=DeviceEvent(runtime),
            computed=DeviceEvent(runtime),
            copying_out=DeviceEvent(runtime),
            copied_out=DeviceEvent(runtime),
            drawing=work.drawing,
            params=params,
        )

    def _result_set(self, work: FrameWork) -> list[HostTensor | DeviceTensor]:
        shapes = [tuple(output.shape) for output in self._outputs(work)]
        result: list[HostTensor | DeviceTensor] = [HostTensor(self._runtime, shape) for shape in shapes]
        if self.stays_on_device:
            result[0] = DeviceTensor(self._runtime, shapes[0])
        return result

    def enter(self, frame: Frame, parts: SlotParts, hud: HudState | None) -> Sequence[Tensor]:
        """Bring a slot's legend and HUD up to date and return what to copy into its inputs.

        That is the decoder's surfaces as they lie, else the slot's staging buffer with the frame in it; then what the
        kernels of a stream with a memory are told. A frame that comes a second time has failed before.

        Raises:
            ConfigError: a frame of another format.
        """
        picture = frame.picture
        if format_of(picture) != self.plan.frame:
            raise ConfigError(f"device slots: got {format_of(picture)}; expected {self.plan.frame}. Open another path.")
        if parts.drawing is not None:
            # On the compute stream: slots share the backdrops, and there every slot before this one has drawn already.
            show = partial(parts.drawing.show, frame.pts_seconds, hud=hud, shares=self._shares)
            self.compute.launch(show)
        told = self.told(frame, parts)
        if isinstance(picture, DeviceYuv420):
            self.copy_in.wait_for_others()
            return [*(from_dlpack(plane) for plane in picture.device_planes), *told]
        fill(parts.staging[0].array, picture)
        return [parts.staging[0].handle, *told]

    def told(self, frame: Frame, parts: SlotParts) -> Sequence[Tensor]:
        """Return what a stream's memory is told of a frame, in page-locked memory; nothing where there is none."""
        if self._memory is None or parts.params is None:
            return ()
        again = frame.frame_index <= self._last_entered
        self._last_entered = max(self._last_entered, frame.frame_index)
        parts.params.array.view(np.float32)[:] = self._memory.params_of(frame.pts_seconds, again=again)
        return (parts.params.handle,)

    def keep_shares(self, buffers: Sequence[Any]) -> None:
        """Remember, for the next frames' legend, how much of a finished frame each class had."""
        if self._has_legend and self._compositor is not None:
            counts = torch.from_numpy(buffers[-1].array.reshape(-1).view(np.int64))
            self._shares = shares_of(counts, is_matte=self._compositor.is_matte, mask_wh=self._compositor.mask_wh)

    def close(self) -> None:
        """Release the backdrops; idempotent. Nothing may be in flight."""
        if self._compositor is not None:
            self._compositor.close()

    def picture_of(self, buffer: UInt8Array) -> Picture:
        """Return the composited picture in a host buffer, uint8 [1, bytes], without copying it."""
        if self.plan.out is None:
            raise ConfigError("device slots: got nothing drawn; expected a picture. Please report this.")
        return host_picture(buffer, self.plan.out)

    def surface_of(self, surface: Tensor, *, keep: object) -> DeviceYuv420:
        """Return the composited picture in device memory, uint8 [1, bytes], as planes that export DLPack."""
        out = self.plan.out
        if out is None or out.layout != "nv12":
            raise ConfigError(f"device slots: got {out}; expected NV12 to stay on the device. Please report this.")

        def download() -> Yuv420:
            picture = host_picture(surface.cpu().numpy(), out)
            if not isinstance(picture, Yuv420):
                raise ConfigError(f"device slots: got {out}; expected 4:2:0. Please report this.")
            return picture

        planes = nv12_planes(surface, out.size_wh)
        return DeviceYuv420(
            planes, size_wh=out.size_wh, matrix=out.matrix, full_range=out.full_range, download=download, keep=keep
        )


def open_path(
    segmenter: Segmenter,
    effects: Sequence[Effect],
    frame: Frame,
    *,
    stays_on_device: bool = False,
    engine: DeviceEngine | None = None,
) -> FramePath:
    """Return the path of frames like this one, through a segmenter whose engine lies on a device.

    Args:
        segmenter: the loaded model.
        effects: what is drawn.
        frame: one like all others.
        stays_on_device: composited pictures are handed out in device memory.
        engine: to be used in place of the segmenter's own, which takes several pictures at once.

    Raises:
        ConfigError: the engine, the frame's format or an effect is none that has a kernel.
        EngineError: too little memory; the message says what was needed and what there is.
    """
    backend = segmenter.backend
    if not isinstance(backend, DeviceBackend):
        raise ConfigError(f"device slots: got the backend {backend.name}; expected tensorrt or torch. Use one of them.")
    engine = engine or backend.device_engine
    backend.release_slots()
    runtime = runtime_for(engine.device)
    held = format_of(frame.picture)
    asked = Postprocess(segmenter.smooths_masks, segmenter.refines_edges)
    compositor = compositor_for(segmenter, effects, held, engine) if effects else None
    try:
        return FramePath(engine, runtime, held, compositor, asked=asked, stays_on_device=stays_on_device)
    except BaseException:
        if compositor is not None:
            compositor.close()
        raise


def compositor_for(
    segmenter: Segmenter, effects: Sequence[Effect], held: PictureFormat, engine: DeviceEngine
) -> CudaCompositor:
    """Return what draws the effects on frames of a format.

    Raises:
        ConfigError: an effect, or an order of effects, that has no kernel.
    """
    is_refined = segmenter.refines_edges and engine.network.is_matte
    return CudaCompositor(
        effects,
        classes=segmenter.classes,
        palette=segmenter.palette,
        frame=held,
        mask_wh=held.size_wh if is_refined else engine_mask_wh(engine),
        is_matte=engine.network.is_matte,
        device=engine.device,
    )


def engine_mask_wh(engine: DeviceEngine) -> tuple[int, int]:
    """Return width and height of an engine's masks."""
    height, width = engine.outputs[engine.main_output].shape[-2:]
    return width, height


def format_of(picture: Picture) -> PictureFormat:
    """Return how a picture is held: on the device as NV12, else as planes or RGB on the host.

    Raises:
        ConfigError: RGBA, which this path does not take in.
    """
    if isinstance(picture, Yuv420):
        layout: Layout = "nv12" if isinstance(picture, DeviceYuv420) else "i420"
        return PictureFormat(picture.size_wh, layout, picture.matrix, picture.full_range)
    height, width, depth = picture.shape
    if depth != 3:
        raise ConfigError(f"device slots: got a picture with {depth} channels; expected RGB or 4:2:0. Leave alpha out.")
    return PictureFormat((int(width), int(height)), "rgb")


def fill(buffer: UInt8Array, picture: Picture) -> None:
    """Copy a picture of the host into a buffer, uint8 [1, bytes], its planes one behind the other."""
    flat = buffer.reshape(-1)
    planes = (picture.y, picture.u, picture.v) if isinstance(picture, Yuv420) else (picture,)
    start = 0
    for plane in planes:
        np.copyto(flat[start : start + plane.size].reshape(plane.shape), plane)
        start += plane.size


def host_picture(buffer: UInt8Array, held: PictureFormat) -> Picture:
    """Return the picture in a buffer, uint8 [1, bytes], as views of it; NV12's chroma is copied apart."""
    width, height = held.size_wh
    flat = buffer.reshape(-1)
    if not held.is_yuv:
        return flat.reshape(height, width, -1)
    luma = flat[: width * height].reshape(height, width)
    chroma = flat[width * height :]
    if held.layout == "nv12":
        pairs = chroma.reshape(height // 2, width // 2, 2)
        u, v = np.ascontiguousarray(pairs[..., 0]), np.ascontiguousarray(pairs[..., 1])
    else:
        u, v = chroma.reshape(2, height // 2, width // 2)
    return Yuv420(luma, u, v, matrix=held.matrix, full_range=held.full_range)


def nv12_planes(flat: Tensor, size_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return luma [H, W] and chroma [H/2, W/2, 2] of NV12 bytes, uint8 [1, bytes], as views."""
    width, height = size_wh
    luma = flat[0, : width * height].view(height, width)
    return luma, flat[0, width * height :].view(height // 2, width // 2, 2)
