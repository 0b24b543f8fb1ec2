"""Display orientation: the eight ways a stored picture can have to be turned before it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.types import Picture, UInt8Array, Yuv420


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture becomes the displayed one: transpose first, then mirror."""

    transposed: bool = False
    """Swap rows and columns."""
    mirrored_x: bool = False
    """Then swap left and right."""
    mirrored_y: bool = False
    """Then swap top and bottom."""

    @property
    def is_identity(self) -> bool:
        """True where the picture is shown as it is stored."""
        return self == UPRIGHT

    def size_wh(self, stored_wh: tuple[int, int]) -> tuple[int, int]:
        """Return the displayed width and height of a picture stored at `stored_wh`."""
        return (stored_wh[1], stored_wh[0]) if self.transposed else stored_wh

    def turn_plane(self, plane: UInt8Array) -> UInt8Array:
        """Return the plane uint8 [h, w] or [h, w, C] as it is to be shown; a copy unless it is the identity."""
        turned = cv2.transpose(plane) if self.transposed else plane
        flip_code = {(True, True): -1, (True, False): 1, (False, True): 0}.get((self.mirrored_x, self.mirrored_y))
        return np.asarray(turned if flip_code is None else cv2.flip(turned, flip_code), dtype=np.uint8)

    def turn(self, picture: Picture) -> Picture:
        """Return the picture as it is to be shown, read-only; planes of a 4:2:0 picture are turned one by one."""
        if self.is_identity:
            return picture
        if not isinstance(picture, Yuv420):
            return _read_only(self.turn_plane(picture))
        y, u, v = (_read_only(self.turn_plane(plane)) for plane in (picture.y, picture.u, picture.v))
        return Yuv420(y=y, u=u, v=v, matrix=picture.matrix, full_range=picture.full_range)

    def __str__(self) -> str:
        """Say it in words: "90 clockwise", "mirrored left to right"."""
        return _WORDS[self.transposed, self.mirrored_x, self.mirrored_y]


UPRIGHT: Final = Orientation()
"""Shown as stored."""

_WORDS: Final[dict[tuple[bool, bool, bool], str]] = {
    (False, False, False): "upright",
    (False, True, True): "180",
    (True, True, False): "90 clockwise",
    (True, False, True): "90 anticlockwise",
    (False, True, False): "mirrored left to right",
    (False, False, True): "mirrored top to bottom",
    (True, False, False): "transposed",
    (True, True, True): "transposed along the other diagonal",
}


def orientation_of_matrix(matrix: npt.NDArray[np.int32]) -> Orientation:
    """Return the orientation that a 3x3 display matrix of nine int32, row by row, comes closest to.

    A matrix that is no turn at all (all zero, as lying headers have it) is the identity.

    Source: ISO/IEC 14496-12, 8.3.2: x' = a x + c y, y' = b x + d y, with y downwards.
    """
    a, b, _, c, d = (int(value) for value in matrix[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(mirrored_x=a < 0, mirrored_y=d < 0)
    return Orientation(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)


def _read_only(plane: UInt8Array) -> UInt8Array:
    plane.flags.writeable = False
    return plane
