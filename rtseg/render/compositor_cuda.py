"""The compositor for CUDA: the effects of `CpuCompositor`, drawn by fused kernels on tensors of the device.

Equal to the CPU's pictures byte for byte, but for blur and cut-out, which are sums of floats and agree within one
level, and for masks that are more than twice as large as the frame.

What is drawn where: tints, lines, spotlight, backdrops, blur, cut-out and the blending of legend and HUD happen on the
device. Legend, HUD and the frames of a backdrop video are drawn or decoded on the CPU, as small or rare as they are,
and copied into fixed buffers by `CompositorSlot.show`, between the frames. Not drawn on a device: an effect after
`cutout`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, cast

import numpy as np
import torch

from rtseg.errors import ConfigError
from rtseg.kernels import launch
from rtseg.kernels.blur import BackgroundBlur
from rtseg.kernels.composite import Composite, Panels
from rtseg.kernels.cutout import CutOut, RgbConverter
from rtseg.kernels.masks import AlphaBytes, ClassMaps, Labels, check_bytes, count_classes
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.matte import SNAP
from rtseg.render import background
from rtseg.render.compositor_cpu import painters_of
from rtseg.render.compositor_cuda_plan import Pass, Plan
from rtseg.render.effects import Effect, has_alpha
from rtseg.render.hud import HudState
from rtseg.render.painter import Painter, Shot
from rtseg.render.palette import Color, check_palette
from rtseg.render.panels import HudPainter, LegendPainter, Row, hud_panel, legend_panel, most_rows
from rtseg.render.planes import Box, Canvas, PlaneFormat, Scratch
from rtseg.types import FloatArray, Segmentation, UInt8Array

_LONGEST_HUD: Final[HudState] = HudState(fps=99999.9, frame_age_ms=999999, dropped=999999999)


class CudaCompositor:
    """Draws the effects of one stream, or of a batch of streams, one on top of the other.

    What does not change is uploaded once, here. Each slot (a frame on its way) gets buffers of its own by `new_slot`;
    several slots may be in flight at a time, on different streams.
    Threading: one thread at a time.
    """

    def __init__(
        self,
        effects: Sequence[Effect],
        *,
        classes: tuple[str, ...],
        palette: tuple[Color, ...],
        frame: PictureFormat,
        mask_wh: tuple[int, int],
        is_matte: bool,
        batch: int = 1,
        device: torch.device | str = "cuda",
    ) -> None:
        """Get ready to draw.

        Args:
            effects: what to draw, in order.
            classes: names of the model's classes.
            palette: one colour a class.
            frame: the format of every frame; results have the same, or are RGBA after `cutout`.
            mask_wh: width and height of labels or matte.
            is_matte: the mask is a soft matte, not labels.
            batch: frames a call.
            device: where frames, masks and results are.

        Raises:
            ConfigError: a class the model does not know, a backdrop that cannot be read, or an effect after cutout.
            BackendUnavailable: kernels do not run on that device.
        """
        check_palette(palette, classes)
        self.classes, self.frame, self.mask_wh = classes, frame, mask_wh
        self.is_matte, self.batch = is_matte, batch
        self.device = launch.check_device(device)
        self._painters: list[Painter] = []
        try:
            for effect in effects:
                self._painters.extend(painters_of(effect, classes, palette))
            if not has_alpha(effects):
                self._painters.sort(key=lambda painter: isinstance(painter, LegendPainter | HudPainter))
            self.plan = Plan(self._painters, frame, mask_wh, is_matte=is_matte)
        except ConfigError:
            self.close()
            raise
        self._layers_shown: list[UInt8Array | None] = [None] * len(self.plan.layers)
        self.layers = torch.zeros(
            (max(1, len(self.plan.layers)), frame.byte_count), dtype=torch.uint8, device=self.device
        )
        self.show_layers(0.0)
        self._panel_painters = [copy.deepcopy(self.plan.panels) for _ in range(batch)]
        self._slot: CompositorSlot | None = None

    @property
    def out_format(self) -> PictureFormat:
        """The format of results."""
        return self.frame if self.plan.cut_out is None else PictureFormat(self.frame.size_wh, "rgba")

    def new_slot(self) -> CompositorSlot:
        """Return the buffers of one frame, or batch, on its way."""
        return CompositorSlot(self)

    def composite(self, frame: DevicePicture, mask: torch.Tensor, out: DevicePicture) -> None:
        """Draw on frames, in a slot that this object keeps; see `CompositorSlot.composite`."""
        if self._slot is None:
            self._slot = self.new_slot()
        self._slot.composite(frame, mask, out)

    def show_layers(self, pts_seconds: float) -> None:
        """Show the frame of each backdrop at this time; copies only what has changed.

        Sync: copies on torch's current stream. Slots share the layers: where a backdrop is a video, wait for the slots
        in flight before another of its frames is shown.
        """
        for index, painter in enumerate(self.plan.layers):
            planes = painter._layers(painter._backdrop.rgb_at(pts_seconds), self.plan.plane_format)
            if self._layers_shown[index] is planes[0]:
                continue
            flat = np.concatenate([plane.ravel() for plane in planes])
            self.layers[index].copy_(torch.from_numpy(flat))
            self._layers_shown[index] = planes[0]

    def panels(
        self, pts_seconds: float, hud: HudState | None, shares: FloatArray | None, picture: int
    ) -> list[ShownPanel | None]:
        """Return what each panel shows; None: nothing."""
        known = cast(Segmentation, _Shares(np.zeros(len(self.classes), np.float32) if shares is None else shares))
        shot = Shot(known, pts_seconds, hud, Scratch())
        shown: list[ShownPanel | None] = []
        for painter in self._panel_painters[picture]:
            if shares is None and isinstance(painter, LegendPainter):
                shown.append(None)
                continue
            catcher = _PanelCatcher(self.plan.plane_format)
            painter.paint(catcher, shot)
            shown.append(catcher.caught())
        return shown

    def close(self) -> None:
        """Release the backdrops; idempotent."""
        for painter in self._painters:
            painter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CompositorSlot:
    """The buffers of one frame, or batch, on its way through the compositor.

    Threading: one thread and stream at a time.
    Sync: `composite` only launches kernels on torch's current stream, so that it can be captured in a CUDA graph;
    see Note [Nothing allocated per frame]. `show` copies, and belongs between two replays.
    """

    def __init__(self, compositor: CudaCompositor) -> None:
        """Reserve the buffers."""
        plan, device = compositor.plan, compositor.device
        self._compositor, self._plan = compositor, plan
        width, height = compositor.mask_wh
        self.mask = torch.zeros((compositor.batch, height, width), dtype=torch.uint8, device=device)
        """Labels or matte of the last frames whose mask came as floats, uint8 [N, h, w]."""
        self._alpha_bytes = AlphaBytes(snap=SNAP, device=device)
        self._labels: dict[tuple[int, int], Labels] = {}
        self._class_maps = ClassMaps(plan.look_ups, plan.smooth, color_channels=plan.color_channels, device=device)
        self._maps = self._class_maps.empty_maps(compositor.mask_wh, compositor.batch)
        self.counts = torch.zeros((compositor.batch, len(compositor.classes)), dtype=torch.int64, device=device)
        """Pixels of each class, int64 [N, K], of the last frames, where a legend is drawn; see `masks.shares_of`."""
        self._panels = Panels(_panel_sizes_wh(compositor), batch=compositor.batch, device=device)
        self._shown: dict[tuple[int, int], ShownPanel | None] = {}
        self._passes = [_PassBuffers(step, compositor, self._panels) for step in plan.passes]
        self._cut_out = None if plan.cut_out is None else _CutOutBuffers(compositor)
        between = len(plan.passes) - 1 + (plan.cut_out is not None)
        self._between = [
            DevicePicture.empty(compositor.frame, batch=compositor.batch, device=device) for _ in range(min(2, between))
        ]

    def composite(self, frame: DevicePicture, mask: torch.Tensor, out: DevicePicture) -> None:
        """Draw the effects on frames.

        Args:
            frame: N frames of the compositor's format.
            mask: logits float [N, K, h, w], scaled up where smaller than the mask; a matte float [N, 1, h, w] or
                [N, h, w], 0..1; or labels or matte as bytes, uint8 [N, h, w], contiguous, ready to use.
            out: where results go, in `CudaCompositor.out_format`.

        Raises:
            ConfigError: another shape, type, format or device.
        """
        mask = self._mask_bytes(mask)
        if any(isinstance(painter, LegendPainter) for painter in self._plan.panels):
            count_classes(mask, self.counts, is_matte=self._compositor.is_matte)
        self._class_maps(mask, self._maps)
        cut_out = self._cut_out
        drawn = frame
        for index, step in enumerate(self._passes):
            last = index == len(self._passes) - 1 and cut_out is None
            if step.is_empty and cut_out is not None:
                continue
            target = out if last else self._between[index % len(self._between)]
            step.draw(drawn, self._maps, target)
            drawn = target
        if cut_out is not None:
            cut_out.draw(drawn, self._maps, out)

    def show(
        self,
        pts_seconds: float,
        *,
        hud: HudState | None = None,
        shares: FloatArray | None = None,
        picture: int = 0,
    ) -> None:
        """Bring legend, HUD and backdrop videos up to date for the next `composite` of this slot.

        Args:
            pts_seconds: time of the frame.
            hud: what the HUD says; None: nothing.
            shares: share of each class, float32 [K], of a recent frame; None: no legend yet.
            picture: which of a batch; backdrops follow the first.

        Sync: copies on torch's current stream where something has changed; this slot must not be in flight.
        """
        if picture == 0:
            self._compositor.show_layers(pts_seconds)
        for index, panel in enumerate(self._compositor.panels(pts_seconds, hud, shares, picture)):
            before = self._shown.get((picture, index))
            if panel is None and before is not None:
                self._panels.clear(index, picture=picture)
            if panel is not None and (before is None or not panel.equals(before)):
                self._panels.put(index, panel.place, panel.planes, picture=picture)
            self._shown[picture, index] = panel

    def _mask_bytes(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the mask as bytes uint8 [N, h, w]."""
        if mask.dtype == torch.uint8:
            check_bytes(mask, tuple(self.mask.shape), self._compositor.device, what="composite, mask")
            return mask
        if self._compositor.is_matte:
            self._alpha_bytes(mask[:, 0] if mask.ndim == 4 else mask, self.mask)
            return self.mask
        logits_wh = (int(mask.shape[-1]), int(mask.shape[-2]))
        if logits_wh not in self._labels:
            compositor = self._compositor
            self._labels[logits_wh] = Labels(
                logits_wh, compositor.mask_wh, len(compositor.classes), device=compositor.device
            )
        self._labels[logits_wh](mask, self.mask)
        return self.mask


class ShownPanel:
    """A panel as it is drawn: its place, and 255 - opacity and opacity times colour of each plane."""

    def __init__(self, place: tuple[int, int], planes: list[tuple[UInt8Array, UInt8Array]]) -> None:
        self.place, self.planes = place, planes

    def equals(self, other: ShownPanel) -> bool:
        """Return True where both are the same drawing at the same place."""
        return self.place == other.place and self.planes[0][0] is other.planes[0][0]


class _PanelCatcher(Canvas):
    """A canvas without a picture: keeps what a panel would draw on it."""

    def __init__(self, plane_format: PlaneFormat) -> None:
        self.format = plane_format
        self._place: tuple[int, int] | None = None
        self._caught: list[tuple[UInt8Array, UInt8Array]] = []

    def mix_patch(self, index: int, box: Box, keep: UInt8Array, premultiplied: UInt8Array) -> None:  # noqa: ARG002
        """Keep a plane of the panel."""
        self._place = box[:2]
        self._caught.append((keep, premultiplied))

    def caught(self) -> ShownPanel | None:
        """Return the panel; None: nothing was drawn."""
        return None if self._place is None else ShownPanel(self._place, self._caught)


class _Shares:
    """Stands for a segmentation of which only the shares are known on the host."""

    def __init__(self, shares: FloatArray) -> None:
        self._shares = shares

    def class_shares(self) -> FloatArray:
        """Return the share of each class, float32 [K]."""
        return self._shares


class _PassBuffers:
    """One pass with its buffers."""

    def __init__(self, step: Pass, compositor: CudaCompositor, panels: Panels) -> None:
        frame, batch, device = compositor.frame, compositor.batch, compositor.device
        self.is_empty = not step.program.codes
        self._subject_channel = step.subject_channel
        self._blur = None
        self._layer = None
        if step.blur is not None:
            self._blur = BackgroundBlur(
                frame, compositor.mask_wh, step.blur, touch_gain=background._TOUCH_GAIN, batch=batch, device=device
            )
            self._layer = self._blur.empty_layer()
        self._composite = Composite(
            step.program,
            frame,
            compositor.mask_wh,
            len(compositor.plan.look_ups),
            batch=batch,
            cells_wh=(1, 1) if step.blur is None else step.blur.cells_wh,
            layers=compositor.layers,
            panels=panels,
            device=device,
        )

    def draw(self, frame: DevicePicture, maps: torch.Tensor, out: DevicePicture) -> None:
        """Draw one pass."""
        if self._blur is not None and self._layer is not None:
            self._blur(frame, maps[:, self._subject_channel], self._layer)
        self._composite(frame, maps, out, coarse=self._layer)


class _CutOutBuffers:
    """The cut-out with its buffers."""

    def __init__(self, compositor: CudaCompositor) -> None:
        step = compositor.plan.cut_out
        if step is None:
            raise ConfigError("cut-out: got a plan without one; expected one. Please report this.")
        frame, batch, device = compositor.frame, compositor.batch, compositor.device
        self._channel = step.subject_channel
        self._converter = RgbConverter(frame, device=device) if frame.is_yuv else None
        rgb = replace(frame, layout="rgb")
        plain = PictureFormat(rgb.size_wh)
        self._rgb = DevicePicture.empty(plain, batch=batch, device=device) if frame.is_yuv else None
        self._cut_out = CutOut(frame.size_wh, compositor.mask_wh, decontaminate=step.spec, batch=batch, device=device)

    def draw(self, frame: DevicePicture, maps: torch.Tensor, out: DevicePicture) -> None:
        """Write RGBA."""
        if self._converter is not None and self._rgb is not None:
            self._converter(frame, self._rgb)
            frame = self._rgb
        self._cut_out(frame, maps[:, self._channel], out)


def _panel_sizes_wh(compositor: CudaCompositor) -> list[tuple[int, int]]:
    """Return the largest width and height that each panel of a plan can get; one small one where there are none."""
    size_wh = compositor.frame.size_wh
    sizes = []
    for painter in compositor.plan.panels:
        if isinstance(painter, LegendPainter):
            rows = [Row(painter._classes[index], painter._palette[index], 1.0) for index in painter._listed]
            panel = legend_panel(rows[: most_rows(size_wh)], size_wh, painter._names_width_px(size_wh))
        else:
            panel = hud_panel(_LONGEST_HUD.line(), size_wh)
        height, width = panel.alpha.shape
        sizes.append((width, height))
    return sizes or [(2, 2)]
