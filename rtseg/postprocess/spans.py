"""Where, in a large picture, a small mask is anything but flat: the only places that need work a pixel at a time.

Note [Spans]
    A frame is cut into bands of rows, and each band, left to right, into spans: flat ones, in which the small mask is
    0 or 255 all over, and restless ones, in which it is not. A flat span is filled with one byte. A restless one is
    worked out a pixel at a time, from the small planes, in pieces that stay in the processor's cache: whole planes of
    floats as large as a frame would not, and cost twice the time.

    A part of a plane is scaled to exactly the bytes that it has when the whole plane is scaled. For that it must begin
    where a pixel of the small plane and one of the frame meet, which is at multiples of a unit: 256 rows and 720 meet
    every 16 and 45. Scaling takes the first pixels after such a place from the small pixel before it as well; so these
    belong to the part before, and a part reaches a bit beyond the next such place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from rtseg.geometry import PixelArray
from rtseg.types import UInt8Array

BANDS: Final[int] = 8
"""Bands a frame, about: fewer waste pixels, more waste calls."""
JOIN_SHARE: Final[float] = 0.05
"""Restless spans with less than this share of the width between them are one."""
_KERNEL: Final = np.ones((3, 3), np.uint8)
_RUNS: Final = re.compile(rb"\0+|[^\0]+")  # the quickest way to the runs of a row of bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one side of the frame, and where on the mask it is scaled from."""

    start: int
    """First pixel of the frame."""
    end: int
    """The one after the last."""
    mask_start: int
    """First pixel of the mask that it is scaled from."""
    mask_end: int
    """The one after the last."""
    skipped: int
    """Pixels of what is scaled that lie before the first."""


class Axis:
    """How one side of the mask lies under that of the frame; see Note [Spans]."""

    def __init__(self, mask_px: int, frame_px: int) -> None:
        self.mask_px = mask_px
        self.frame_px = frame_px
        self.scale = frame_px / mask_px
        self.units = math.gcd(mask_px, frame_px)
        self._mask_unit_px = mask_px // self.units
        self._frame_unit_px = frame_px // self.units
        self._lead_px = max(0, math.ceil(self.scale / 2 - 0.5))
        self.piece = lru_cache(maxsize=4096)(self._piece)
        """Returns the piece of the units first up to, not with, last; most come again in the next frame."""

    def _piece(self, first: int, last: int) -> Piece:
        mask_start = first * self._mask_unit_px
        start, end = (self._frame_px(unit) for unit in (first, last))
        needed = math.ceil((end - 0.5) / self.scale - 0.5) + 1
        return Piece(start, end, mask_start, min(self.mask_px, needed), start - first * self._frame_unit_px)

    def _frame_px(self, unit: int) -> int:
        """Return where the piece of a unit begins: a few pixels after the unit, unless it is at an end."""
        inside = 0 < unit < self.units
        return unit * self._frame_unit_px + (self._lead_px if inside else 0)


@dataclass(frozen=True, slots=True)
class Span:
    """A box of the frame."""

    rows: Piece
    columns: Piece
    level: int | None
    """The byte that the mask has all over it; None: a restless span."""

    def of(self, plane: PixelArray) -> PixelArray:
        """Return the part of a plane of frame size that it covers; a view."""
        return plane[self.rows.start : self.rows.end, self.columns.start : self.columns.end]

    def of_mask(self, plane: PixelArray) -> PixelArray:
        """Return the part of a plane of mask size that it is scaled from; a view."""
        rows, columns = self.rows, self.columns
        return plane[rows.mask_start : rows.mask_end, columns.mask_start : columns.mask_end]


class SpanGrid:
    """Finds spans between masks of one size and frames of another, larger one."""

    def __init__(self, mask_wh: tuple[int, int], frame_wh: tuple[int, int]) -> None:
        self.mask_wh = mask_wh
        self.frame_wh = frame_wh
        self._across, self._down = Axis(mask_wh[0], frame_wh[0]), Axis(mask_wh[1], frame_wh[1])
        step = max(1, self._down.units // BANDS)
        self._bands = [
            self._down.piece(first, min(first + step, self._down.units)) for first in range(0, self._down.units, step)
        ]
        # An odd length: closing with an even one would shift what it joins by a pixel.
        self._join = np.ones((1, 2 * round(JOIN_SHARE * mask_wh[0] / 2) + 1), np.uint8)

    def spans(self, mask: UInt8Array, restless: UInt8Array) -> Iterator[Span]:
        """Yield spans that cover the frame, flat and restless ones.

        Args:
            mask: uint8 [h, w].
            restless: where the mask may not be taken for flat, besides where it is neither 0 nor 255, uint8 [h, w].
        """
        for band, units in zip(self._bands, self._restless_units(mask, restless), strict=True):
            for run in _RUNS.finditer(units.tobytes()):
                columns = self._across.piece(*run.span())
                busy = run.group()[0] > 0
                yield Span(band, columns, None if busy else int(mask[band.mask_start, columns.mask_start]))

    def part(self, plane: PixelArray, span: Span) -> PixelArray:
        """Return the part that a span covers of a plane of mask size scaled to the frame."""
        rows, columns = span.rows, span.columns
        small = span.of_mask(plane)
        scaled = np.asarray(
            cv2.resize(small, None, fx=self._across.scale, fy=self._down.scale, interpolation=cv2.INTER_LINEAR),
            plane.dtype,
        )
        return scaled[rows.skipped :, columns.skipped :][: rows.end - rows.start, : columns.end - columns.start]

    def _restless_units(self, mask: UInt8Array, restless: UInt8Array) -> UInt8Array:
        """Return which units across the frame are restless in each band, uint8 [bands, units]: 0 is flat."""
        soft = cv2.inRange(mask, 1, 254)
        reach = cv2.dilate(cv2.max(soft, restless, dst=soft), _KERNEL)
        reach = cv2.max(reach, cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, _KERNEL), dst=reach)
        rows = np.empty((len(self._bands), mask.shape[1]), np.uint8)
        for row, band in zip(rows, self._bands, strict=True):
            cv2.reduce(reach[max(0, band.mask_start - 1) : band.mask_end], 0, cv2.REDUCE_MAX, dst=row[None])
        joined = cv2.morphologyEx(rows, cv2.MORPH_CLOSE, self._join)
        return np.asarray(joined.reshape(len(rows), self._across.units, -1).max(axis=2), np.uint8)
