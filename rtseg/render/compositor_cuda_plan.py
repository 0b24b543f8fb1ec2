"""What the GPU does for a stack of effects, planned from the painters of the CPU, which are the specification.

Note [Painters as a program]
    `compositor_cpu.painters_of` says what a stack of effects draws, and with which weights and colours. Here each
    painter becomes one or two operations of a fused kernel. A stack is one pass over the frame, unless a blur comes
    after something else: it has to see what is drawn so far, so that there the pass ends and another begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rtseg.errors import ConfigError
from rtseg.kernels.blur import BlurSpec
from rtseg.kernels.composite import Program
from rtseg.kernels.cutout import CutOutSpec
from rtseg.kernels.picture import PictureFormat
from rtseg.render import background, cutout
from rtseg.render.backdrop import ReplacePainter
from rtseg.render.background import BlurPainter
from rtseg.render.cutout import CutoutPainter
from rtseg.render.outline import (
    LEAST_SPREAD_PX,
    REFERENCE_HEIGHT_PX,
    OutlinePainter,
    edge_level,
    line_table,
    steep_table,
)
from rtseg.render.painter import Painter, SpotlightPainter, TintPainter
from rtseg.render.panels import HudPainter, LegendPainter
from rtseg.render.planes import PlaneFormat
from rtseg.render.weights import EDGE_SPREAD_PX
from rtseg.types import UInt8Array

_LEAST_BLUR_PX: Final[float] = 0.3  # as in BlurPainter.paint: less than this is no blur


@dataclass
class Pass:
    """One pass over the frame."""

    program: Program = field(default_factory=Program)
    blur: BlurSpec | None = None
    """The blur that is made of the picture before this pass."""
    subject_channel: int = 0
    """The class map that says where the subject of the blur is."""


@dataclass
class CutOutStep:
    """The cut-out at the end."""

    subject_channel: int
    spec: CutOutSpec | None


class Plan:
    """The maps, passes, layers and panels of a stack of effects on frames of one format and masks of one size."""

    def __init__(
        self, painters: Sequence[Painter], frame: PictureFormat, mask_wh: tuple[int, int], *, is_matte: bool
    ) -> None:
        """Plan it.

        Raises:
            ConfigError: an order of effects that is not drawn on a device.
        """
        self.look_ups: list[UInt8Array] = []
        self.smooth: list[bool] = []
        self.color_channels: list[int] = []
        self.passes = [Pass()]
        self.layers: list[ReplacePainter] = []
        self.panels: list[LegendPainter | HudPainter] = []
        self.cut_out: CutOutStep | None = None
        self.plane_format = plane_format_of(frame)
        self._mask_wh, self._is_matte = mask_wh, is_matte
        for painter in painters:
            if self.cut_out is not None:
                raise ConfigError(
                    "effects on a device: got an effect after cutout; expected cutout as the last one. "
                    "Put it last, or use the CPU compositor."
                )
            self._add(painter)
        if not self.look_ups:  # a kernel needs a map, even where nothing is drawn
            self._channel(np.zeros(256, np.uint8), smooth=False)

    @property
    def _program(self) -> Program:
        return self.passes[-1].program

    def _add(self, painter: Painter) -> None:
        match painter:
            case TintPainter():
                self._add_tint(painter)
            case SpotlightPainter():
                self._add_spotlight(painter)
            case ReplacePainter():
                self._program.layer(self._weight(painter._weights), len(self.layers))
                self.layers.append(painter)
            case BlurPainter():
                self._add_blur(painter)
            case OutlinePainter():
                self._add_outline(painter)
            case LegendPainter() | HudPainter():
                self._program.panel(len(self.panels))
                self.panels.append(painter)
            case CutoutPainter():
                self._add_cut_out(painter)
            case _:
                raise ConfigError(
                    f"effects on a device: got {type(painter).__name__}; expected a painter that a kernel knows. "
                    "Use the CPU compositor."
                )

    def _channel(self, look_up: UInt8Array, *, smooth: bool) -> int:
        self.look_ups.append(look_up)
        self.smooth.append(smooth)
        return len(self.look_ups) - 1

    def _weight(self, class_bytes: UInt8Array) -> int:
        """Return the channel of one byte a class, as `weights.Mask.look_up` gives it."""
        return self._channel(look_up_table(class_bytes, is_matte=self._is_matte), smooth=not self._is_matte)

    def _add_tint(self, painter: TintPainter) -> None:
        channel = self._weight(painter._weights)
        for premultiplied in painter._premultiplied(self.plane_format):
            self._weight(premultiplied)
        self._program.tint(channel)

    def _add_spotlight(self, painter: SpotlightPainter) -> None:
        grey = self._weight(painter._grey)
        if self.plane_format.matrix is None:
            self._program.grey(grey)
        else:
            self._program.fill(grey, (128, 128, 128), first_plane=1)
        self._program.fill(self._weight(painter._dark), self.plane_format.color_bytes((0, 0, 0)))

    def _add_blur(self, painter: BlurPainter) -> None:
        size_wh = self.plane_format.size_wh
        spread_px = painter._strength * background.STRONGEST_SPREAD * size_wh[1]
        if spread_px < _LEAST_BLUR_PX:
            return
        cell_px = background.cell_size_px(spread_px, size_wh, least_px=max(self.plane_format.shrinks))
        side = background.box_side(spread_px / cell_px)
        if self._program.codes:
            self.passes.append(Pass())
        self.passes[-1].subject_channel = self._weight(painter._subject)
        self.passes[-1].blur = BlurSpec(
            (-(-size_wh[0] // cell_px), -(-size_wh[1] // cell_px)),
            (side,) * background.PASSES,
            wide_side=4 * side + 1,
            wide_share=background._WIDE_SHARE,
            mean_share=background._MEAN_SHARE,
        )
        self._program.coarse(self._weight(painter._weights))

    def _add_outline(self, painter: OutlinePainter) -> None:
        if not painter._bits and not painter._bold.any():
            return
        width_px, bold_width_px, spread_px = self._line_widths_px(painter)
        insides = [np.where(painter._codes >> bit & 1, 255, 0).astype(np.uint8) for bit in painter._bits]
        lift = None
        if painter._bold.any():
            begin = edge_level(width_px, spread_px)
            lift = max(0, min(begin - edge_level(bold_width_px, spread_px), begin - 2))
            insides.append(painter._bold)
        channels = [self._bit_plane(inside) for inside in insides]
        color = None if painter._color is None else self.plane_format.color_bytes(painter._color)
        self._program.line(
            channels[0],
            len(painter._bits),
            line_table(width_px, spread_px, painter._opacity),
            bold_lift=lift,
            color=color,
            color_channel=-1 if color is not None else self._class_colors(painter),
        )

    def _line_widths_px(self, painter: OutlinePainter) -> tuple[float, float, float]:
        """Return width, bold width and spread of lines on frames of this size."""
        size_wh = self.plane_format.size_wh
        unit = size_wh[1] / REFERENCE_HEIGHT_PX
        scale = float(np.sqrt(size_wh[0] / self._mask_wh[0] * (size_wh[1] / self._mask_wh[1])))
        spread_px = max(LEAST_SPREAD_PX, round(EDGE_SPREAD_PX * scale, 2))
        return max(1.0, painter._width_px * unit), max(1.0, painter._bold_width_px * unit), spread_px

    def _bit_plane(self, inside: UInt8Array) -> int:
        look_up = look_up_table(inside, is_matte=self._is_matte)
        return self._channel(steep_table()[look_up] if self._is_matte else look_up, smooth=True)

    def _class_colors(self, painter: OutlinePainter) -> int:
        grouped = painter._codes > 0
        share = self._weight(np.where(grouped, 255, 0).astype(np.uint8))
        colors = np.array([self.plane_format.color_bytes(rgb) for rgb in painter._palette], np.uint8)
        for plane in range(3):
            self._weight(np.where(grouped, colors[:, plane], 0).astype(np.uint8))
        for _ in range(3):
            self._channel(np.zeros(256, np.uint8), smooth=False)
        self.color_channels.append(share)
        return share + 4

    def _add_cut_out(self, painter: CutoutPainter) -> None:
        spec = None
        if painter._decontaminate:
            height = self.plane_format.size_wh[1]
            cell_px = 2 if height < 480 else 4
            side = background.box_side(cutout._SPREAD * height / cell_px)
            spec = CutOutSpec(cell_px, side, cutout._PURITY, cutout._SURE, cutout._TINY)
        self.cut_out = CutOutStep(self._weight(painter._subject), spec)


def plane_format_of(frame: PictureFormat) -> PlaneFormat:
    """Return a device format as the painters know it."""
    return PlaneFormat(frame.size_wh, frame.matrix, frame.full_range) if frame.is_yuv else PlaneFormat(frame.size_wh)


def look_up_table(class_bytes: UInt8Array, *, is_matte: bool) -> UInt8Array:
    """Return what a byte of the mask means, uint8 [256]: of one byte a class, as `weights.Mask.look_up` has it."""
    if is_matte:
        ramp = np.linspace(class_bytes[0], class_bytes[1], 256, dtype=np.float32)
        return np.rint(ramp).astype(np.uint8)
    table = np.zeros(256, np.uint8)
    table[: len(class_bytes)] = class_bytes
    return table
