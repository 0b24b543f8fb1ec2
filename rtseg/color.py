"""Colour conversion between 4:2:0 planes and RGB for BT.601, BT.709 and BT.2020, full and limited range.

Source: ITU-R BT.601-7, BT.709-6, BT.2020-2 (non-constant luminance): luma weights and ranges.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.types import Matrix, Picture, UInt8Array, Yuv420

LUMA_WEIGHTS: Final[dict[Matrix, tuple[float, float]]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
"""Weights of red and blue in luma; green has the rest."""

# Source: ITU-T H.273 (colour primaries, transfer characteristics), by FFmpeg's names.
PRIMARIES_CODES: Final[dict[str, int]] = {
    "bt709": 1,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "film": 8,
    "bt2020": 9,
    "smpte428": 10,
    "smpte431": 11,
    "smpte432": 12,
    "ebu3213": 22,
}
"""Which red, green, blue and white are meant; what is not here is unknown."""
TRANSFER_CODES: Final[dict[str, int]] = {
    "bt709": 1,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "linear": 8,
    "log100": 9,
    "log316": 10,
    "iec61966-2-4": 11,
    "bt1361e": 12,
    "iec61966-2-1": 13,
    "bt2020-10": 14,
    "bt2020-12": 15,
    "smpte2084": 16,
    "smpte428": 17,
    "arib-std-b67": 18,
}
"""How light becomes numbers: "smpte2084" is PQ, "arib-std-b67" is HLG; what is not here is unknown."""


@cache
def yuv_to_rgb_matrix(matrix: Matrix, full_range: bool) -> npt.NDArray[np.float64]:
    """Return the affine map [3, 4] from (Y, U, V, 1) in bytes to (R, G, B) in bytes."""
    red, blue = LUMA_WEIGHTS[matrix]
    green = 1.0 - red - blue
    luma_gain = 1.0 if full_range else 255.0 / 219.0
    chroma_gain = 1.0 if full_range else 255.0 / 224.0
    offset = 0.0 if full_range else 16.0
    linear = np.array(
        [
            [luma_gain, 0.0, 2 * (1 - red) * chroma_gain],
            [luma_gain, -2 * (1 - blue) * blue / green * chroma_gain, -2 * (1 - red) * red / green * chroma_gain],
            [luma_gain, 2 * (1 - blue) * chroma_gain, 0.0],
        ]
    )
    shift = -linear @ np.array([offset, 128.0, 128.0])
    return np.hstack([linear, shift[:, None]])


@cache
def rgb_to_yuv_matrix(matrix: Matrix, full_range: bool) -> npt.NDArray[np.float64]:
    """Return the affine map [3, 4] from (R, G, B, 1) in bytes to (Y, U, V) in bytes."""
    forward = yuv_to_rgb_matrix(matrix, full_range)
    linear = np.linalg.inv(forward[:, :3])
    return np.hstack([linear, -(linear @ forward[:, 3])[:, None]])


def to_rgb(picture: Picture) -> UInt8Array:
    """Return the picture as rgb uint8 [H, W, 3]; RGB itself is returned as it is, alpha is left out."""
    if not isinstance(picture, Yuv420):
        return picture if picture.shape[2] == 3 else np.ascontiguousarray(picture[..., :3])
    size_wh = picture.size_wh
    chroma = [cv2.resize(plane, size_wh, interpolation=cv2.INTER_LINEAR) for plane in (picture.u, picture.v)]
    merged = cv2.merge([picture.y, *chroma])
    return np.asarray(cv2.transform(merged, yuv_to_rgb_matrix(picture.matrix, picture.full_range)), dtype=np.uint8)


def to_yuv420(rgb: UInt8Array, *, matrix: Matrix, full_range: bool) -> Yuv420:
    """Return an rgb uint8 [H, W, 3] picture of even size as 4:2:0 planes; chroma is the mean of its four pixels."""
    planes = cv2.split(cv2.transform(rgb, rgb_to_yuv_matrix(matrix, full_range)))
    half_wh = (rgb.shape[1] // 2, rgb.shape[0] // 2)
    u, v = (np.asarray(cv2.resize(plane, half_wh, interpolation=cv2.INTER_AREA), np.uint8) for plane in planes[1:])
    return Yuv420(y=np.asarray(planes[0], np.uint8), u=u, v=v, matrix=matrix, full_range=full_range)


def rgb_color_to_yuv(rgb: tuple[int, int, int], *, matrix: Matrix, full_range: bool) -> tuple[int, int, int]:
    """Return one RGB colour as (Y, U, V) bytes."""
    y, u, v = np.clip(np.rint(rgb_to_yuv_matrix(matrix, full_range) @ np.array([*rgb, 1.0])), 0, 255).astype(int)
    return int(y), int(u), int(v)
