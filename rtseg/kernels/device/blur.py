"""The masked, normalised blur on the coarse grid: blur(picture * weight) / blur(weight), columns first, then rows.

Several box averages in a row are one small table of taps for every place, so that each direction is one pass, border
and all. What is near and what is wide share the passes.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rtseg.kernels.device.arithmetic import rounded, total_of

PLANES = tl.constexpr(4)


@triton.jit
def _most(subject, x, y, size, inside):
    """Return the largest byte of the 3x3 cells round each cell."""
    most = tl.full(inside.shape, 0, tl.int32)
    for down in tl.static_range(3):
        for across in tl.static_range(3):
            at_x, at_y = x + across - 1, y + down - 1
            there = inside & (at_x >= 0) & (at_x < size[0]) & (at_y >= 0) & (at_y < size[1])
            most = tl.maximum(most, tl.load(subject + at_y * size[0] + at_x, mask=there, other=0).to(tl.int32))
    return most


@triton.jit
def cell_weights(subject, out, size, gain, TILE: tl.constexpr):
    """Write how much each cell counts as background, float32 [N, h, w]: nothing beside the subject, uint8."""
    picture = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inside = place < size[0] * size[1]
    subject += picture * size[0] * size[1]
    most = _most(subject, place % size[0], place // size[0], size, inside)
    weight = tl.minimum(tl.maximum(1.0 - most.to(tl.float32) * gain, 0.0), 1.0)
    tl.store(out + picture * size[0] * size[1] + place, weight, mask=inside)


@triton.jit
def power_weights(alpha, out, count, INVERTED: tl.constexpr, POWER: tl.constexpr, TILE: tl.constexpr):
    """Write the share of a part in each cell to a power, float32, of alpha uint8; INVERTED: of what is not the part."""
    place = tl.program_id(0) * TILE + tl.arange(0, TILE)
    share = tl.load(alpha + place, mask=place < count, other=0).to(tl.float32) * (1.0 / 255.0)
    if INVERTED:
        share = 1.0 - share
    weight = share
    for _ in tl.static_range(POWER - 1):
        weight *= share
    tl.store(out + place, weight, mask=place < count)


@triton.jit
def _product(cells, weights, plane, place, inside):
    """Return a plane times the weight, or the weight alone behind the last plane."""
    weight = tl.load(weights + place, mask=inside, other=0.0)
    if plane < PLANES - 1:
        weight *= tl.load(cells + place, mask=inside, other=0).to(tl.float32)
    return weight


@triton.jit
def across(cells, weights, near, wide, row_sums, out, size, counts, WIDE: tl.constexpr, TILE: tl.constexpr):
    """Write the blurred rows of three weighted planes and of the weight, float32 [N, WIDE, 4, h, w], and their sums.

    One program does one row of one plane. `near` and `wide` are first taps and weights.
    """
    picture = tl.program_id(1).to(tl.int64) // PLANES
    plane = (tl.program_id(1) % PLANES).to(tl.int32)
    width, height, row = size[0], size[1], tl.program_id(0)
    x = tl.arange(0, TILE)
    inside = x < width
    cells += (picture * (PLANES - 1) + plane) * width * height + row * width
    weights += picture * width * height + row * width
    first = tl.load(near[0] + x, mask=inside, other=0)
    total = tl.full((TILE,), 0.0, tl.float32)
    for tap in range(counts[0]):
        share = tl.load(near[1] + x * counts[0] + tap, mask=inside, other=0.0)
        total += _product(cells, weights, plane, first + tap, inside) * share
    out += ((picture * WIDE * PLANES + plane) * height + row) * width + x
    tl.store(out, total, mask=inside)
    if WIDE == 2:
        first = tl.load(wide[0] + x, mask=inside, other=0)
        total = tl.full((TILE,), 0.0, tl.float32)
        for tap in range(counts[1]):
            share = tl.load(wide[1] + x * counts[1] + tap, mask=inside, other=0.0)
            total += _product(cells, weights, plane, first + tap, inside) * share
        tl.store(out + PLANES * width * height, total, mask=inside)
        whole = total_of(_product(cells, weights, plane, x, inside))
        tl.store(row_sums + (picture * PLANES + plane) * height + row, whole)


@triton.jit
def _column(rows, table, count, x, y, width, inside):
    """Return the blurred columns of one plane, float32 [w]."""
    first = tl.load(table[0] + y)
    total = tl.full(inside.shape, 0.0, tl.float32)
    for tap in range(count):
        value = tl.load(rows + (first + tap) * width + x, mask=inside, other=0.0)
        total += value * tl.load(table[1] + y * count + tap)
    return total


@triton.jit
def _mean(row_sums, height, cell_count, TILE_H: tl.constexpr):
    """Return the mean of a plane from the sums of its rows."""
    y = tl.arange(0, TILE_H)
    return total_of(tl.load(row_sums + y, mask=y < height, other=0.0)) / cell_count


@triton.jit
def _whole_sum(
    rows, row_sums, near, wide, size, counts, shares, plane, inside, WIDE: tl.constexpr, TILE_H: tl.constexpr
):
    """Return near + a little of wide + next to nothing of the mean, of one plane, float32 [w]."""
    width, height = size[0], size[1]
    area = width * height
    x, y = tl.arange(0, inside.shape[0]), tl.program_id(0)
    total = _column(rows + plane * area, near, counts[2], x, y, width, inside)
    if WIDE == 2:
        far = _column(rows + (PLANES + plane) * area, wide, counts[3], x, y, width, inside)
        mean = _mean(row_sums + plane * height, height, area * 1.0, TILE_H)
        total = total + far * shares[0] + mean * shares[1]
    return total


@triton.jit
def down(
    cells,
    rows,
    row_sums,
    near,
    wide,
    out,
    size,
    counts,
    shares,
    WIDE: tl.constexpr,
    TILE: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write the quotient of blurred planes and blurred weight as bytes, uint8 [N, 3, h, w]; one program does one row.

    WIDE = 2: where no cell counts at all, the planes themselves. WIDE = 1: divided by no less than shares[0].
    """
    picture = tl.program_id(1).to(tl.int64)
    width, height, row = size[0], size[1], tl.program_id(0)
    x = tl.arange(0, TILE)
    inside = x < width
    rows += picture * WIDE * PLANES * width * height
    row_sums += picture * PLANES * height
    weight = _whole_sum(rows, row_sums, near, wide, size, counts, shares, PLANES - 1, inside, WIDE, TILE_H)
    if WIDE == 1:
        weight = tl.maximum(weight, shares[0])
    else:
        nothing = _mean(row_sums + (PLANES - 1) * height, height, 1.0, TILE_H) <= 0.0
        weight = tl.where(nothing, 1.0, weight)
    weight = tl.where(inside, weight, 1.0)
    place = (picture * (PLANES - 1) * height + row) * width + x
    for plane in tl.static_range(PLANES - 1):
        amount = _whole_sum(rows, row_sums, near, wide, size, counts, shares, plane, inside, WIDE, TILE_H)
        value = rounded(tl.div_rn(amount, weight))
        if WIDE == 2:
            own = tl.load(cells + place + plane * width * height, mask=inside, other=0).to(tl.int32)
            value = tl.where(nothing, own, value)
        tl.store(out + place + plane * width * height, value, mask=inside)
