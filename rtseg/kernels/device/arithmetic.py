"""Arithmetic that all kernels share: the bytes of OpenCV's fixed point. See Note [Kernels and the CPU reference]."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def total_of(values, axis: tl.constexpr):
    """Return the sum along an axis."""
    # Not tl.sum, which in Triton's interpreter works only where all of Triton was imported for it.
    return tl.reduce(values, axis, tl.standard._sum_combine)


@triton.jit
def rounded(value):
    """Return a float32 of less than 2^22 rounded to whole, ties to even, as int32."""
    # Adding 1.5 * 2^23 leaves no bits behind the point; the hardware's own rounding does the rest.
    return ((value + 12582912.0) - 12582912.0).to(tl.int32)


@triton.jit
def byte_product(left, right):
    """Return left * right / 255 rounded, of int32 in 0..255."""
    product = left * right + 128
    return (product + (product >> 8)) >> 8


@triton.jit
def clamped(value):
    """Return an int32 limited to 0..255."""
    return tl.minimum(tl.maximum(value, 0), 255)


@triton.jit
def mixed(plane, keep, amount):
    """Return plane * keep / 255 + amount, int32 0..255: see Note [Blending on planes]."""
    return tl.minimum(byte_product(plane, keep) + amount, 255)


@triton.jit
def luma_of(red, green, blue):
    """Return the brightness of RGB, int32 0..255, with the weights of BT.601 in 15 bits."""
    return (red * 9798 + green * 19235 + blue * 3735 + 16384) >> 15


@triton.jit
def taps(table, place, inside, length):
    """Return low, high and their weights of a bilinear table int32 [4, length] at int32 places."""
    low = tl.load(table + place, mask=inside, other=0)
    high = tl.load(table + length + place, mask=inside, other=0)
    low_weight = tl.load(table + 2 * length + place, mask=inside, other=0)
    high_weight = tl.load(table + 3 * length + place, mask=inside, other=0)
    return low, high, low_weight, high_weight


@triton.jit
def blended(top_left, top_right, bottom_left, bottom_right, left, right, top, bottom):
    """Return four bytes as one, weights in 11 bits: columns first, exact; then rows, with 4 bits less."""
    upper = (top_left * left + top_right * right) >> 4
    lower = (bottom_left * left + bottom_right * right) >> 4
    return (((top * upper) >> 16) + ((bottom * lower) >> 16) + 2) >> 2


@triton.jit
def sampled(plane, row_stride, columns, rows, inside):
    """Return a byte plane at bilinear places, int32 [h, w]; `columns` and `rows` are from `taps`, broadcastable."""
    upper, lower = plane + rows[0] * row_stride, plane + rows[1] * row_stride
    return blended(
        tl.load(upper + columns[0], mask=inside, other=0).to(tl.int32),
        tl.load(upper + columns[1], mask=inside, other=0).to(tl.int32),
        tl.load(lower + columns[0], mask=inside, other=0).to(tl.int32),
        tl.load(lower + columns[1], mask=inside, other=0).to(tl.int32),
        columns[2],
        columns[3],
        rows[2],
        rows[3],
    )


@triton.jit
def transformed(first, second, third, matrix, row: tl.constexpr):
    """Return one row of an affine map of bytes, int32 [3, 4] in 10 bits, as int32 0..255."""
    total = first * tl.load(matrix + 4 * row) + second * tl.load(matrix + 4 * row + 1)
    total += third * tl.load(matrix + 4 * row + 2) + tl.load(matrix + 4 * row + 3)
    return clamped(total >> 10)
