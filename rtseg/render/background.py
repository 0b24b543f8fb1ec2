"""The blurred background: a masked, normalised blur, so that no colour of the subject glows into it.

Note [Blur without a halo]
    Blurring the whole frame spreads the subject's colours over the background beside it. Here only background counts:
    blur(frame * b) / blur(b), where b is 1 on background and 0 near the subject, on a grid a few times coarser than
    the frame. Cells that touch the subject do not count at all. Where no background is near, inside a large subject,
    a much wider blur and at last the mean of the whole background fill in; it shows only where the mask is unsure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

import cv2
import numpy as np

from rtseg import geometry
from rtseg.render.painter import Shot, StatelessPainter
from rtseg.render.planes import Canvas, halved
from rtseg.render.weights import scaled_plane, weight_bytes
from rtseg.types import UInt8Array

STRONGEST_SPREAD: Final[float] = 0.05
"""Standard deviation of the blur at strength 1, in heights of the frame."""
PASSES: Final[int] = 3
"""Box blurs in a row; three look like a Gaussian."""
_CELL_SPREAD: Final[float] = 2.2
_WIDE_SHARE: Final[float] = 0.01
_MEAN_SHARE: Final[float] = 1e-5
_TOUCH_GAIN: Final[float] = 8.0


class BlurPainter(StatelessPainter):
    """Draws the blurred background over the background."""

    def __init__(self, background: Sequence[float], *, strength: float) -> None:
        self._weights = weight_bytes(background)
        self._subject = weight_bytes([1.0 - weight for weight in background])
        self._strength = strength

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas."""
        spread_px = self._strength * STRONGEST_SPREAD * canvas.format.size_wh[1]
        if spread_px < 0.3:
            return
        cell_px = cell_size_px(spread_px, canvas.format.size_wh, least_px=max(canvas.format.shrinks))
        layers = self._blurred(canvas, shot, cell_px, spread_px / cell_px)
        small = shot.mask.look_up(self._weights)
        weight = small
        for index, layer in enumerate(layers):
            size_wh = canvas.format.plane_size_wh(index)
            if index == 0 or canvas.format.shrinks[index] != canvas.format.shrinks[index - 1]:
                weight = scaled_plane(small, size_wh)
            canvas.mix_layer(index, shot.complement(weight), weight, scaled_plane(layer, size_wh))

    def _blurred(self, canvas: Canvas, shot: Shot, cell_px: int, spread_cells: float) -> list[UInt8Array]:
        """Return the three planes of the blurred background on the coarse grid, uint8 [h, w] each."""
        width, height = canvas.format.size_wh
        cells_wh = (-(-width // cell_px), -(-height // cell_px))
        coarse = [shrunk(plane, cells_wh) for plane in canvas.planes]
        subject = shrunk_or_scaled(shot.mask.look_up(self._subject), cells_wh)
        return normalised_blur(coarse, background_cells(subject), spread_cells)


def cell_size_px(spread_px: float, size_wh: tuple[int, int], *, least_px: int) -> int:
    """Return the side of a cell of the coarse grid: as coarse as the blur allows, a divisor of the frame if it can."""
    most_px = int(max(least_px, spread_px / _CELL_SPREAD))
    for cell_px in range(most_px, most_px // 2, -1):
        if cell_px >= least_px and size_wh[0] % cell_px == 0 and size_wh[1] % cell_px == 0:
            return cell_px
    return most_px


def shrunk(plane: UInt8Array, cells_wh: tuple[int, int]) -> UInt8Array:
    """Return the plane averaged over the cells, uint8 [h, w]; halved as long as that fits, which is the quick way."""
    while all(side % 2 == 0 and side >= 2 * cells for side, cells in zip(plane.shape, cells_wh[::-1], strict=False)):
        plane = halved(plane)
    if (plane.shape[1], plane.shape[0]) == cells_wh:
        return plane
    return np.asarray(cv2.resize(plane, cells_wh, interpolation=cv2.INTER_AREA), np.uint8)


def shrunk_or_scaled(plane: UInt8Array, cells_wh: tuple[int, int]) -> UInt8Array:
    """Return a mask of any size on the cells, uint8 [h, w]; one as large as a frame is halved first."""
    large = plane.shape[1] >= 4 * cells_wh[0] and plane.shape[0] >= 4 * cells_wh[1]
    return shrunk(plane, cells_wh) if large else geometry.resize_linear(plane, cells_wh)


def background_cells(subject: UInt8Array) -> UInt8Array:
    """Return how much each cell counts as background, uint8 [h, w]; nothing at all beside the subject."""
    near = cv2.dilate(subject, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.LUT(near, _touch_table()), np.uint8)


@cache
def _touch_table() -> UInt8Array:
    """Return the table from how much subject is near a cell to how much the cell counts, uint8 [256]."""
    return np.asarray(np.clip(255 - _TOUCH_GAIN * np.arange(256), 0, 255), np.uint8)


def normalised_blur(planes: Sequence[UInt8Array], weight: UInt8Array, spread_cells: float) -> list[UInt8Array]:
    """Return planes uint8 [h, w] blurred over the cells that count, by `weight` uint8 [h, w]."""
    # One array of four channels: colour times weight, and the weight itself, so that one blur does for all.
    share = cv2.merge([weight, weight, weight, weight])
    stack = np.asarray(cv2.multiply(cv2.merge([*planes, _full(weight.shape)]), share, dtype=cv2.CV_32F), np.float32)
    mean = np.array(cv2.mean(stack), np.float32)
    if mean[3] <= 0:  # no background in sight: there is nothing to draw, and nothing to divide by
        return list(planes)
    side = box_side(spread_cells)
    wide_side = 4 * side + 1
    wide = cv2.blur(stack, (wide_side, wide_side), borderType=cv2.BORDER_REPLICATE)
    for _ in range(PASSES):
        cv2.blur(stack, (side, side), dst=stack, borderType=cv2.BORDER_REPLICATE)
    cv2.addWeighted(stack, 1.0, wide, _WIDE_SHARE, 0.0, dst=stack)
    stack += np.float32(_MEAN_SHARE) * mean
    *colors, count = cv2.split(stack)
    return [np.asarray(cv2.divide(plane, count, scale=255, dtype=cv2.CV_8U), np.uint8) for plane in colors]


@lru_cache(maxsize=4)
def _full(shape: tuple[int, ...]) -> UInt8Array:
    return np.full(shape, 255, np.uint8)


def box_side(spread_cells: float) -> int:
    """Return the odd side of a box that, passed three times, blurs with this standard deviation, in cells."""
    return 2 * max(1, round((math.sqrt(4 * spread_cells**2 + 1) - 1) / 2)) + 1
