"""Means of boxes of pixels whose sides are powers of two, to the byte as OpenCV rounds them, and several times as fast.

Note [Four sums in a word]
    OpenCV averages squares of 2x2 quickly and every other box one pixel after the other: 720p to 320x360 takes 0.8 ms,
    each half-size chroma plane 0.6. Eight bytes of a row are one word of 64 bits here, and its even and odd bytes, set
    apart, are four sums of 16 bits that are added at once. A sum of 16 pixels still fits.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.recycling import Scratch
from rtseg.types import UInt8Array

_WORD_BYTES: Final = 8
_EVEN_BYTES: Final = np.uint64(0x00FF00FF00FF00FF)
_EVEN_PAIRS: Final = np.uint64(0x0000FFFF0000FFFF)
_LARGEST_SIDE: Final = 4

Words = npt.NDArray[np.uint64]
Sums = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


def box_means(
    plane: UInt8Array, box_wh: tuple[int, int], into: UInt8Array | None = None, scratch: Scratch | None = None
) -> UInt8Array:
    """Return the mean of every box of a plane uint8 [H, W], uint8 [H / box height, W / box width].

    Means of 2x2 are rounded upwards at one half, all others to the even byte, as `cv2.resize` does by area.

    Args:
        plane: or a picture [H, W, C]; its sides are multiples of the box's.
        box_wh: width and height of the box, powers of two.
        into: where the result goes; None: new memory.
        scratch: memory of the stream to work in; None: new memory.
    """
    width, height = plane.shape[1] // box_wh[0], plane.shape[0] // box_wh[1]
    if not _fits_words(plane, box_wh):
        return np.asarray(cv2.resize(plane, (width, height), dst=into, interpolation=cv2.INTER_AREA), np.uint8)
    if box_wh[0] == 1:
        return np.asarray(cv2.addWeighted(plane[0::2], 0.5, plane[1::2], 0.5, 0.0, dst=into), np.uint8)
    means = np.empty((height, width), np.uint8) if into is None else into
    sums = _box_sums(plane, box_wh, scratch or Scratch())
    np.copyto(means, _rounded(sums, (box_wh[0] * box_wh[1]).bit_length() - 1), casting="unsafe")
    return means


def _fits_words(plane: UInt8Array, box_wh: tuple[int, int]) -> bool:
    """Find out whether the box is one that OpenCV is slow at, and the rows of the plane are whole words."""
    width, height = box_wh
    if plane.ndim != 2 or width == height <= 2 or max(box_wh) > _LARGEST_SIDE:
        return False
    if width == 1:
        return height == 2
    rows_are_words = plane.shape[1] % _WORD_BYTES == 0 and plane.strides[1] == 1
    return rows_are_words and plane.strides[0] % _WORD_BYTES == 0 and plane.ctypes.data % _WORD_BYTES == 0


def _box_sums(plane: UInt8Array, box_wh: tuple[int, int], scratch: Scratch) -> Sums:
    """Return the sum of every box; what is returned may be written on."""
    sums = _sums_of_pairs(plane.view(np.uint64), scratch)
    for _ in range(box_wh[1].bit_length() - 1):
        above = sums[0::2]
        sums = np.add(above, sums[1::2], out=scratch.get(f"rows {len(above)}", above.shape, np.uint64))
    if box_wh[0] == 2:
        return sums.view(np.uint16)
    odd: Words = scratch.get("odd pairs", sums.shape, np.uint64)
    np.right_shift(sums, np.uint64(16), out=odd)
    np.bitwise_and(odd, _EVEN_PAIRS, out=odd)
    np.bitwise_and(sums, _EVEN_PAIRS, out=sums)
    odd += sums
    return odd.view(np.uint32)


def _sums_of_pairs(words: Words, scratch: Scratch) -> Words:
    """Return the sums of neighbouring bytes, four of 16 bits in each word."""
    odd: Words = scratch.get("odd bytes", words.shape, np.uint64)
    even: Words = scratch.get("even bytes", words.shape, np.uint64)
    np.right_shift(words, np.uint64(8), out=odd)
    np.bitwise_and(odd, _EVEN_BYTES, out=odd)
    np.bitwise_and(words, _EVEN_BYTES, out=even)
    even += odd
    return even


def _rounded(sums: Sums, bits: int) -> Sums:
    """Return the sums over 2^bits, rounded to even at one half; written over the sums."""
    last_bit = np.right_shift(sums, bits)
    np.bitwise_and(last_bit, 1, out=last_bit)
    last_bit += (1 << (bits - 1)) - 1
    sums += last_bit
    return np.right_shift(sums, bits, out=sums)
