"""The geometry of a sample: crop, scale, stretch, rotation and flip in one matrix, applied once."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.train.augment import AugmentSettings
from rtseg.types import UInt8Array

AffineMap = npt.NDArray[np.float64]
"""[2, 3], from the coordinates of output pixels to those of source pixels; whole numbers are centres of pixels."""
HALVE_FROM: Final = 1.6
"""Source pixels an output pixel (a side) from which the picture is halved first, so that nothing thin flickers."""


def random_warp(
    size_wh: tuple[int, int], out_wh: tuple[int, int], settings: AugmentSettings, rng: np.random.Generator
) -> AffineMap:
    """Return a random view of a picture.

    Args:
        size_wh: of the picture.
        out_wh: of the sample; a whole picture is stretched to it, as the engine does.
        settings: how far the view may go.
        rng: the sample's generator.
    """
    crop, angle = np.array([1.0, 1.0]), 0.0
    if rng.random() >= settings.whole_share:
        side = rng.uniform(settings.smallest_crop, settings.largest_crop)
        crop = side * np.exp(np.array([0.5, -0.5]) * rng.normal(0, 2 * settings.stretch))
        crop = np.clip(crop, settings.smallest_crop, settings.largest_crop)
        angle = float(np.deg2rad(rng.uniform(-1, 1) * settings.rotation_degrees))
    room = np.abs(1 - crop) / 2 * size_wh
    centre = np.array(size_wh) / 2 + rng.uniform(-1, 1, 2) * room
    flip = settings.flip and rng.random() < 0.5
    return view(centre, crop * size_wh, out_wh, angle, flip=bool(flip))


def view(
    centre: npt.ArrayLike, seen_wh: npt.ArrayLike, out_wh: tuple[int, int], angle: float = 0.0, *, flip: bool = False
) -> AffineMap:
    """Return the matrix that shows a rectangle of the source, turned by an angle, as the whole output.

    Args:
        centre: x and y of its middle in source pixels, edges of pixels being whole numbers.
        seen_wh: its width and height in source pixels.
        out_wh: size of the output.
        angle: in radians.
        flip: mirrored.
    """
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag(np.asarray(seen_wh, np.float64) / out_wh)
    if flip:
        linear[:, 0] *= -1
    offset = np.asarray(centre, np.float64) - linear @ (np.array(out_wh) / 2)
    # Output pixel i has its centre at i + 0.5, and what lies at c in the source is in its pixel c - 0.5.
    return np.concatenate([linear, (offset + linear @ [0.5, 0.5] - 0.5)[:, None]], axis=1)


def warp_smooth(
    plane: UInt8Array, matrix: AffineMap, out_wh: tuple[int, int], outside: int | None = None
) -> UInt8Array:
    """Return a picture uint8 [H, W, 3] or a matte uint8 [H, W] moved by a matrix, interpolated.

    Args:
        plane: the source.
        matrix: the view.
        out_wh: size of the output.
        outside: value of what lies outside; None repeats the border.
    """
    while np.sqrt(abs(np.linalg.det(matrix[:, :2]))) > HALVE_FROM and min(plane.shape[:2]) >= 4:
        plane, matrix = _halved(plane, matrix)
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    moved = cv2.warpAffine(
        plane, matrix, out_wh, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR, borderMode=border,
        borderValue=(outside or 0,) * 4,
    )  # fmt: skip
    return np.asarray(moved, np.uint8)


def at_scale(matrix: AffineMap, source_factor: tuple[float, float], out_step: float) -> AffineMap:
    """Return the matrix of the same view between a resized source and a smaller output.

    Args:
        matrix: between the full ones.
        source_factor: width and height of the resized source, against the full one's.
        out_step: pixels of the full output a pixel of the smaller one, along each side.
    """
    scale = np.array(source_factor)
    linear, offset = matrix[:, :2], matrix[:, 2]
    # Pixel i of the smaller output has its centre at out_step * (i + 0.5) - 0.5 of the full one.
    offset = offset + linear @ np.full(2, 0.5 * out_step - 0.5)
    offset = (offset + 0.5) * scale - 0.5
    return np.concatenate([linear * out_step * scale[:, None], offset[:, None]], axis=1)


def warp_ids(ids: UInt8Array, matrix: AffineMap, out_wh: tuple[int, int], outside: int) -> UInt8Array:
    """Return ids uint8 [H, W] moved by a matrix: the nearest of each place, `outside` where there is none."""
    moved = cv2.warpAffine(
        ids, matrix, out_wh, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT,
        borderValue=(outside,),
    )  # fmt: skip
    return np.asarray(moved, np.uint8)


def looks_outside(matrix: AffineMap, size_wh: tuple[int, int], out_wh: tuple[int, int]) -> bool:
    """Return whether a view shows places outside the picture (by more than half a pixel)."""
    right, bottom = out_wh[0] - 1, out_wh[1] - 1
    corners = matrix @ np.array([[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1]])
    inside = (corners >= -1.0).all() and (corners <= np.array(size_wh)[:, None]).all()
    return not inside


def _halved(plane: UInt8Array, matrix: AffineMap) -> tuple[UInt8Array, AffineMap]:
    height, width = plane.shape[:2]
    half = (width // 2, height // 2)
    scale = np.array([half[0] / width, half[1] / height])
    matrix = matrix.copy()
    matrix[:, 2] = (matrix[:, 2] + 0.5) * scale - 0.5
    matrix[:, :2] *= scale[:, None]
    return np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8), matrix
