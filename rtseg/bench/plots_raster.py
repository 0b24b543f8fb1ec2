"""A figure as pixels, by OpenCV: no plotting package is needed for a PNG."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Final, TypeAlias

import cv2
import numpy as np

from rtseg.bench.plots_drawing import Area, Box, Dot, Figure, Role, Shape, Stroke, Words, moved
from rtseg.types import UInt8Array

Rgb: TypeAlias = "tuple[int, int, int]"

LIGHT: Final[dict[Role, Rgb]] = {
    "ink": (28, 33, 40),
    "muted": (98, 107, 118),
    "grid": (225, 229, 234),
    "track": (234, 238, 243),
    "accent": (37, 99, 235),
    "bare": (124, 58, 237),
    "bad": (207, 34, 46),
    "good": (26, 127, 55),
    "decode": (14, 116, 144),
    "waiting": (188, 196, 206),
    "preprocess": (13, 148, 136),
    "infer": (79, 70, 229),
    "postprocess": (192, 38, 211),
    "render": (217, 119, 6),
    "sink": (101, 133, 28),
    "rest": (148, 163, 184),
}
"""Colours on white; the page uses the same ones, and others on dark."""
_SHIFT: Final = 4  # fractional bits of OpenCV's drawing functions
_DASH: Final = (4.0, 3.0)


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")  # OpenCV's own; it is inside the package


def pixels_of(figure: Figure, *, scale: float = 2.0) -> UInt8Array:
    """Return the figure on white, rgb uint8 [H, W, 3], `scale` pixels for each px of the figure."""
    canvas = np.full((round(figure.height * scale), round(figure.width * scale), 3), 255, np.uint8)
    for shape in figure.shapes:
        _draw(canvas, shape, scale)
    return canvas


def _draw(canvas: UInt8Array, shape: Shape, scale: float) -> None:
    if isinstance(shape, Words):
        _write(canvas, shape, scale)
    elif shape.opacity >= 1:
        _draw_solid(canvas, shape, scale)
    else:  # blended over the shape's own corner of the canvas only: a sheet has hundreds of pale boxes
        left, top, right, bottom = _bounds(shape, scale, canvas)
        region = canvas[top:bottom, left:right]
        if region.size:
            solid = region.copy()
            _draw_solid(solid, moved(shape, -left / scale, -top / scale), scale)
            cv2.addWeighted(solid, shape.opacity, region, 1 - shape.opacity, 0, dst=region)


def _draw_solid(target: UInt8Array, shape: Shape, scale: float) -> None:
    color = LIGHT[shape.role]
    if isinstance(shape, Box):
        _fill_box(target, shape, scale, color)
    elif isinstance(shape, Area):
        cv2.fillPoly(target, [_fixed(shape.points, scale)], color, cv2.LINE_AA, _SHIFT)
    elif isinstance(shape, Dot):
        center = _fixed(((shape.x, shape.y),), scale)[0]
        radius = round(shape.radius * scale * 2**_SHIFT)
        cv2.circle(target, (int(center[0]), int(center[1])), radius, color, -1, cv2.LINE_AA, _SHIFT)
    elif isinstance(shape, Stroke):
        _draw_stroke(target, shape, scale, color)


def _bounds(shape: Box | Area | Dot | Stroke, scale: float, canvas: UInt8Array) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what a shape can touch, in pixels inside the canvas."""
    if isinstance(shape, Box):
        corners = [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
    elif isinstance(shape, Dot):
        corners = [(shape.x + side * shape.radius, shape.y + side * shape.radius) for side in (-1, 1)]
    else:
        corners = list(shape.points)
    margin = 2 + (shape.width * scale if isinstance(shape, Stroke) else 0)
    xs, ys = ([corner[axis] * scale for corner in corners] for axis in (0, 1))
    height, width = canvas.shape[:2]
    left, top = max(0, int(min(xs) - margin)), max(0, int(min(ys) - margin))
    return left, top, min(width, int(max(xs) + margin) + 1), min(height, int(max(ys) + margin) + 1)


def _fill_box(target: UInt8Array, shape: Box, scale: float, color: Rgb) -> None:
    if shape.width <= 0:
        return
    corners = ((shape.x, shape.y), (shape.x + shape.width, shape.y))
    lower = ((shape.x + shape.width, shape.y + shape.height), (shape.x, shape.y + shape.height))
    cv2.fillPoly(target, [_fixed((*corners, *lower), scale)], color, cv2.LINE_AA, _SHIFT)


def _draw_stroke(target: UInt8Array, shape: Stroke, scale: float, color: Rgb) -> None:
    width = max(1, round(shape.width * scale))
    pieces = _dashes(shape.points) if shape.dashed else [shape.points]
    for piece in pieces:
        cv2.polylines(target, [_fixed(piece, scale)], False, color, width, cv2.LINE_AA, _SHIFT)


def _dashes(points: tuple[tuple[float, float], ...]) -> list[tuple[tuple[float, float], ...]]:
    """Return the dashes of a line, each piece between two points beginning anew."""
    pieces: list[tuple[tuple[float, float], ...]] = []
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        length = float(np.hypot(x2 - x1, y2 - y1))
        starts = np.arange(0.0, length, sum(_DASH))
        for start in starts if length > 0 else ():
            ends = [start / length, min(1.0, (start + _DASH[0]) / length)]
            pieces.append(tuple((x1 + (x2 - x1) * at, y1 + (y2 - y1) * at) for at in ends))
    return pieces


def _write(canvas: UInt8Array, shape: Words, scale: float) -> None:
    size, weight = round(shape.size * scale), 650 if shape.bold else 400
    width = raster_text_width(shape.text, size, bold=shape.bold)
    left = shape.x * scale - {"start": 0, "middle": width / 2, "end": width}[shape.anchor]
    origin = (round(left), round(shape.y * scale))
    cv2.putText(canvas, shape.text, origin, LIGHT[shape.role], _font(), size, weight)


def raster_text_width(text: str, size: int, *, bold: bool = False) -> float:
    """Return how many pixels wide a text of this size is."""
    if not text:
        return 0.0
    box = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, 650 if bold else 400)
    return float(box[0] + box[2])


def _fixed(points: tuple[tuple[float, float], ...], scale: float) -> np.typing.NDArray[np.int32]:
    """Return points int32 [N, 2] in 1/16 pixels; OpenCV counts from the middle of a pixel."""
    values = (np.array(points, np.float64) * scale - 0.5) * 2**_SHIFT
    return np.rint(values).astype(np.int32)
