"""Soft, round, shaded shapes for figures: smooth outlines, masks, light on a volume, hair."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from rtseg.scenes.canvas import Colour, Points
from rtseg.types import FloatArray, UInt8Array

Spot = tuple[float, float]
"""A point of a drawing: x, y in its own pixels."""


def smooth(corners: Sequence[Spot], *, closed: bool = True, steps: int = 8) -> Points:
    """Return a smooth curve through the corners (Catmull-Rom), float64 [N * steps, 2]."""
    points = np.array(corners, np.float64)
    count = len(points)
    share = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = []
    for index in range(count if closed else count - 1):
        around = [index - 1, index, index + 1, index + 2]
        wrapped = [i % count for i in around] if closed else [min(max(i, 0), count - 1) for i in around]
        a, b, c, d = points[wrapped]
        curve.append(
            0.5
            * (2 * b + (c - a) * share + (2 * a - 5 * b + 4 * c - d) * share**2 + (3 * b - a - 3 * c + d) * share**3)
        )
    return np.concatenate(curve)


def mirrored(half: Sequence[Spot], middle_x: float) -> list[Spot]:
    """Return a closed outline from its right half, given from top to bottom as offsets from the middle."""
    right = [(middle_x + x, y) for x, y in half]
    left = [(middle_x - x, y) for x, y in reversed(half) if x > 0]
    return right + left


def mask_of(shape_hw: tuple[int, int], outline: Points, softness_px: float = 0.7) -> FloatArray:
    """Return how far each pixel lies in an outline, float32 [h, w], 0..1, with a soft edge."""
    mask = np.zeros(shape_hw, np.float32)
    margin = 3 * softness_px + 2
    (x0, y0), (x1, y1) = outline.min(axis=0) - margin, outline.max(axis=0) + margin
    rows = slice(max(0, int(y0)), max(0, min(shape_hw[0], int(y1) + 1)))
    columns = slice(max(0, int(x0)), max(0, min(shape_hw[1], int(x1) + 1)))
    part = np.zeros(mask[rows, columns].shape, np.uint8)
    if part.size == 0:
        return mask
    cv2.fillPoly(part, [np.rint((outline - (columns.start, rows.start)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    mask[rows, columns] = blurred(part.astype(np.float32) / np.float32(255), softness_px)
    return mask


def blurred(values: FloatArray, radius_px: float) -> FloatArray:
    """Return the values smoothed by a Gaussian of that deviation."""
    if radius_px <= 0:
        return values
    return np.asarray(cv2.GaussianBlur(values, (0, 0), radius_px), dtype=np.float32)


def light_on(mask: FloatArray, radius_px: float, towards: Spot, contrast: float) -> FloatArray:
    """Return the brightness of a round body with that outline, float32 [h, w], about 1.

    Args:
        mask: where the body is, 0..1.
        radius_px: how far its rounding reaches inwards.
        towards: direction to the light in the picture, x to the right, y down.
        contrast: 0 is flat, 1 is strong.
    """
    rows, columns = _extent(mask, 6)
    shade = np.ones(mask.shape, np.float32)
    if rows.start == rows.stop:
        return shade
    inside = np.ascontiguousarray(mask[rows, columns] > 0.5).astype(np.uint8)
    distance = np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), dtype=np.float32)
    share = np.clip(distance / np.float32(radius_px), 0, 1)
    height = blurred(np.sqrt(np.float32(1) - (1 - share) ** 2) * np.float32(radius_px), radius_px * 0.22)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    tilt = -(slope_x * towards[0] + slope_y * towards[1]) / length
    shade[rows, columns] = 1 + contrast * (0.42 * tilt + 0.34 * (1 / length - 0.85))
    return shade


def paint(picture: FloatArray, mask: FloatArray, colour: Colour, shade: FloatArray | float = 1.0) -> None:
    """Lay a colour, brightened by shade, over a premultiplied rgba picture, float32 [h, w, 4] 0..255, in place."""
    rows, columns = _extent(mask, 0)
    part = mask[rows, columns]
    cover = part[..., None]
    light = np.broadcast_to(shade, mask.shape)[rows, columns]
    tone = np.empty((*part.shape, 4), np.float32)
    tone[..., :3] = np.clip(np.multiply.outer(light, np.array(colour, np.float32)), 0, 255)
    tone[..., 3] = 255
    picture[rows, columns] += (tone - picture[rows, columns]) * cover


def finished(picture: FloatArray) -> UInt8Array:
    """Return a premultiplied picture as bytes, rgba uint8 [h, w, 4]."""
    return np.ascontiguousarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))


def strands(random: np.random.Generator, shape_hw: tuple[int, int], stretch: float) -> FloatArray:
    """Return streaks that run mostly downwards, float32 [h, w], mean about 0, deviation about 1."""
    height, width = shape_hw
    rows = max(4, int(height / stretch))
    coarse = random.standard_normal((rows, width), dtype=np.float32)
    coarse = 0.6 * coarse + 1.2 * blurred(coarse, 1.6)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def ragged(random: np.random.Generator, mask: FloatArray, reach_px: float, softness_px: float) -> FloatArray:
    """Return a mask whose edge frays like hair."""
    wide = blurred(mask, reach_px)
    fray = 0.16 * strands(random, (mask.shape[0], mask.shape[1]), 14.0)
    frayed = np.clip((wide + fray * 4 * wide * (1 - wide) - 0.5) * (reach_px / 1.3) + 0.5, 0, 1)
    return blurred(frayed.astype(np.float32), softness_px)


def limb(start: Spot, end: Spot, r0: float, r1: float) -> Points:
    """Return the outline of a rounded limb between two joints with radii r0 and r1."""
    a, b = np.array(start, np.float64), np.array(end, np.float64)
    direction = float(np.arctan2(b[1] - a[1], b[0] - a[0]))
    back = np.linspace(direction + np.pi / 2, direction + 3 * np.pi / 2, 12)
    front = np.linspace(direction - np.pi / 2, direction + np.pi / 2, 12)
    first = a + r0 * np.stack([np.cos(back), np.sin(back)], axis=1)
    return np.concatenate([first, b + r1 * np.stack([np.cos(front), np.sin(front)], axis=1)])


def _extent(mask: FloatArray, margin_px: int) -> tuple[slice, slice]:
    """Return the rows and columns that a mask covers, with a margin."""
    rows, columns = np.flatnonzero(mask.max(axis=1) > 0), np.flatnonzero(mask.max(axis=0) > 0)
    if rows.size == 0:
        return slice(0, 0), slice(0, 0)
    top, left = max(0, int(rows[0]) - margin_px), max(0, int(columns[0]) - margin_px)
    return slice(top, int(rows[-1]) + 1 + margin_px), slice(left, int(columns[-1]) + 1 + margin_px)
