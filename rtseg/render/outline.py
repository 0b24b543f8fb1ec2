"""Thin antialiased lines along the borders of classes.

Note [Lines from bit planes]
    A border runs where the class changes. The classes get code numbers, and each bit of the code is a picture of
    zeros and ones: smoothed and scaled up, it crosses one half exactly on the borders where that bit changes, with a
    known slope, so one look-up turns it into a line of even width. Three bits draw seven groups of classes, five bits
    all 19 of Cityscapes; the lines of the bits agree where they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import cv2
import numpy as np

from rtseg import geometry
from rtseg.render.painter import Shot, StatelessPainter
from rtseg.render.palette import Color
from rtseg.render.planes import Canvas, PlaneFormat, halved
from rtseg.render.weights import EDGE_SPREAD_PX, Mask
from rtseg.types import UInt8Array

REFERENCE_HEIGHT_PX: Final[int] = 720
"""Line widths are given for pictures of this height."""
_COLOR_REACH_PX: Final[int] = 7


class OutlinePainter(StatelessPainter):
    """Draws lines between groups of classes, in one colour or in the colour of the class beside the line."""

    def __init__(
        self,
        codes: Sequence[int],
        *,
        width_px: float,
        color: Color | None,
        palette: Sequence[Color],
        opacity: float = 1.0,
    ) -> None:
        """`codes` holds the group 0..255 of every class; group 0 has no lines but those of its neighbours."""
        self._codes = np.asarray(codes, np.uint8)
        self._bits = tuple(bit for bit in range(8) if any(code >> bit & 1 for code in codes))
        self._width_px = width_px
        self._color = color
        self._palette = tuple(palette)
        self._opacity = opacity

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas."""
        if not self._bits:
            return
        line = self._line(shot.mask, canvas.format.size_wh)
        for index, shrink in enumerate(canvas.format.shrinks):
            weight = line if shrink == 1 else halved(line)
            keep = shot.complement(weight)
            if self._color is not None:
                canvas.mix_constant(index, keep, weight, canvas.format.color_bytes(self._color)[index])
            else:
                canvas.mix_layer(index, keep, weight, self._class_colors(shot.mask, canvas.format, index))

    def _line(self, mask: Mask, size_wh: tuple[int, int]) -> UInt8Array:
        """Return the opacity of the lines, uint8 [H, W]."""
        width_px = max(1.0, self._width_px * size_wh[1] / REFERENCE_HEIGHT_PX)
        table = line_table(width_px, round(EDGE_SPREAD_PX * mask.scale_to(size_wh), 2), self._opacity)
        lines = [cv2.LUT(self._bit_plane(mask, bit, size_wh), table) for bit in self._bits]
        merged = lines[0]
        for line in lines[1:]:
            cv2.max(merged, line, dst=merged)
        return np.asarray(merged, np.uint8)

    def _bit_plane(self, mask: Mask, bit: int, size_wh: tuple[int, int]) -> UInt8Array:
        inside = (self._codes >> bit & 1) * np.uint8(255)
        if not mask.is_matte:
            return mask.scaled(inside, size_wh)
        # A matte is as soft as it likes; made steep and smoothed like a label edge, its lines are as even as others.
        steep = cv2.convertScaleAbs(cv2.subtract(mask.look_up(inside), 96), alpha=4)
        return geometry.resize_linear(np.asarray(cv2.GaussianBlur(steep, (3, 3), 0), np.uint8), size_wh)

    def _class_colors(self, mask: Mask, plane_format: PlaneFormat, index: int) -> UInt8Array:
        """Return the colour of the nearest class that has a group, uint8 [h, w] of a plane."""
        grouped = np.where(self._codes > 0, 255, 0).astype(np.uint8)
        values = np.array([plane_format.color_bytes(rgb)[index] for rgb in self._palette], np.uint8)
        reach = (_COLOR_REACH_PX, _COLOR_REACH_PX)
        share = cv2.blur(mask.look_up(grouped), reach)
        amount = cv2.blur(mask.look_up(np.where(self._codes > 0, values, 0).astype(np.uint8)), reach)
        colors = np.asarray(cv2.divide(amount, share, scale=255), np.uint8)
        return geometry.resize_linear(colors, plane_format.plane_size_wh(index))


@lru_cache(maxsize=32)
def line_table(width_px: float, spread_px: float, opacity: float) -> UInt8Array:
    """Return the opacity of a line from the byte of a smoothed edge, uint8 [256].

    `spread_px` is the standard deviation of the edge: the byte says, by the normal distribution, how far away the
    border is. The ends of the table stay empty, so that a flat area never becomes a line.
    """
    distances_px = [spread_px * NormalDist().inv_cdf(min(max(level / 255, 1e-6), 1 - 1e-6)) for level in range(256)]
    cover = np.clip(width_px / 2 + 0.5 - np.abs(np.asarray(distances_px)), 0.0, 1.0)
    cover[[0, 1, 254, 255]] = 0.0
    return np.rint(cover * opacity * 255).astype(np.uint8)


def separate_codes(indices: Sequence[int], class_count: int) -> tuple[int, ...]:
    """Return codes that give each of the classes `indices` a group of its own and leave out all others."""
    codes = [0] * class_count
    for code, index in enumerate(indices, start=1):
        codes[index] = code
    return tuple(codes)
