"""From a frame as it was decoded to the picture a network takes.

4:2:0 planes are resized first and converted to RGB at the network's size, so that the cost of the colour conversion
does not grow with the frame, and chroma is never scaled up to the frame's size only to be scaled down again.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtseg.color import yuv_to_rgb_matrix
from rtseg.errors import ConfigError
from rtseg.geometry import resize_linear
from rtseg.types import Picture, UInt8Array, Yuv420


@dataclass(frozen=True, slots=True, eq=False)
class NetworkPicture:
    """What a network takes of one frame."""

    rgb: UInt8Array
    """The picture at network size, uint8 [h, w, 3]. Lifetime: may be a view of the frame when the sizes are equal."""
    luma: UInt8Array
    """Its brightness, uint8 [h, w]; for 4:2:0 pictures in the range of the stream."""


def check_rgb(rgb: object) -> UInt8Array:
    """Return the picture, or raise ConfigError when it is not uint8 [H, W, 3] with at least one pixel."""
    if isinstance(rgb, np.ndarray) and rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.size:
        return np.ascontiguousarray(rgb)
    if isinstance(rgb, np.ndarray):
        got = f"{rgb.dtype} {list(rgb.shape)}"
        remedy = "Convert grey or RGBA to RGB" if rgb.dtype == np.uint8 else "Scale to 0..255 and use .astype(np.uint8)"
    else:
        got, remedy = type(rgb).__name__, "Use numpy.asarray, or frame.rgb"
    raise ConfigError(f"picture: got {got}; expected an RGB array uint8 [H, W, 3]. {remedy}.")


def to_network(picture: Picture, size_wh: tuple[int, int]) -> NetworkPicture:
    """Return a frame's picture at the network's size, with its luma; half-pixel centres, averaged when shrunk > 2."""
    if isinstance(picture, Yuv420):
        return _from_planes(picture, size_wh)
    small = _resized(picture, size_wh)
    if small.shape[2] == 4:
        small = np.ascontiguousarray(small[..., :3])
    return NetworkPicture(small, np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8))


def luma_of(picture: Picture) -> UInt8Array:
    """Return the brightness of a frame at its own size, uint8 [H, W]."""
    if isinstance(picture, Yuv420):
        return picture.y
    code = cv2.COLOR_RGBA2GRAY if picture.shape[2] == 4 else cv2.COLOR_RGB2GRAY
    return np.asarray(cv2.cvtColor(picture, code), np.uint8)


def _resized(pixels: UInt8Array, size_wh: tuple[int, int]) -> UInt8Array:
    """Return the pixels at another size; a side that shrinks by more than 2 is first averaged in exact halves.

    Exact halves cost a fifth of averaging by area at an uneven ratio (1080p to 512x288: 0.6 ms against 3.2 on one
    core), and what is left is at most a ratio of 2, which two-tap interpolation does not step over.
    """
    height, width = pixels.shape[:2]
    halved_wh = (_halved(width, size_wh[0]), _halved(height, size_wh[1]))
    if halved_wh != (width, height):
        pixels = np.asarray(cv2.resize(pixels, halved_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return resize_linear(pixels, size_wh)


def _halved(side_px: int, target_px: int) -> int:
    """Return the side halved, without a remainder, until it is at most twice the target."""
    while side_px > 2 * target_px and side_px % 2 == 0:
        side_px //= 2
    return side_px


def _from_planes(picture: Yuv420, size_wh: tuple[int, int]) -> NetworkPicture:
    y, u, v = (_resized(plane, size_wh) for plane in (picture.y, picture.u, picture.v))
    matrix = yuv_to_rgb_matrix(picture.matrix, picture.full_range)
    return NetworkPicture(np.asarray(cv2.transform(cv2.merge([y, u, v]), matrix), np.uint8), y)
