"""Drawing on the planes of a picture: R, G, B or Y, U, V, with one code path for both.

Note [Blending on planes]
    Every effect is `out = plane * (1 - weight) + layer * weight`, one plane at a time. A 4:2:0 picture is never turned
    into RGB for it: colours are converted once with the matrix and range of the frame, and the half-size chroma planes
    get the weights at half size. Bytes are enough: `keep` is the byte 255 - weight, products are rounded to the
    nearest byte, and a weight of 0 gives back the very byte of the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from rtseg import color
from rtseg.recycling import Recycler
from rtseg.recycling import Scratch as Scratch  # what painters work in goes with the canvas
from rtseg.render.palette import Color
from rtseg.types import Matrix, Picture, UInt8Array, Yuv420, picture_size_wh

Box = tuple[int, int, int, int]
"""x, y, width, height in frame pixels; even numbers for 4:2:0."""


@dataclass(frozen=True)
class PlaneFormat:
    """How the three planes of a picture hold it; equal formats share converted colours and layers."""

    size_wh: tuple[int, int]
    """Size of the frame in pixels."""
    matrix: Matrix | None = None
    """Coefficients of Y, U, V; None where the planes are R, G, B."""
    full_range: bool = False
    """Range of Y, U, V."""

    @classmethod
    def of(cls, picture: Picture) -> PlaneFormat:
        """Return the format of a picture."""
        if isinstance(picture, Yuv420):
            return cls(picture.size_wh, picture.matrix, picture.full_range)
        return cls(picture_size_wh(picture))

    @property
    def shrinks(self) -> tuple[int, int, int]:
        """How many times smaller than the frame each plane is."""
        return (1, 1, 1) if self.matrix is None else (1, 2, 2)

    def plane_size_wh(self, index: int) -> tuple[int, int]:
        """Return the size of a plane in its own pixels."""
        shrink = self.shrinks[index]
        return self.size_wh[0] // shrink, self.size_wh[1] // shrink

    def color_bytes(self, rgb: Color) -> Color:
        """Return a colour as the bytes of the three planes."""
        if self.matrix is None:
            return rgb
        return color.rgb_color_to_yuv(rgb, matrix=self.matrix, full_range=self.full_range)

    def full_size_planes(self, rgb: UInt8Array) -> tuple[UInt8Array, ...]:
        """Return an rgb picture uint8 [H, W, 3] as three planes of full size."""
        if self.matrix is not None:
            rgb = np.asarray(cv2.transform(rgb, color.rgb_to_yuv_matrix(self.matrix, self.full_range)), np.uint8)
        return tuple(np.asarray(plane, np.uint8) for plane in cv2.split(rgb))

    def layer_planes(self, rgb: UInt8Array) -> tuple[UInt8Array, ...]:
        """Return an rgb picture of frame size, uint8 [H, W, 3], as planes of this format."""
        planes = self.full_size_planes(rgb)
        return tuple(halved(p) if shrink == 2 else p for p, shrink in zip(planes, self.shrinks, strict=True))


def halved(plane: UInt8Array) -> UInt8Array:
    """Return a plane of even size at half its size; every pixel is the mean of four."""
    half_wh = (plane.shape[1] // 2, plane.shape[0] // 2)
    return np.asarray(cv2.resize(plane, half_wh, interpolation=cv2.INTER_AREA), np.uint8)


@contextmanager
def resizing(*, quick: bool) -> Iterator[None]:
    """Let OpenCV resize with the processor maker's routines in this thread, where its build has them, or not.

    They take half the time, and differ from its own by a level at most, as rounding goes.
    """
    before = cv2.ipp.useIPP_NotExact()
    cv2.ipp.setUseIPP_NotExact(quick)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP_NotExact(before)


class Canvas:
    """The planes of one frame while effects are drawn on them; the frame's own pixels are never written to."""

    def __init__(self, picture: Picture, scratch: Scratch, recycler: Recycler | None = None) -> None:
        self.format = PlaneFormat.of(picture)
        self.alpha: UInt8Array | None = None
        """Opacity of the picture, uint8 [H, W]; None: opaque."""
        self._picture: Picture | None = picture
        self._scratch = scratch
        self._recycler = recycler or Recycler()
        self._owned = [False, False, False]
        self.planes: list[UInt8Array] = self._split(picture)

    @staticmethod
    def _split(picture: Picture) -> list[UInt8Array]:
        if isinstance(picture, Yuv420):
            return [picture.y, picture.u, picture.v]
        return [np.asarray(plane, np.uint8) for plane in cv2.split(picture)[:3]]

    def mix_color(self, index: int, keep: UInt8Array, premultiplied: UInt8Array) -> None:
        """Draw colour times weight, uint8 [h, w], where `keep` is 255 - weight, on a plane."""
        target = self._target(index)
        cv2.multiply(self.planes[index], keep, dst=target, scale=1 / 255)
        cv2.add(target, premultiplied, dst=target)
        self._own(index, target)

    def mix_constant(self, index: int, keep: UInt8Array, weight: UInt8Array, value: int) -> None:
        """Draw one byte with a weight, uint8 [h, w]; `keep` is 255 - weight."""
        share = self._scratch.get("share", weight.shape)
        cv2.convertScaleAbs(weight, dst=share, alpha=value / 255)
        self.mix_color(index, keep, share)

    def mix_layer(self, index: int, keep: UInt8Array, weight: UInt8Array, layer: UInt8Array) -> None:
        """Draw another plane, uint8 [h, w], with a weight; `keep` is 255 - weight."""
        share = self._scratch.get("share", weight.shape)
        cv2.multiply(layer, weight, dst=share, scale=1 / 255)
        self.mix_color(index, keep, share)

    def mix_patch(self, index: int, box: Box, keep: UInt8Array, premultiplied: UInt8Array) -> None:
        """Draw colour times weight on a part of a plane; `box` is in frame pixels."""
        self._make_owned(index)
        shrink = self.format.shrinks[index]
        x, y, width, height = (side // shrink for side in box)
        part = self.planes[index][y : y + height, x : x + width]
        part[:] = cv2.add(cv2.multiply(part, keep, scale=1 / 255), premultiplied)

    def become_rgb(self) -> UInt8Array:
        """Turn the planes into R, G, B of frame size and return them as one picture, uint8 [H, W, 3]."""
        rgb = color.to_rgb(self.picture())
        self.format = PlaneFormat(self.format.size_wh)
        self.set_rgb(rgb)
        return rgb

    def set_rgb(self, rgb: UInt8Array) -> None:
        """Put an rgb picture of frame size, uint8 [H, W, 3], in place of R, G, B planes."""
        self.planes = self._split(rgb)
        self._picture, self._owned = None, [True, True, True]

    def picture(self) -> Picture:
        """Return what is drawn so far, in the frame's own format; RGBA where there is an alpha."""
        if self._picture is not None and self.alpha is None:
            return self._picture
        if self.format.matrix is not None:
            y, u, v = self.planes
            return Yuv420(y, u, v, matrix=self.format.matrix, full_range=self.format.full_range)
        channels = self.planes if self.alpha is None else [*self.planes, self.alpha]
        return np.asarray(cv2.merge(channels), np.uint8)

    def _target(self, index: int) -> UInt8Array:
        plane = self.planes[index]
        return plane if self._owned[index] else self._recycler.take(plane.shape)

    def _own(self, index: int, plane: UInt8Array) -> None:
        self.planes[index], self._owned[index], self._picture = plane, True, None

    def _make_owned(self, index: int) -> None:
        plane = self.planes[index]
        self._own(index, plane if self._owned[index] else self._recycler.copy_of(plane))
