"""Thin antialiased lines along the borders of classes.

Note [Lines from bit planes]
    A border runs where the class changes. The classes get code numbers, and each bit of the code is a picture of
    zeros and ones: smoothed and scaled up, it crosses one half exactly on the borders where that bit changes, with a
    known slope, so one look-up turns it into a line of even width. Two bits draw three groups of classes, five bits
    all 19 of Cityscapes; the lines of the bits agree where they meet, and the nearest one counts.
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
LEAST_SPREAD_PX: Final[float] = 0.05
"""Smoothed edges have some width, however few pixels a frame has under a large mask."""
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
        bold: Sequence[int] = (),
        bold_width_px: float = 0.0,
    ) -> None:
        """Get ready to draw.

        `codes` holds the group 0..255 of every class; group 0 has no lines but those of its neighbours. Round the
        classes with the indices `bold` goes a line of another width. Widths are for `REFERENCE_HEIGHT_PX`.
        """
        self._codes = np.asarray(codes, np.uint8)
        self._bits = tuple(bit for bit in range(8) if any(code >> bit & 1 for code in codes))
        self._width_px = width_px
        self._bold = np.array([255 if index in bold else 0 for index in range(len(codes))], np.uint8)
        self._bold_width_px = bold_width_px
        self._color = color
        self._palette = tuple(palette)
        self._opacity = opacity

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas."""
        if not self._bits and not self._bold.any():
            return
        line = self._line(shot, canvas.format.size_wh)
        for index, shrink in enumerate(canvas.format.shrinks):
            weight = line if shrink == 1 else halved(line)
            keep = shot.complement(weight)
            if self._color is not None:
                canvas.mix_constant(index, keep, weight, canvas.format.color_bytes(self._color)[index])
            else:
                canvas.mix_layer(index, keep, weight, self._class_colors(shot.mask, canvas.format, index))

    def _line(self, shot: Shot, size_wh: tuple[int, int]) -> UInt8Array:
        """Return the opacity of the lines, uint8 [H, W]."""
        unit = size_wh[1] / REFERENCE_HEIGHT_PX
        width_px, bold_width_px = max(1.0, self._width_px * unit), max(1.0, self._bold_width_px * unit)
        spread_px = max(LEAST_SPREAD_PX, round(EDGE_SPREAD_PX * shot.mask.scale_to(size_wh), 2))
        insides = [np.where(self._codes >> bit & 1, 255, 0).astype(np.uint8) for bit in self._bits]
        bold = bool(self._bold.any())
        small = self._bit_planes(shot.mask, [*insides, self._bold] if bold else insides)
        planes = [self._closeness(shot, plane, size_wh) for plane in small]
        if bold:
            # Lifted so that it passes the table of the thinner lines as a wider one, but nowhere shows by itself.
            begin = edge_level(width_px, spread_px)
            lift = max(0, min(begin - edge_level(bold_width_px, spread_px), begin - 2))
            np.add(planes[-1], np.uint8(lift), out=planes[-1])
        nearest = planes[0]
        for plane in planes[1:]:
            nearest = np.asarray(cv2.max(nearest, plane, dst=nearest), np.uint8)
        return np.asarray(cv2.LUT(nearest, line_table(width_px, spread_px, self._opacity), dst=nearest), np.uint8)

    def _closeness(self, shot: Shot, small: UInt8Array, size_wh: tuple[int, int]) -> UInt8Array:
        """Return how close the border of a bit plane is, uint8 [H, W]: 0 far away, 127 on it, both sides alike."""
        plane = geometry.resize_linear(small, size_wh)
        return np.asarray(cv2.min(plane, shot.complement(plane)), np.uint8)

    def _bit_planes(self, mask: Mask, insides: Sequence[UInt8Array]) -> list[UInt8Array]:
        """Return where each of several sets of classes is, uint8 [h, w], at network size, with even edges."""
        planes = mask.look_up_all(insides)
        if not mask.is_matte:
            return planes
        # A matte is as soft as it likes; made steep and smoothed like a label edge, its lines are as even as others.
        return [np.asarray(cv2.GaussianBlur(cv2.LUT(plane, steep_table()), (3, 3), 0), np.uint8) for plane in planes]

    def _class_colors(self, mask: Mask, plane_format: PlaneFormat, index: int) -> UInt8Array:
        """Return the colour of the nearest class that has a group, uint8 [h, w] of a plane."""
        grouped = np.where(self._codes > 0, 255, 0).astype(np.uint8)
        values = np.array([plane_format.color_bytes(rgb)[index] for rgb in self._palette], np.uint8)
        reach = (_COLOR_REACH_PX, _COLOR_REACH_PX)
        share = cv2.blur(mask.look_up(grouped), reach)
        amount = cv2.blur(mask.look_up(np.where(self._codes > 0, values, 0).astype(np.uint8)), reach)
        colors = np.asarray(cv2.divide(amount, share, scale=255), np.uint8)
        return np.asarray(geometry.resize_linear(colors, plane_format.plane_size_wh(index)), np.uint8)


def edge_level(width_px: float, spread_px: float) -> int:
    """Return the closeness 0..127 at which a line of this width begins to show."""
    return round(255 * NormalDist().cdf(-(width_px / 2 + 0.5) / spread_px))


@lru_cache(maxsize=32)
def line_table(width_px: float, spread_px: float, opacity: float) -> UInt8Array:
    """Return the opacity of a line from the closeness of a border, 0..127, uint8 [256].

    `spread_px` is the standard deviation of the smoothed edge: the byte says, by the normal distribution, how far away
    the border is. The start of the table stays empty, so that a flat area never becomes a line.
    """
    levels = [min(max(level / 255, 1e-6), 0.5) for level in range(256)]
    distances_px = np.array([-spread_px * NormalDist().inv_cdf(level) for level in levels])
    cover = np.clip(width_px / 2 + 0.5 - distances_px, 0.0, 1.0)
    cover[:2] = 0.0
    return np.asarray(np.rint(cover * opacity * 255), np.uint8)


@lru_cache(maxsize=1)
def steep_table() -> UInt8Array:
    """Return the table that makes a matte four times as steep round one half, uint8 [256]."""
    return np.asarray(np.clip(4 * (np.arange(256) - 127.5) + 127.5, 0, 255), np.uint8)


def separate_codes(indices: Sequence[int], class_count: int) -> tuple[int, ...]:
    """Return codes that give each of the classes `indices` a group of its own and leave out all others."""
    codes = [0] * class_count
    for code, index in enumerate(indices, start=1):
        codes[index] = code
    return tuple(codes)
