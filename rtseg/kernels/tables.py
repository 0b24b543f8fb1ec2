"""Small tables that kernels read: computed once on the CPU, exactly as OpenCV computes them, then uploaded."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from rtseg.color import rgb_to_yuv_matrix, yuv_to_rgb_matrix
from rtseg.types import FloatArray, Matrix

Int32Array = npt.NDArray[np.int32]

_WEIGHT_BITS: Final[int] = 11
_MATRIX_BITS: Final[int] = 10
_LEAST_OVERLAP: Final[float] = 1e-3


def linear_taps(before: int, after: int, *, rows: bool) -> Int32Array:
    """Return the two pixels behind each pixel of a bilinear resize, and their weights, int32 [4, after].

    Rows of the table: index of the lower pixel, of the higher one, weight of the lower one, of the higher one; weights
    are in 11 bits. Half-pixel centres. Beyond the border both indices are the border's; OpenCV then gives a column
    all the weight once, a row in two parts, which rounds differently.
    """
    places = ((np.arange(after) + 0.5) * (1 / (after / before)) - 0.5).astype(np.float32)
    lows = np.floor(places).astype(np.int32)
    shares = (places - lows).astype(np.float32)
    if not rows:
        shares[(lows < 0) | (lows >= before - 1)] = 0
    weights = [np.rint(share * np.float32(1 << _WEIGHT_BITS)) for share in (np.float32(1) - shares, shares)]
    indices = [np.clip(lows + step, 0, before - 1) for step in (0, 1)]
    return np.stack([*indices, *weights]).astype(np.int32)


def area_taps(before: int, after: int) -> tuple[Int32Array, FloatArray]:
    """Return the pixels under each pixel of a resize by area: first index int32 [after], weights float32 [after, T].

    Weights of one pixel sum to 1; parts below a thousandth of a pixel do not count. `T` is as many as any pixel needs.
    """
    scale = before / after
    firsts, rows = [], []
    for place in range(after):
        start, end = place * scale, min((place + 1) * scale, before)
        indices = range(math.floor(start), min(math.ceil(end), before))
        overlaps = {index: min(end, index + 1) - max(start, index) for index in indices}
        kept = {index: share / (end - start) for index, share in overlaps.items() if share > _LEAST_OVERLAP}
        firsts.append(min(kept))
        rows.append(list(kept.values()))
    weights = np.zeros((after, max(map(len, rows))), np.float32)
    for place, row in enumerate(rows):
        weights[place, : len(row)] = row
    return np.array(firsts, np.int32), weights


def mirrored_places(length: int, reach: int) -> Int32Array:
    """Return which pixel lies at each place from `reach` before the first to `reach` after the last, int32.

    Beyond the border the picture is mirrored at its outermost pixel, as often as it takes; OpenCV's usual border.
    """
    turn = max(1, 2 * (length - 1))
    places = np.abs(np.arange(-reach, length + reach)) % turn
    return np.asarray(np.minimum(np.minimum(places, turn - places), length - 1), np.int32)


def halving_factor(side_px: int, target_px: int) -> int:
    """Return by how much a side is averaged, a power of two, until it is at most twice the target."""
    factor = 1
    while side_px // factor > 2 * target_px and side_px // factor % 2 == 0:
        factor *= 2
    return factor


def is_area(before_wh: tuple[int, int], after_wh: tuple[int, int]) -> bool:
    """Return True where `rtseg.geometry.resize_linear` averages by area: both sides shrink by more than 2."""
    return min(before_wh[0] / after_wh[0], before_wh[1] / after_wh[1]) > 2


def matrix_table(matrix: Matrix, full_range: bool, *, to_rgb: bool) -> Int32Array:
    """Return the affine map between planes and RGB for bytes, int32 [3, 4] in 10 bits, rounding included."""
    exact = yuv_to_rgb_matrix(matrix, full_range) if to_rgb else rgb_to_yuv_matrix(matrix, full_range)
    return fixed_matrix(exact)


def fixed_matrix(exact: npt.NDArray[np.float64]) -> Int32Array:
    """Return an affine map [3, 4] of bytes in 10 bits, with one half added to the shift; int32 [3, 4]."""
    table = exact.astype(np.float32)
    table[:, 3] += np.float32(0.5)
    return np.asarray(np.rint(table * np.float32(1 << _MATRIX_BITS)), np.int32)


def input_levels(
    *, scale: float, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """Return what the network gets for each byte of each of its channels, [3, 256]: (byte * scale - mean) / std."""
    scaled = np.arange(256, dtype=np.float64)[None] * scale
    return np.asarray((scaled - np.array(mean)[:, None]) / np.array(std)[:, None])


def box_taps(length: int, sides: tuple[int, ...]) -> tuple[Int32Array, FloatArray]:
    """Return several box averages in a row, the border repeated, as one table: index of taps and their weights.

    Returns:
        first: index of the first tap of every place, int32 [length].
        weights: float32 [length, T]; a place near the border has its taps inside.
    """
    operator = np.eye(length)
    for side in sides:
        operator = _box_operator(length, side) @ operator
    reach = sum(side // 2 for side in sides)
    count = min(length, 2 * reach + 1)
    firsts = np.clip(np.arange(length) - reach, 0, length - count).astype(np.int32)
    columns = firsts[:, None] + np.arange(count)[None]
    return firsts, np.take_along_axis(operator, columns, axis=1).astype(np.float32)


def _box_operator(length: int, side: int) -> npt.NDArray[np.float64]:
    operator = np.zeros((length, length))
    for step in range(-(side // 2), side // 2 + 1):
        np.add.at(operator, (np.arange(length), np.clip(np.arange(length) + step, 0, length - 1)), 1 / side)
    return operator
