"""Pictures in RGB: from 4:2:0 planes, and cut out with an alpha."""

from __future__ import annotations

import triton
import triton.language as tl

from rtseg.kernels.device.arithmetic import blended, rounded, sampled, taps, transformed


@triton.jit
def _chroma(plane, strides, columns, rows, inside):
    """Return a chroma plane of any pixel stride at full size, int32 [h, w]."""
    upper, lower = plane + rows[0] * strides[1], plane + rows[1] * strides[1]
    left, right = columns[0] * strides[2], columns[1] * strides[2]
    return blended(
        tl.load(upper + left, mask=inside, other=0).to(tl.int32),
        tl.load(upper + right, mask=inside, other=0).to(tl.int32),
        tl.load(lower + left, mask=inside, other=0).to(tl.int32),
        tl.load(lower + right, mask=inside, other=0).to(tl.int32),
        columns[2],
        columns[3],
        rows[2],
        rows[3],
    )


@triton.jit
def rgb_of_planes(
    luma,
    blue_difference,
    red_difference,
    strides,
    half_strides,
    columns,
    rows,
    matrix,
    out,
    out_strides,
    size,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write the first three bytes of each pixel of rgb [N, H, W, 3 or 4] from 4:2:0 planes."""
    picture = tl.program_id(2).to(tl.int64)
    x = (tl.program_id(0) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H))[:, None]
    inside = (x < size[0]) & (y < size[1])
    at = luma + picture * strides[0] + y * strides[1] + x * strides[2]
    bright = tl.load(at, mask=inside, other=0).to(tl.int32)
    across, down = taps(columns, x, x < size[0], size[0]), taps(rows, y, y < size[1], size[1])
    u = _chroma(blue_difference + picture * half_strides[0], half_strides, across, down, inside)
    v = _chroma(red_difference + picture * half_strides[0], half_strides, across, down, inside)
    place = out + picture * out_strides[0] + y * out_strides[1] + x * out_strides[2]
    tl.store(place, transformed(bright, u, v, matrix, 0), mask=inside)
    tl.store(place + 1, transformed(bright, u, v, matrix, 1), mask=inside)
    tl.store(place + 2, transformed(bright, u, v, matrix, 2), mask=inside)


@triton.jit
def _purified(color, opacity, inside_color, outside_color):
    """Return a soft pixel without the background's share, float32: see Note [Hidden pixels of a cut-out]."""
    within = inside_color.to(tl.float32)
    rest = color.to(tl.float32) - opacity * within - (1.0 - opacity) * outside_color.to(tl.float32)
    return rounded(tl.minimum(tl.maximum(within + opacity * rest, 0.0), 255.0))


@triton.jit
def cut_out(
    rgb,
    strides,
    alpha_plane,
    colors,
    tables,
    out,
    size,
    DECONTAMINATE: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write rgba [N, H, W, 4] from rgb and an alpha uint8 [N, H, W].

    `rgb` is three planes. `colors` is sure, inside and outside colours on a grid, uint8 [N, 3, h, w], and their strides
    of picture, plane and row; `tables` are columns and rows of the grid.
    """
    picture = tl.program_id(2).to(tl.int64)
    x = (tl.program_id(0) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H))[:, None]
    inside = (x < size[0]) & (y < size[1])
    at = picture * strides[0] + y * strides[1] + x * strides[2]
    pixel = (picture * size[1] + y) * size[0] + x
    alpha = tl.load(alpha_plane + pixel, mask=inside, other=0).to(tl.int32)
    opacity = tl.div_rn(alpha.to(tl.float32), tl.full(inside.shape, 255.0, tl.float32))
    soft = (alpha > 0) & (alpha < 255)
    across, down = taps(tables[0], x, x < size[0], size[0]), taps(tables[1], y, y < size[1], size[1])
    for plane in tl.static_range(3):
        color = tl.load(rgb[plane] + at, mask=inside, other=0).to(tl.int32)
        if DECONTAMINATE:
            shift = picture * colors[3] + plane * colors[4]
            within = sampled(colors[1] + shift, colors[5], across, down, inside)
            without = sampled(colors[2] + shift, colors[5], across, down, inside)
            hidden = sampled(colors[0] + shift, colors[5], across, down, inside)
            color = tl.where(soft, _purified(color, opacity, within, without), color)
            color = tl.where(alpha == 0, hidden, color)
        else:
            color = tl.where(alpha == 0, 0, color)
        tl.store(out + pixel * 4 + plane, color, mask=inside)
    tl.store(out + pixel * 4 + 3, alpha, mask=inside)
