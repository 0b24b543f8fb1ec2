"""A picture that is painted far to near, and the label map that is painted with it.

Coordinates are continuous pixels: (0, 0) is the upper left corner of the picture, so that a scene looks the same at
every size; a pixel's centre is at half a pixel. A label is written where a shape covers half of a pixel or more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.types import FloatArray, UInt8Array

Points = npt.NDArray[np.float64]
"""Corners in continuous pixels, float64 [N, 2]."""
Colour = tuple[float, float, float]
"""Red, green, blue, 0..255."""

_SHIFT = 4
_SUBPIXELS = 1 << _SHIFT
_FAR_PX = 20000.0
_SMALLEST_LEVEL_PX = 6


class Sprite:
    """A cut-out picture with its smaller versions, drawn at any size without aliasing.

    Attributes:
        levels: premultiplied rgba uint8 [h, w, 4], each half as large as the one before.
    """

    def __init__(self, rgba: UInt8Array) -> None:
        """Take a picture with straight alpha, rgba uint8 [h, w, 4]."""
        alpha = rgba[..., 3:]
        rgb = (rgba[..., :3].astype(np.uint16) * alpha + 127) // 255
        self.levels: list[UInt8Array] = [np.ascontiguousarray(np.dstack([rgb.astype(np.uint8), alpha]))]
        while min(self.levels[-1].shape[:2]) >= 2 * _SMALLEST_LEVEL_PX:
            self.levels.append(halved(self.levels[-1]))

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels at full size."""
        return int(self.levels[0].shape[1]), int(self.levels[0].shape[0])

    def level_for(self, magnification: float) -> tuple[UInt8Array, float]:
        """Return the level to draw at that magnification, and the factor from full-size to level pixels."""
        wanted = 0 if magnification >= 1 else int(math.log2(1 / max(magnification, 1e-6)) + 0.35)
        level = self.levels[min(wanted, len(self.levels) - 1)]
        return level, level.shape[1] / self.levels[0].shape[1]


def halved(picture: UInt8Array) -> UInt8Array:
    """Return the picture at half its size, averaged, uint8 [h/2, w/2, C]."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """Return the colour with a share (0..1) of the other one in it."""
    keep = 1.0 - share
    return (
        colour[0] * keep + other[0] * share,
        colour[1] * keep + other[1] * share,
        colour[2] * keep + other[2] * share,
    )


def shaded(colour: Colour, factor: float) -> Colour:
    """Return the colour, brighter or darker, clipped to 0..255."""
    return (min(255.0, colour[0] * factor), min(255.0, colour[1] * factor), min(255.0, colour[2] * factor))


class Canvas:
    """One picture under the brush.

    Attributes:
        rgb: uint8 [H, W, 3].
        labels: uint8 [H, W], or None where nobody asked for them.
    """

    def __init__(self, size_wh: tuple[int, int], *, with_labels: bool, rgb: UInt8Array | None = None) -> None:
        """Begin with the given picture (painted over), or with black."""
        self.width, self.height = size_wh
        self.rgb = np.zeros((self.height, self.width, 3), np.uint8) if rgb is None else rgb
        self.labels: UInt8Array | None = np.zeros((self.height, self.width), np.uint8) if with_labels else None

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[int, int, int, int] | None:
        """Return the whole pixels x0, y0, x1, y1 round a rectangle, inside the picture; None when it is outside."""
        x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
        x1, y1 = min(self.width, math.ceil(right)), min(self.height, math.ceil(bottom))
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def polygon(self, corners: Points, colour: Colour, label: int | None = None) -> None:
        """Fill a polygon with smooth edges; its label is written where one is given."""
        fixed = _fixed_point(corners)
        cv2.fillPoly(self.rgb, [fixed], colour, cv2.LINE_AA, _SHIFT)
        if label is not None and self.labels is not None:
            self._label_polygon(corners, label)

    def shapes(self, outlines: Sequence[Points], looks: Sequence[tuple[Colour, int | None]]) -> None:
        """Fill polygons one after the other; quicker than one by one."""
        fixed = _fixed_point(np.concatenate(outlines))
        start = 0
        for outline, (colour, label) in zip(outlines, looks, strict=True):
            end = start + len(outline)
            cv2.fillPoly(self.rgb, [fixed[start:end]], colour, cv2.LINE_AA, _SHIFT)
            if label is not None and self.labels is not None:
                self._label_polygon(outline, label)
            start = end

    def texture(self, texture: UInt8Array, corners: Points, label: int) -> None:
        """Lay a texture, rgb uint8 [h, w, 3], on four corners: upper left, upper right, lower right, lower left."""
        box = self.window(*corners.min(axis=0), *corners.max(axis=0))
        if box is None:
            return
        x0, y0, x1, y1 = box
        height, width = texture.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)
        target = (corners - (x0 + 0.5, y0 + 0.5)).astype(np.float32)
        cv2.warpPerspective(
            texture,
            cv2.getPerspectiveTransform(source, target),
            (x1 - x0, y1 - y0),
            dst=self.rgb[y0:y1, x0:x1],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        if self.labels is not None:
            self._label_polygon(corners, label)

    def sprite(
        self,
        sprite: Sprite,
        box: tuple[float, float, float, float],
        label: int | None,
        *,
        haze: tuple[Colour, float] = ((0.0, 0.0, 0.0), 0.0),
        lean_px: float = 0.0,
        mirrored: bool = False,
    ) -> None:
        """Draw a sprite into left, top, right, bottom.

        Args:
            sprite: what to draw.
            box: where, in continuous pixels.
            label: its label, written where alpha is above one half; None to leave the labels alone.
            haze: colour of the air and its share, 0..1.
            lean_px: how far the upper edge is moved to the right.
            mirrored: left and right exchanged.
        """
        left, top, right, bottom = box
        reach = abs(lean_px) + 1
        window = self.window(left - reach, top - 1, right + reach, bottom + 1)
        if window is None:
            return
        x0, y0, x1, y1 = window
        level, _ = sprite.level_for((bottom - top) / sprite.size_wh[1])
        if haze[1] > 0.02:
            level = _hazed(level, haze)
        matrix = _sprite_matrix(level.shape, (left - x0, top - y0, right - x0, bottom - y0), lean_px, mirrored)
        patch = np.asarray(cv2.warpAffine(level, matrix, (x1 - x0, y1 - y0)), dtype=np.uint8)
        blend(self.rgb[y0:y1, x0:x1], patch)
        if label is not None and self.labels is not None:
            self.labels[y0:y1, x0:x1][patch[..., 3] > 127] = label

    def darken(self, mask: UInt8Array, box: tuple[float, float, float, float], strength: float) -> None:
        """Throw a soft shadow, mask uint8 [h, w], on left, top, right, bottom; strength 0..1 at mask 255."""
        left, top, right, bottom = box
        window = self.window(left, top, right, bottom)
        if window is None:
            return
        x0, y0, x1, y1 = window
        matrix = _sprite_matrix(mask.shape, (left - x0, top - y0, right - x0, bottom - y0), 0.0, False)
        patch = cv2.warpAffine(mask, matrix, (x1 - x0, y1 - y0))
        keep = cv2.convertScaleAbs(patch, alpha=-strength, beta=255.0)
        roi = self.rgb[y0:y1, x0:x1]
        cv2.multiply(roi, cv2.cvtColor(keep, cv2.COLOR_GRAY2RGB), dst=roi, scale=1 / 255)

    def _label_polygon(self, corners: Points, label: int) -> None:
        if self.labels is None:
            return
        box = self.window(*(corners.min(axis=0) - 1), *(corners.max(axis=0) + 1))
        if box is None:
            return
        x0, y0, x1, y1 = box
        cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(cover, [_fixed_point(corners - (x0, y0))], 255, cv2.LINE_AA, _SHIFT)
        self.labels[y0:y1, x0:x1][cover > 127] = label


def blend(target: UInt8Array, patch: UInt8Array) -> None:
    """Lay premultiplied rgba uint8 [h, w, 4] over rgb uint8 [h, w, 3], in place."""
    keep = cv2.bitwise_not(cv2.extractChannel(patch, 3))
    cv2.multiply(target, cv2.cvtColor(keep, cv2.COLOR_GRAY2RGB), dst=target, scale=1 / 255)
    cv2.add(target, cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB), dst=target)


def polygon_of(*corners: Sequence[float]) -> Points:
    """Return corners given one by one as an array, float64 [N, 2]."""
    return np.array(corners, np.float64)


def _fixed_point(corners: Points) -> npt.NDArray[np.int32]:
    """Return corners in OpenCV's fixed point, where a whole number is the centre of a pixel."""
    clipped = np.minimum(np.maximum(corners, -_FAR_PX), _FAR_PX)
    return np.rint((clipped - 0.5) * _SUBPIXELS).astype(np.int32)


def _sprite_matrix(
    shape: tuple[int, ...], box: tuple[float, float, float, float], lean_px: float, mirrored: bool
) -> FloatArray:
    """Return the affine map from sprite pixels to the pixels of a window, float32 [2, 3]."""
    left, top, right, bottom = box
    height, width = shape[:2]
    scale_x, scale_y = (right - left) / width, (bottom - top) / height
    lean = -lean_px / height
    if mirrored:
        left, scale_x = right, -scale_x
    return np.array(
        [
            [scale_x, lean, left + lean_px + 0.5 * scale_x + 0.5 * lean - 0.5],
            [0.0, scale_y, top + 0.5 * scale_y - 0.5],
        ],
        np.float32,
    )


def _hazed(level: UInt8Array, haze: tuple[Colour, float]) -> UInt8Array:
    """Return premultiplied rgba with air in front of it."""
    colour, share = haze
    matrix = np.zeros((4, 4), np.float32)
    matrix[:3, :3] = np.eye(3) * (1 - share)
    matrix[:3, 3] = np.array(colour) * (share / 255.0)
    matrix[3, 3] = 1.0
    return np.asarray(cv2.transform(level, matrix), dtype=np.uint8)
