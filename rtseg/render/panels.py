"""The panels over the picture: the HUD line and the legend with the live shares of the classes.

A panel is drawn in RGB into a small cached patch, and again only when what it says has changed; putting it on the
frame is one blend on each plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from rtseg.render.hud import HudState
from rtseg.render.painter import Shot, StatelessPainter
from rtseg.render.palette import Color
from rtseg.render.planes import Canvas, PlaneFormat, halved
from rtseg.types import FloatArray, UInt8Array

PANEL_COLOR: Final[Color] = (16, 20, 26)
PANEL_OPACITY: Final[float] = 0.66
TEXT_COLOR: Final[Color] = (240, 244, 248)
DIM_COLOR: Final[Color] = (70, 78, 88)

LEAST_LEGEND_HEIGHT_PX: Final[int] = 200
"""Frames lower than this have no room for a legend."""
LEAST_SHARE: Final[float] = 0.005
"""Classes that cover less are not listed."""
SETTLING_SECONDS: Final[float] = 0.6
"""Time constant of the shares in the legend."""
REFRESH_SECONDS: Final[float] = 0.2
"""How often the legend is written anew."""

_FONT: Final[int] = cv2.FONT_HERSHEY_SIMPLEX
_FONT_UNIT_PX: Final[float] = 22.0  # height of a capital at scale 1


@dataclass(frozen=True)
class Row:
    """One line of the legend."""

    name: str
    color: Color
    share: float
    """0..1, rounded to what is shown."""


class Panel:
    """A patch of RGB with an opacity, drawn once and blended often."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self.rgb: UInt8Array = np.full((height_px, width_px, 3), PANEL_COLOR, np.uint8)
        self.alpha: UInt8Array = rounded_rectangle(width_px, height_px, PANEL_OPACITY).copy()
        self._planes: dict[PlaneFormat, list[tuple[UInt8Array, UInt8Array]]] = {}

    def text(self, words: str, x: int, middle_y: int, size_px: float) -> None:
        """Write words, left edge at x, centred on a height; `size_px` is the height of a capital."""
        mark = written(words, size_px)
        # Placed by the start of the base line, which has room for tails below it and slanted ends before it.
        left, top = x - mark.pad_px, round(middle_y + size_px / 2) - mark.base_px
        rows, columns = (
            _overlap(top, mark.cover.shape[0], self.alpha.shape[0]),
            _overlap(left, mark.cover.shape[1], self.alpha.shape[1]),
        )
        cover = mark.cover[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        rgb, alpha = self.rgb[rows, columns], self.alpha[rows, columns]
        share = cover[..., None].astype(np.float32) / 255
        rgb[:] = np.rint(rgb + (np.array(TEXT_COLOR, np.float32) - rgb) * share)
        np.maximum(alpha, cover, out=alpha)

    def fill(self, x: int, y: int, width: int, height: int, color: Color) -> None:
        """Fill a box of the panel with an opaque colour."""
        self.rgb[y : y + height, x : x + width] = color
        self.alpha[y : y + height, x : x + width] = 255

    def blend(self, canvas: Canvas, x: int, y: int) -> None:
        """Draw the panel on the canvas with its top left corner at even x and y."""
        height, width = self.alpha.shape
        if canvas.format not in self._planes:
            self._planes[canvas.format] = self._converted(canvas.format)
        for index, (keep, premultiplied) in enumerate(self._planes[canvas.format]):
            canvas.mix_patch(index, (x, y, width, height), keep, premultiplied)

    def _converted(self, plane_format: PlaneFormat) -> list[tuple[UInt8Array, UInt8Array]]:
        keep = np.asarray(cv2.bitwise_not(self.alpha), np.uint8)
        planes = []
        for plane, shrink in zip(plane_format.full_size_planes(self.rgb), plane_format.shrinks, strict=True):
            amount = np.asarray(cv2.multiply(plane, self.alpha, scale=1 / 255), np.uint8)
            planes.append((halved(keep), halved(amount)) if shrink == 2 else (keep, amount))
        return planes


class HudPainter(StatelessPainter):
    """Draws the HUD line at the top right, written anew a few times a second: more often nobody could read it."""

    def __init__(self) -> None:
        self._drawn: tuple[str, tuple[int, int], Panel] | None = None
        self._written_seconds = 0.0

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas, where there is something to say."""
        if shot.hud is None:
            return
        size_wh = canvas.format.size_wh
        panel, gap = self._panel(size_wh, shot.hud, shot.pts_seconds), margin_px(size_wh)
        x = even(size_wh[0] - gap - panel.alpha.shape[1])
        if x >= 0 and gap + panel.alpha.shape[0] <= size_wh[1]:
            panel.blend(canvas, x, gap)

    def _panel(self, size_wh: tuple[int, int], hud: HudState, pts_seconds: float) -> Panel:
        drawn = self._drawn
        if drawn is not None and drawn[1] == size_wh:
            if 0 <= pts_seconds - self._written_seconds < REFRESH_SECONDS:
                return drawn[2]
            self._written_seconds = pts_seconds
            if drawn[0] == hud.line():
                return drawn[2]
        self._written_seconds = pts_seconds
        self._drawn = hud.line(), size_wh, hud_panel(hud.line(), size_wh)
        return self._drawn[2]


class LegendPainter(StatelessPainter):
    """Draws the legend at the top left: colour, name, bar and share of the classes in sight."""

    def __init__(self, classes: Sequence[str], palette: Sequence[Color], listed: Sequence[int]) -> None:
        self._classes, self._palette, self._listed = tuple(classes), tuple(palette), tuple(listed)
        self._shares: FloatArray | None = None
        self._updated_seconds = 0.0
        self._drawn: tuple[tuple[Row, ...], tuple[int, int], Panel] | None = None

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas, where there is room."""
        size_wh = canvas.format.size_wh
        if size_wh[1] < LEAST_LEGEND_HEIGHT_PX or size_wh[0] < LEAST_LEGEND_HEIGHT_PX:
            return
        panel = self._panel(size_wh, shot)
        gap = margin_px(size_wh)
        if panel is not None and gap + panel.alpha.shape[1] <= size_wh[0]:
            panel.blend(canvas, gap, gap)

    def _follow(self, shot: Shot) -> None:
        """Move the shown shares towards those of the frame, in step with the frame's time."""
        shares = shot.result.class_shares()
        passed = shot.pts_seconds - self._updated_seconds
        self._updated_seconds = shot.pts_seconds
        if self._shares is None or not 0 <= passed < 2:
            self._shares = shares
            return
        self._shares = self._shares + (shares - self._shares) * np.float32(1 - np.exp(-passed / SETTLING_SECONDS))

    def _panel(self, size_wh: tuple[int, int], shot: Shot) -> Panel | None:
        """Return the panel for this moment; counting and writing happen a few times a second only."""
        recent = 0 <= shot.pts_seconds - self._updated_seconds < REFRESH_SECONDS
        if self._drawn is None or not recent or self._drawn[1] != size_wh:
            self._follow(shot)
            rows = self._rows(size_wh)
            if self._drawn is None or self._drawn[:2] != (rows, size_wh):
                self._drawn = rows, size_wh, legend_panel(rows, size_wh, self._names_width_px(size_wh))
        return self._drawn[2] if self._drawn[0] else None

    def _rows(self, size_wh: tuple[int, int]) -> tuple[Row, ...]:
        shares = self._shares if self._shares is not None else np.zeros(len(self._classes), np.float32)
        seen = sorted((i for i in self._listed if shares[i] >= LEAST_SHARE), key=lambda i: -round(float(shares[i]), 2))
        rows = (Row(self._classes[i], self._palette[i], round(float(shares[i]), 2)) for i in seen)
        return tuple(rows)[: most_rows(size_wh)]

    def _names_width_px(self, size_wh: tuple[int, int]) -> int:
        """Return the width of the longest name, so that the panel keeps its width whatever is in sight."""
        return max((text_width_px(self._classes[i], text_px(size_wh)) for i in self._listed), default=0)


def hud_panel(line: str, size_wh: tuple[int, int]) -> Panel:
    """Return the panel with the HUD line for a frame of this size."""
    size_px = text_px(size_wh)
    panel = Panel(even(text_width_px(line, size_px) + 2 * size_px + 1), even(2.2 * size_px + 1))
    panel.text(line, round(size_px), panel.alpha.shape[0] // 2, size_px)
    return panel


def legend_panel(rows: Sequence[Row], size_wh: tuple[int, int], names_width_px: int) -> Panel:
    """Return the panel with one line a class for a frame of this size."""
    size_px = text_px(size_wh)
    row_px, pad = row_height_px(size_wh), round(size_px)
    share_px, bar_px = text_width_px("100%", size_px), round(4.5 * size_px)
    name_x = pad + round(1.9 * size_px)
    bar_x = name_x + names_width_px + pad
    share_x = bar_x + bar_px + round(0.7 * size_px)
    panel = Panel(even(share_x + share_px + pad), even(max(1, len(rows)) * row_px + pad))
    for position, row in enumerate(rows):
        middle = pad // 2 + row_px * position + row_px // 2
        side, bar_height = round(1.1 * size_px), max(2, round(0.4 * size_px))
        panel.fill(pad, middle - side // 2, side, side, row.color)
        panel.text(row.name, name_x, middle, size_px)
        panel.fill(bar_x, middle - bar_height // 2, bar_px, bar_height, DIM_COLOR)
        panel.fill(bar_x, middle - bar_height // 2, max(1, round(row.share * bar_px)), bar_height, row.color)
        percent = f"{100 * row.share:.0f}%"
        panel.text(percent, share_x + share_px - text_width_px(percent, size_px), middle, size_px)
    return panel


@dataclass(frozen=True)
class Written:
    """Words as they are written, on a patch of their own."""

    cover: UInt8Array
    """How much of each pixel the words cover, uint8 [h, w]."""
    pad_px: int
    """Room before the words."""
    base_px: int
    """Height of the base line, from the top."""


@lru_cache(maxsize=256)
def written(words: str, size_px: float) -> Written:
    """Return words written with capitals of this height."""
    scale, thickness = size_px / _FONT_UNIT_PX, stroke_px(size_px)
    (width, height), below = cv2.getTextSize(words, _FONT, scale, thickness)
    pad = thickness + 2
    cover = np.zeros((height + below + 2 * pad, width + 2 * pad), np.uint8)
    cv2.putText(cover, words, (pad, pad + height), _FONT, scale, 255, thickness, cv2.LINE_AA)
    return Written(cover, pad, pad + height)


def _overlap(start: int, length: int, most: int) -> slice:
    """Return the part of a stretch that lies within 0 .. most."""
    return slice(min(max(0, start), most), max(0, min(start + length, most)))


def text_px(size_wh: tuple[int, int]) -> float:
    """Return the height of a capital for a frame of this size: in proportion, but never too small to read."""
    return max(7.0, min(size_wh[1] / 58, size_wh[0] / 76))


def row_height_px(size_wh: tuple[int, int]) -> int:
    """Return the height of a line of the legend."""
    return round(1.9 * text_px(size_wh))


def most_rows(size_wh: tuple[int, int]) -> int:
    """Return how many lines the legend may have: no more than covers 45 % of the height."""
    return max(1, int(0.45 * size_wh[1] / row_height_px(size_wh)))


def margin_px(size_wh: tuple[int, int]) -> int:
    """Return the even distance of the panels from the border."""
    return even(max(4, size_wh[1] // 45))


def stroke_px(size_px: float) -> int:
    """Return how thick text of this height is written."""
    return max(1, round(size_px / 18))


def text_width_px(words: str, size_px: float) -> int:
    """Return how wide the words are."""
    (width, _), _ = cv2.getTextSize(words, _FONT, size_px / _FONT_UNIT_PX, stroke_px(size_px))
    return int(width)


def even(length: float) -> int:
    """Return the even whole number at or below a length."""
    return int(length) // 2 * 2


@lru_cache(maxsize=16)
def rounded_rectangle(width_px: int, height_px: int, opacity: float) -> UInt8Array:
    """Return the opacity of a box with round corners, uint8 [h, w]; not to be written on."""
    radius = max(2, min(width_px, height_px) // 8, round(0.02 * width_px))
    radius = min(radius, height_px // 2, width_px // 2, 14)
    finer = 4  # drawn larger and shrunk: smooth corners
    mark = np.zeros((height_px * finer, width_px * finer), np.uint8)
    reach = radius * finer
    right, bottom = width_px * finer - 1, height_px * finer - 1
    cv2.rectangle(mark, (reach, 0), (right - reach, bottom), 255, -1)
    cv2.rectangle(mark, (0, reach), (right, bottom - reach), 255, -1)
    for center in ((reach, reach), (right - reach, reach), (reach, bottom - reach), (right - reach, bottom - reach)):
        cv2.circle(mark, center, reach, 255, -1)
    shrunk = cv2.resize(mark, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(shrunk * opacity), np.uint8)
