"""Turns pictures into the video frames of one encoder: its size, its pixel format, its colours.

Every conversion is by the exact matrices of rtseg.color, so the tags in the stream are the truth. A picture of another
size is fitted into the stream's size without distortion, centred, on black (transparent where the stream is).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from rtseg import color, geometry
from rtseg.types import Matrix, Picture, UInt8Array, UInt16Array, Yuv420, picture_size_wh

Plane: TypeAlias = "UInt8Array | UInt16Array"

# Source: ITU-T H.273 (code points of matrix coefficients, colour primaries, transfer characteristics). Where neither
# source nor matrix settles primaries and transfer, they are left open, so players guess as they did for the source.
UNSPECIFIED: Final = 2
MATRIX_CODES: Final[dict[Matrix, int]] = {"bt601": 6, "bt709": 1, "bt2020": 9}
PRIMARIES_OF_MATRIX: Final[dict[Matrix, int]] = {"bt601": UNSPECIFIED, "bt709": 1, "bt2020": 9}
TRANSFER_OF_MATRIX: Final[dict[Matrix, int]] = {"bt601": UNSPECIFIED, "bt709": 1, "bt2020": UNSPECIFIED}
LIMITED_RANGE, FULL_RANGE = 1, 2


@dataclass(frozen=True, slots=True)
class ColourTags:
    """What a stream says of its colours."""

    matrix: Matrix
    full_range: bool
    primaries: str | None = None
    """A name of `color.PRIMARIES_CODES`; None: what goes with the matrix."""
    transfer: str | None = None
    """A name of `color.TRANSFER_CODES`; None: what goes with the matrix."""

    def put_on(self, target: av.VideoFrame | VideoCodecContext) -> None:
        """Say in a frame or an encoder what its numbers mean; some encoders read the one, some the other."""
        target.color_range = FULL_RANGE if self.full_range else LIMITED_RANGE
        target.colorspace = MATRIX_CODES[self.matrix]
        target.color_primaries = color.PRIMARIES_CODES.get(self.primaries or "", PRIMARIES_OF_MATRIX[self.matrix])
        target.color_trc = color.TRANSFER_CODES.get(self.transfer or "", TRANSFER_OF_MATRIX[self.matrix])


class FramePainter:
    """Makes the encoder's frames out of pictures; keeps nothing of them."""

    def __init__(self, *, size_wh: tuple[int, int], pixel_format: str, tags: ColourTags) -> None:
        self.size_wh = size_wh
        self.pixel_format = pixel_format
        self.tags = tags
        self.matrix = tags.matrix
        self.full_range = tags.full_range

    def video_frame(self, picture: Picture) -> av.VideoFrame:
        """Return the picture as a frame of the encoder's format; the pixels are copied."""
        planes = self.fitted_planes(picture)
        frame = av.VideoFrame(*self.size_wh, self.pixel_format)
        for target, plane in zip(frame.planes, planes, strict=True):
            _fill_plane(target, plane)
        self.tags.put_on(frame)
        return frame

    def fitted_planes(self, picture: Picture) -> list[Plane]:
        """Return the planes of a picture of any size."""
        return self.planes(fit_picture(picture, self.size_wh))

    def planes(self, picture: Picture) -> list[Plane]:
        """Return the planes Y, U, V (and alpha) of a picture of the right size, uint8, or uint16 holding 10 bits."""
        planes: list[UInt8Array] = self._colour_planes(picture)
        if self.pixel_format.startswith("yuva"):
            planes.append(_alpha_plane(picture, self.size_wh))
        if not self.pixel_format.endswith("10le"):
            return [*planes]
        colours: list[Plane] = [plane.astype(np.uint16) * np.uint16(4) for plane in planes[:3]]
        return [*colours, *(_eight_to_ten_bits(alpha) for alpha in planes[3:])]

    def _colour_planes(self, picture: Picture) -> list[UInt8Array]:
        if "444" in self.pixel_format:
            return _planes_444(color.to_rgb(picture), self.matrix, self.full_range)
        yuv = self._as_yuv420(picture)
        if "422" not in self.pixel_format:
            return [yuv.y, yuv.u, yuv.v]
        chroma_wh = (self.size_wh[0] // 2, self.size_wh[1])
        return [yuv.y, *(geometry.resize_linear(plane, chroma_wh) for plane in (yuv.u, yuv.v))]

    def _as_yuv420(self, picture: Picture) -> Yuv420:
        if isinstance(picture, Yuv420) and (picture.matrix, picture.full_range) == (
            self.matrix,
            self.full_range,
        ):
            return picture
        return color.to_yuv420(color.to_rgb(picture), matrix=self.matrix, full_range=self.full_range)


def fit_picture(picture: Picture, size_wh: tuple[int, int]) -> Picture:
    """Return the picture fitted into another size without distortion, centred, on black or transparent."""
    width, height = picture_size_wh(picture)
    if (width, height) == size_wh:
        return picture
    pixels = color.to_rgb(picture) if isinstance(picture, Yuv420) else picture
    scale = min(size_wh[0] / width, size_wh[1] / height)
    inner_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.zeros((size_wh[1], size_wh[0], pixels.shape[2]), dtype=np.uint8)
    x, y = (size_wh[0] - inner_wh[0]) // 2, (size_wh[1] - inner_wh[1]) // 2
    canvas[y : y + inner_wh[1], x : x + inner_wh[0]] = geometry.resize_linear(pixels, inner_wh)
    return canvas


def _planes_444(rgb: UInt8Array, matrix: Matrix, full_range: bool) -> list[UInt8Array]:
    planes = cv2.split(cv2.transform(rgb, color.rgb_to_yuv_matrix(matrix, full_range)))
    return [np.asarray(plane, dtype=np.uint8) for plane in planes]


def _alpha_plane(picture: Picture, size_wh: tuple[int, int]) -> UInt8Array:
    if isinstance(picture, Yuv420) or picture.shape[2] != 4:
        return np.full((size_wh[1], size_wh[0]), 255, dtype=np.uint8)
    return np.ascontiguousarray(picture[..., 3])


def _eight_to_ten_bits(alpha: UInt8Array) -> UInt16Array:
    """Return alpha 0..255 as 0..1023: opaque must stay fully opaque, which a shift by two bits would not give."""
    return ((alpha.astype(np.uint32) * 1023 + 127) // 255).astype(np.uint16)


def _fill_plane(target: Any, plane: Plane) -> None:
    """Copy [h, w] pixels into a codec plane whose rows may be padded."""
    rows: Sequence[int] = (plane.shape[0], target.line_size // plane.dtype.itemsize)
    view = np.frombuffer(target, dtype=plane.dtype, count=rows[0] * rows[1]).reshape(rows)
    view[:, : plane.shape[1]] = plane
