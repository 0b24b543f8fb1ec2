"""Planes of bytes at other sizes: halved, averaged by area, or bilinear."""

from __future__ import annotations

import triton
import triton.language as tl

from rtseg.kernels.device.arithmetic import blended, rounded, taps


@triton.jit
def _pixel(plane, strides, x, y, inside):
    return tl.load(plane + y * strides[1] + x * strides[2], mask=inside, other=0).to(tl.int32)


@triton.jit
def _quarter(plane, strides, x, y, inside, LEVELS: tl.constexpr):
    """Return the mean of a square of 2^LEVELS pixels a side, rounded at every halving, int32 [h, w]."""
    if LEVELS == 0:
        mean = _pixel(plane, strides, x, y, inside)
    else:
        total = _quarter(plane, strides, 2 * x, 2 * y, inside, LEVELS - 1)
        total += _quarter(plane, strides, 2 * x + 1, 2 * y, inside, LEVELS - 1)
        total += _quarter(plane, strides, 2 * x, 2 * y + 1, inside, LEVELS - 1)
        total += _quarter(plane, strides, 2 * x + 1, 2 * y + 1, inside, LEVELS - 1)
        mean = (total + 2) >> 2
    return mean


@triton.jit
def halved(plane, strides, out, out_strides, size, LEVELS: tl.constexpr, TILE_W: tl.constexpr, TILE_H: tl.constexpr):
    """Write planes halved LEVELS times; `size` is the size that comes out. Strides: picture, row, pixel."""
    picture = tl.program_id(2).to(tl.int64)
    x = (tl.program_id(0) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H))[:, None]
    inside = (x < size[0]) & (y < size[1])
    mean = _quarter(plane + picture * strides[0], strides, x, y, inside, LEVELS)
    tl.store(out + picture * out_strides[0] + y * out_strides[1] + x * out_strides[2], mean, mask=inside)


@triton.jit
def _area_mean(plane, strides, table, x, y, size, inside):
    """Return the mean by area, int32 [h, w]; `table` as `rtseg.kernels.resample.area_table` makes it."""
    left = tl.load(table[0] + x, mask=x < size[0], other=0)
    top = tl.load(table[2] + y, mask=y < size[1], other=0)
    across_shares = table[1] + tl.minimum(x, size[0] - 1) * table[4]
    down_shares = table[3] + tl.minimum(y, size[1] - 1) * table[5]
    total = tl.full(inside.shape, 0.0, tl.float32)
    for down in range(table[5]):
        line = tl.full(inside.shape, 0.0, tl.float32)
        row = tl.minimum(top + down, table[7] - 1)
        for across in range(table[4]):
            value = _pixel(plane, strides, tl.minimum(left + across, table[6] - 1), row, inside)
            line += value.to(tl.float32) * tl.load(across_shares + across)
        total += line * tl.load(down_shares + down)
    return rounded(total)


@triton.jit
def _linear(plane, strides, table, x, y, size, inside):
    columns = taps(table[0], x, x < size[0], table[1])
    rows = taps(table[2], y, y < size[1], table[3])
    return blended(
        _pixel(plane, strides, columns[0], rows[0], inside),
        _pixel(plane, strides, columns[1], rows[0], inside),
        _pixel(plane, strides, columns[0], rows[1], inside),
        _pixel(plane, strides, columns[1], rows[1], inside),
        columns[2],
        columns[3],
        rows[2],
        rows[3],
    )


@triton.jit
def resized(
    plane, strides, out, out_strides, table, size, AREA: tl.constexpr, TILE_W: tl.constexpr, TILE_H: tl.constexpr
):
    """Write planes at another size, bilinear or by area. Strides: picture, row, pixel."""
    picture = tl.program_id(2).to(tl.int64)
    x = (tl.program_id(0) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H))[:, None]
    inside = (x < size[0]) & (y < size[1])
    plane += picture * strides[0]
    if AREA:
        value = _area_mean(plane, strides, table, x, y, size, inside)
    else:
        value = _linear(plane, strides, table, x, y, size, inside)
    tl.store(out + picture * out_strides[0] + y * out_strides[1] + x * out_strides[2], value, mask=inside)
