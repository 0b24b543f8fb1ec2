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
from rtseg.halving import box_means
from rtseg.recycling import Scratch
from rtseg.types import Picture, UInt8Array, Yuv420


@dataclass(frozen=True, slots=True, eq=False)
class NetworkPicture:
    """What a network takes of one frame."""

    rgb: UInt8Array
    """The picture at network size, uint8 [h, w, 3]. Lifetime: may be a view of the frame when the sizes are equal; with
    buffers, valid until their next use."""
    luma: UInt8Array
    """Its brightness, uint8 [h, w]; for 4:2:0 pictures in the range of the stream. Lifetime: its own, or as `rgb`."""


class NetworkBuffers:
    """Memory that one stream's pictures are prepared in, again and again.

    A new page from the system costs as much as resizing what is put on it: 540p to 640x320 takes 1.1 ms in new memory,
    0.5 ms here.

    Threading: one thread at a time.
    """

    def __init__(self, *, keeps_luma: bool) -> None:
        self._buffers: dict[tuple[str, tuple[int, ...]], UInt8Array] = {}
        self._keeps_luma = keeps_luma
        self.scratch = Scratch()
        """Where the halves are worked out."""

    def get(self, name: str, shape: tuple[int, ...]) -> UInt8Array:
        """Return the buffer of that name; the luma is a new one where somebody keeps it beyond the next picture."""
        if name == "luma" and self._keeps_luma:
            return np.empty(shape, np.uint8)
        buffer = self._buffers.get((name, shape))
        if buffer is None:
            buffer = self._buffers[name, shape] = np.empty(shape, np.uint8)
        return buffer


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


def to_network(picture: Picture, size_wh: tuple[int, int], buffers: NetworkBuffers | None = None) -> NetworkPicture:
    """Return a frame's picture at the network's size, with its luma; half-pixel centres, averaged when shrunk > 2.

    Args:
        picture: the frame's.
        size_wh: the network's.
        buffers: those of the stream, which the result lies in; None: new memory.
    """
    if isinstance(picture, Yuv420):
        return _from_planes(picture, size_wh, buffers)
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


def _resized(
    pixels: UInt8Array, size_wh: tuple[int, int], buffers: NetworkBuffers | None = None, name: str = ""
) -> UInt8Array:
    """Return the pixels at another size; a side that shrinks by more than 2 is first averaged in exact halves.

    Exact halves cost a fifth of averaging by area at an uneven ratio (1080p to 512x288: 0.6 ms against 3.2 on one
    core), and what is left is at most a ratio of 2, which two-tap interpolation does not step over.
    See also Note [Four sums in a word].
    """
    height, width = pixels.shape[:2]
    halved_wh = (_halved(width, size_wh[0]), _halved(height, size_wh[1]))
    if halved_wh != (width, height):
        halved = None if buffers is None else buffers.get(f"{name} halved", (halved_wh[1], halved_wh[0]))
        box_wh = (width // halved_wh[0], height // halved_wh[1])
        pixels = box_means(pixels, box_wh, halved, None if buffers is None else buffers.scratch)
    return resize_linear(pixels, size_wh, None if buffers is None else buffers.get(name, (size_wh[1], size_wh[0])))


def _halved(side_px: int, target_px: int) -> int:
    """Return the side halved, without a remainder, until it is at most twice the target."""
    while side_px > 2 * target_px and side_px % 2 == 0:
        side_px //= 2
    return side_px


def _from_planes(picture: Yuv420, size_wh: tuple[int, int], buffers: NetworkBuffers | None) -> NetworkPicture:
    buffers = buffers or NetworkBuffers(keeps_luma=False)
    shape = (size_wh[1], size_wh[0])
    planes = {"luma": picture.y, "u": picture.u, "v": picture.v}
    small = [_resized(plane, size_wh, buffers, name) for name, plane in planes.items()]
    merged = cv2.merge(small, dst=buffers.get("merged", (*shape, 3)))
    matrix = yuv_to_rgb_matrix(picture.matrix, picture.full_range)
    rgb = cv2.transform(merged, matrix, dst=buffers.get("rgb", (*shape, 3)))
    return NetworkPicture(np.asarray(rgb, np.uint8), small[0])
