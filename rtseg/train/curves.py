"""The curves of a run as a picture: loss and learning rate over the samples seen, and the validation scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from rtseg.render.palette import distinct_palette
from rtseg.types import UInt8Array

Points: TypeAlias = "list[tuple[float, float]]"
WIDTH_PX: Final = 960
PANEL_HEIGHT_PX: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 38, 34
_INK: Final = (60, 60, 60)
_GRID: Final = (226, 226, 226)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot."""

    title: str
    lines: Mapping[str, Points]
    """Points (x, y) by the line's name."""
    smoothed: bool = False
    """True: the points are drawn faint, with their running mean over them."""


def curve_panels(rows: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Return the plots of the rows of `curves.jsonl`: loss, rate, and the scores where there are some."""
    losses = [(float(r["samples"]), float(r["loss"])) for r in rows if "loss" in r]
    rates = [(float(r["samples"]), float(r["rate"])) for r in rows if "rate" in r]
    scores: dict[str, Points] = {}
    for row in rows:
        for name, value in row.get("scores", {}).items():
            if value is not None and not name.endswith(("/accuracy", "/mad")):
                scores.setdefault(name, []).append((float(row["samples"]), float(value)))
    if len(scores) == 2:
        scores.pop("mean", None)  # one set: its score is the mean
    title = "validation of the averaged weights" + (f": {next(iter(scores))}" if len(scores) == 1 else "")
    panels = [
        Panel("loss over the pictures seen", {"loss": losses}, smoothed=True),
        Panel("learning rate over the pictures seen", {"rate": rates}),
    ]
    return panels + ([Panel(title, scores)] if scores else [])


def draw_curves(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the curves as a PNG; nothing is written while there is nothing to draw."""
    panels = [panel for panel in curve_panels(rows) if any(panel.lines.values())]
    if panels:
        sheet = np.concatenate([draw_panel(panel) for panel in panels], axis=0)
        cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def draw_panel(panel: Panel) -> UInt8Array:
    """Return one plot, rgb uint8 [PANEL_HEIGHT_PX, WIDTH_PX, 3]."""
    canvas = np.full((PANEL_HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    points = [point for line in panel.lines.values() for point in line if math.isfinite(point[1])]
    x_ticks = ticks(0.0, max((x for x, _ in points), default=1.0), 8)
    y_ticks = ticks(min((y for _, y in points), default=0.0), max((y for _, y in points), default=1.0), 5)
    axes = _Axes(x_ticks[0], max(x_ticks[-1], max((x for x, _ in points), default=1.0)), y_ticks[0], y_ticks[-1])
    _draw_grid(canvas, axes, x_ticks, y_ticks)
    _text(canvas, panel.title, (_LEFT, 22), 0.5)
    colors = distinct_palette(len(panel.lines))
    at = WIDTH_PX - _RIGHT
    for (name, line), color in reversed(list(zip(panel.lines.items(), colors, strict=True))):
        _draw_line(canvas, axes, line, color, smoothed=panel.smoothed)
        if len(panel.lines) > 1:
            at -= cv2.getTextSize(name, _FONT, 0.42, 1)[0][0] + 26
            cv2.line(canvas, (at, 18), (at + 16, 18), color, 2, cv2.LINE_AA)
            _text(canvas, name, (at + 20, 22), 0.42)
    return canvas


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers, at even steps of 1, 2 or 5, that enclose a range from below and above."""
    span = (high - low) or abs(high) or 1.0
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


@dataclass(frozen=True, slots=True)
class _Axes:
    """From values to pixels."""

    left: float
    right: float
    bottom: float
    top: float

    def place(self, x: float, y: float) -> tuple[int, int]:
        """Return the pixel of a value."""
        across = (x - self.left) / (self.right - self.left)
        up = (y - self.bottom) / (self.top - self.bottom)
        width, height = WIDTH_PX - _LEFT - _RIGHT, PANEL_HEIGHT_PX - _TOP - _BOTTOM
        return round(_LEFT + across * width), round(PANEL_HEIGHT_PX - _BOTTOM - up * height)


def _draw_grid(canvas: UInt8Array, axes: _Axes, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
    for y in y_ticks:
        start, end = axes.place(axes.left, y), axes.place(axes.right, y)
        cv2.line(canvas, start, end, _GRID, 1)
        label = f"{y:.4g}"
        width = cv2.getTextSize(label, _FONT, 0.4, 1)[0][0]
        _text(canvas, label, (_LEFT - 8 - width, start[1] + 4), 0.4)
    for x in (x for x in x_ticks if x <= axes.right):
        place = axes.place(x, axes.bottom)
        cv2.line(canvas, place, (place[0], place[1] + 4), _INK, 1)
        label = f"{x / 1000:g}k" if x >= 1000 else f"{x:g}"
        width = cv2.getTextSize(label, _FONT, 0.4, 1)[0][0]
        left = min(place[0] - width // 2, WIDTH_PX - width - 2)
        _text(canvas, label, (left, PANEL_HEIGHT_PX - 12), 0.4)
    cv2.line(canvas, axes.place(axes.left, axes.bottom), axes.place(axes.right, axes.bottom), _INK, 1)


def _draw_line(canvas: UInt8Array, axes: _Axes, line: Points, color: tuple[int, int, int], *, smoothed: bool) -> None:
    known = [(x, y) for x, y in line if math.isfinite(y)]
    if smoothed and len(known) > 8:
        faint = tuple(round(255 - (255 - value) * 0.3) for value in color)
        _polyline(canvas, axes, known, (faint[0], faint[1], faint[2]), 1)
        known = _running_mean(known)
    _polyline(canvas, axes, known, color, 2)
    if len(known) < 40:
        for x, y in known:
            cv2.circle(canvas, axes.place(x, y), 3, color, -1, cv2.LINE_AA)


def _running_mean(line: Points, share: float = 0.05) -> Points:
    """Return the points with y averaged over the neighbours, a window of `share` of the line."""
    half = max(1, round(len(line) * share / 2))
    values = np.array([y for _, y in line])
    means = [float(values[max(0, i - half) : i + half + 1].mean()) for i in range(len(values))]
    return [(x, mean) for (x, _), mean in zip(line, means, strict=True)]


def _polyline(canvas: UInt8Array, axes: _Axes, line: Points, color: tuple[int, int, int], thickness: int) -> None:
    places = np.array([axes.place(x, y) for x, y in line], np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [places], False, color, thickness, cv2.LINE_AA)


def _text(canvas: UInt8Array, text: str, place: tuple[int, int], scale: float) -> None:
    cv2.putText(canvas, text, place, _FONT, scale, _INK, 1, cv2.LINE_AA)
