"""Weights from a segmentation: one byte a class, looked up at network size, smoothed, and scaled to a plane."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg import geometry
from rtseg.types import FloatArray, Segmentation, UInt8Array

EDGE_SPREAD_PX: Final[float] = 0.87
"""Standard deviation, in network pixels, of a class edge after smoothing and bilinear scaling."""
_PACKED: Final[int] = 4  # bytes that one look-up of 32 bits gives


def weight_bytes(weights: Sequence[float]) -> UInt8Array:
    """Return the weights 0..1 of the classes as bytes, uint8 [K]."""
    return np.rint(np.clip(np.asarray(weights, np.float64), 0.0, 1.0) * 255).astype(np.uint8)


def premultiplied_bytes(weights: UInt8Array, values: Sequence[int]) -> UInt8Array:
    """Return weight times value of every class, rounded down so that no weight means no colour; uint8 [K]."""
    return (weights.astype(np.uint16) * np.asarray(values, np.uint16) // 255).astype(np.uint8)


class Mask:
    """The mask of one frame at network size, ready for look-ups.

    Labels are turned into weights, then smoothed with (1 2 1)/4 both ways, so that edges come out antialiased instead
    of as stairs. A matte has its soft edge already and runs, in a straight line, from the weight of class 0 to that
    of class 1.
    """

    def __init__(self, result: Segmentation) -> None:
        self.is_matte = result.is_matte
        self.size_wh = result.network_size_wh
        labels = result.network_labels
        self._bytes: UInt8Array = labels if labels is not None else _matte(result)

    def look_up(self, class_bytes: UInt8Array) -> UInt8Array:
        """Return the byte of every network pixel's class, uint8 [h, w], smoothed; classes without one have 0.

        Lifetime: not to be written on; it may be the mask itself.
        """
        if self.is_matte and (int(class_bytes[0]), int(class_bytes[1])) == (0, 255):
            return self._bytes
        if self.is_matte and (int(class_bytes[0]), int(class_bytes[1])) == (255, 0):
            return np.asarray(cv2.bitwise_not(self._bytes), np.uint8)
        small = np.asarray(cv2.LUT(self._bytes, lookup_table(class_bytes, is_matte=self.is_matte)), np.uint8)
        return small if self.is_matte else np.asarray(cv2.GaussianBlur(small, (3, 3), 0), np.uint8)

    def look_up_all(self, tables: Sequence[UInt8Array]) -> list[UInt8Array]:
        """Return `look_up` of several tables; labels are looked up and smoothed four tables at a time, for half."""
        if self.is_matte or len(tables) < 2:
            return [self.look_up(table) for table in tables]
        planes: list[UInt8Array] = []
        for start in range(0, len(tables), _PACKED):
            some = tables[start : start + _PACKED]
            four = cv2.LUT(self._bytes, _packed_table(tuple(table.tobytes() for table in some)))
            smooth = cv2.GaussianBlur(four.view(np.uint8).reshape(*self._bytes.shape, _PACKED), (3, 3), 0)
            planes += [np.asarray(plane, np.uint8) for plane in cv2.split(smooth)[: len(some)]]
        return planes

    def scaled(self, class_bytes: UInt8Array, size_wh: tuple[int, int]) -> UInt8Array:
        """Return the smoothed bytes at another size; not to be written on."""
        return scaled_plane(self.look_up(class_bytes), size_wh)

    def scale_to(self, size_wh: tuple[int, int]) -> float:
        """Return how many frame pixels a network pixel is wide, the mean of both directions."""
        across, down = size_wh[0] / self.size_wh[0], size_wh[1] / self.size_wh[1]
        return float(np.sqrt(across * down))


def scaled_plane(plane: UInt8Array, size_wh: tuple[int, int]) -> UInt8Array:
    """Return a plane at another size, uint8 [h, w]; exactly half is averaged by four, which is the quickest."""
    if (plane.shape[1], plane.shape[0]) == (2 * size_wh[0], 2 * size_wh[1]):
        return np.asarray(cv2.resize(plane, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return geometry.resize_linear(plane, size_wh)


def lookup_table(class_bytes: UInt8Array, *, is_matte: bool) -> UInt8Array:
    """Return the table from mask byte to weight, uint8 [256]; 0 for labels beyond the classes."""
    return _lookup_table(class_bytes.tobytes(), is_matte=is_matte)


@lru_cache(maxsize=256)
def _lookup_table(class_bytes: bytes, *, is_matte: bool) -> UInt8Array:
    if is_matte:
        ramp: FloatArray = np.linspace(class_bytes[0], class_bytes[1], 256, dtype=np.float32)
        table = np.rint(ramp).astype(np.uint8)
    else:
        table = np.zeros(256, np.uint8)
        table[: len(class_bytes)] = np.frombuffer(class_bytes, np.uint8)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=64)
def _packed_table(tables: tuple[bytes, ...]) -> npt.NDArray[np.int32]:
    """Return the table from label to the bytes of up to four tables, side by side, int32 [256]."""
    packed = np.zeros((256, _PACKED), np.uint8)
    for column, class_bytes in enumerate(tables):
        packed[:, column] = _lookup_table(class_bytes, is_matte=False)
    return packed.view(np.int32).ravel()


def _matte(result: Segmentation) -> UInt8Array:
    matte = result.network_alpha
    return np.zeros((1, 1), np.uint8) if matte is None else matte
