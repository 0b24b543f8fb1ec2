"""From a decoder's frame to a picture: planes without a copy where possible, RGB otherwise.

Note [One reformatter]: FFmpeg 8 leaks when a scaling context is made for every frame, so each source keeps one
`PictureReader` (and with it one `VideoReformatter`) for its whole life.

Note [Explicit colour]: FFmpeg's scaler guesses where a frame says nothing, and its fast conversions drop every other
chroma column. Matrix and range are therefore always named, and the slow exact flags are set; the result is within one
level of `rtseg.color` for every format and matrix, which a test holds.

Note [Side data once]: asking a frame for its side data ties the two into a reference cycle, so that the frame lives
until the garbage collector runs, and hundreds of pictures pile up. The display matrix is therefore read only when the
rotation, which costs nothing to ask for, is another one than before.
"""

from __future__ import annotations

from typing import Final

import av
import numpy as np
from av.buffer import Buffer
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from rtseg import color
from rtseg.errors import DecodeError
from rtseg.sources.orientation import UPRIGHT, Orientation, orientation_of_matrix
from rtseg.types import Matrix, Picture, UInt8Array, Yuv420

HD_HEIGHT_PX: Final = 720
"""Streams that do not name their matrix are BT.709 from this stored height on, BT.601 below: the usual rule."""

_MATRICES: Final[dict[int, Matrix]] = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
"""ITU-T H.273 matrix coefficients that a picture can carry; 4 (FCC) differs from BT.601 by less than a level."""

_PRIMARIES_NAMES: Final = {code: name for name, code in color.PRIMARIES_CODES.items()}
_TRANSFER_NAMES: Final = {code: name for name, code in color.TRANSFER_CODES.items()}
_SMPTE_240M: Final = 7
_SCALER_MATRICES: Final[dict[Matrix, Colorspace]] = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}
_EXACT: Final = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_LIMITED_GREY_TO_FULL: Final = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


def color_of(frame: av.VideoFrame) -> tuple[Matrix, bool]:
    """Return (matrix, full_range) of a frame as it is to be understood; see HD_HEIGHT_PX for what is not said."""
    name = frame.format.name
    guess: Matrix = "bt709" if frame.height >= HD_HEIGHT_PX or frame.colorspace == _SMPTE_240M else "bt601"
    matrix = _MATRICES.get(frame.colorspace, guess)
    if name.startswith("yuvj"):
        return matrix, True
    if frame.color_range == ColorRange.UNSPECIFIED:
        return matrix, name.startswith("gray") or frame.format.is_rgb
    return matrix, frame.color_range == ColorRange.JPEG


def primaries_and_transfer_of(frame: av.VideoFrame) -> tuple[str | None, str | None]:
    """Return FFmpeg's names of the (colour primaries, transfer characteristic) that a frame states; None: unknown."""
    return (
        _PRIMARIES_NAMES.get(int(frame.color_primaries)),
        _TRANSFER_NAMES.get(int(frame.color_trc)),
    )


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return how the frame has to be turned for display; see Note [Side data once]."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, Buffer) or matrix.buffer_size < 36:
        return UPRIGHT
    return orientation_of_matrix(np.frombuffer(memoryview(matrix), dtype=np.int32, count=9))


class PictureReader:
    """Turns decoder frames into pictures in display orientation. One for each source, see Note [One reformatter]."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._rotation: int | None = None
        self._orientation = UPRIGHT

    def read(self, frame: av.VideoFrame) -> Picture:
        """Return the picture of a frame, read-only and in display orientation.

        8-bit 4:2:0 of even size stays as its planes; all else becomes rgb uint8 [H, W, 3]. Alpha is left out.

        Lifetime: the planes of an upright picture are the decoder's own; they keep the decoder's frame alive.

        Raises:
            DecodeError: the pixel format cannot be converted.
        """
        name = frame.format.name
        even = not (frame.width % 2 or frame.height % 2)
        if even and name in ("yuv420p", "yuvj420p", "nv12") and frame.colorspace != _SMPTE_240M:
            picture: Picture = _planes(frame)
        else:
            picture = self._rgb(frame)
        rotation = frame.rotation
        if rotation != self._rotation:
            self._rotation, self._orientation = rotation, orientation_of(frame)
        return self._orientation.turn(picture)

    def _rgb(self, frame: av.VideoFrame) -> UInt8Array:
        matrix, full_range = color_of(frame)
        is_240m = frame.colorspace == _SMPTE_240M
        try:
            converted = self._reformatter.reformat(
                frame,
                format="rgb24",
                src_colorspace=Colorspace.SMPTE240M if is_240m else _SCALER_MATRICES[matrix],
                src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=_EXACT,
                threads=1,
            )
        except (av.FFmpegError, ValueError) as error:
            raise DecodeError(
                f"picture conversion: got pixel format {frame.format.name}; expected one that FFmpeg can turn into "
                f"RGB ({error}). Convert the file, for example to yuv420p."
            ) from error
        plane = converted.planes[0]
        rgb = _rows(plane, frame.height, frame.width * 3).reshape(frame.height, frame.width, 3)
        if frame.format.name.startswith("gray") and not full_range:  # the scaler takes every grey for full range
            rgb = _LIMITED_GREY_TO_FULL[rgb]
            rgb.flags.writeable = False
        return rgb


def _planes(frame: av.VideoFrame) -> Yuv420:
    matrix, full_range = color_of(frame)
    planes, half_width, half_height = frame.planes, frame.width // 2, frame.height // 2
    y = _rows(planes[0], frame.height, frame.width)
    if len(planes) == 2:
        interleaved = _rows(planes[1], half_height, frame.width)
        u, v = np.ascontiguousarray(interleaved[:, 0::2]), np.ascontiguousarray(interleaved[:, 1::2])
        u.flags.writeable = v.flags.writeable = False
    else:
        u, v = (_rows(plane, half_height, half_width) for plane in planes[1:3])
    return Yuv420(y=y, u=u, v=v, matrix=matrix, full_range=full_range)


def _rows(plane: VideoPlane, height: int, row_bytes: int) -> UInt8Array:
    """View the bytes of a plane, uint8 [height, row_bytes], read-only; the view keeps the decoder's frame alive."""
    line_bytes = plane.line_size
    pixels: UInt8Array = np.frombuffer(memoryview(plane), dtype=np.uint8)
    rows = pixels.reshape(-1, abs(line_bytes))[:height, :row_bytes]
    rows.flags.writeable = False
    return rows if line_bytes > 0 else rows[::-1]
