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
def _place(size, ROWS: tl.constexpr, TILE: tl.constexpr):
    """Return columns int32 [1, w] and rows int32 [h, 1] of this program, and which of them there are."""
    x = tl.arange(0, TILE)[None, :]
    y = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]
    return x, y, (x < size[0]) & (y < size[1])


@triton.jit
def _row(cells, weights, table, count, plane, width, x, y, inside):
    """Return blurred rows of one weighted plane, float32 [h, w]; `table` is first taps and weights."""
    first = tl.load(table[0] + x, mask=x < width, other=0)
    total = tl.full(inside.shape, 0.0, tl.float32)
    for tap in range(count):
        share = tl.load(table[1] + x * count + tap, mask=x < width, other=0.0)
        total += _product(cells, weights, plane, y * width + first + tap, inside) * share
    return total


@triton.jit
def across(
    cells,
    weights,
    near,
    wide,
    row_sums,
    out,
    size,
    counts,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
):
    """Write the blurred rows of three weighted planes and of the weight, float32 [N, WIDE, 4, h, w], and their sums.

    One program does some rows of one plane. `near` and `wide` are first taps and weights.
    """
    picture = tl.program_id(1).to(tl.int64) // PLANES
    plane = (tl.program_id(1) % PLANES).to(tl.int32)
    area = size[0] * size[1]
    x, y, inside = _place(size, ROWS, TILE)
    cells += (picture * (PLANES - 1) + plane) * area
    weights += picture * area
    out += (picture * WIDE * PLANES + plane) * area + y * size[0] + x
    tl.store(out, _row(cells, weights, near, counts[0], plane, size[0], x, y, inside), mask=inside)
    if WIDE == 2:
        far = _row(cells, weights, wide, counts[1], plane, size[0], x, y, inside)
        tl.store(out + PLANES * area, far, mask=inside)
        whole = total_of(_product(cells, weights, plane, y * size[0] + x, inside), 1)
        rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        tl.store(row_sums + (picture * PLANES + plane) * size[1] + rows, whole, mask=rows < size[1])


@triton.jit
def _column(rows, table, count, x, y, size, inside):
    """Return blurred columns of one plane, float32 [h, w]."""
    first = tl.load(table[0] + y, mask=y < size[1], other=0)
    total = tl.full(inside.shape, 0.0, tl.float32)
    for tap in range(count):
        value = tl.load(rows + (first + tap) * size[0] + x, mask=inside, other=0.0)
        total += value * tl.load(table[1] + y * count + tap, mask=y < size[1], other=0.0)
    return total


@triton.jit
def _sum(row_sums, height, ALL_ROWS: tl.constexpr):
    """Return the sum of a plane from the sums of its rows."""
    y = tl.arange(0, ALL_ROWS)
    return total_of(tl.load(row_sums + y, mask=y < height, other=0.0), 0)


@triton.jit
def _whole(rows, row_sums, tables, size, counts, shares, plane, place, WIDE: tl.constexpr, ALL_ROWS: tl.constexpr):
    """Return near + a little of wide + next to nothing of the mean, of one plane, float32 [h, w]."""
    area = size[0] * size[1]
    x, y, inside = place[0], place[1], place[2]
    total = _column(rows + plane * area, tables[0], counts[2], x, y, size, inside)
    if WIDE == 2:
        far = _column(rows + (PLANES + plane) * area, tables[1], counts[3], x, y, size, inside)
        mean = _sum(row_sums + plane * size[1], size[1], ALL_ROWS) / area
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
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    ALL_ROWS: tl.constexpr,
):
    """Write the quotient of blurred planes and blurred weight as bytes, uint8 [N, 3, h, w].

    One program does some rows. WIDE = 2: where no cell counts at all, the planes themselves. WIDE = 1: divided by no
    less than shares[0].
    """
    picture = tl.program_id(1).to(tl.int64)
    area = size[0] * size[1]
    place = _place(size, ROWS, TILE)
    inside = place[2]
    tables = (near, wide)
    rows += picture * WIDE * PLANES * area
    row_sums += picture * PLANES * size[1]
    weight = _whole(rows, row_sums, tables, size, counts, shares, PLANES - 1, place, WIDE, ALL_ROWS)
    if WIDE == 1:
        weight = tl.maximum(weight, shares[0])
    else:
        nothing = _sum(row_sums + (PLANES - 1) * size[1], size[1], ALL_ROWS) <= 0.0
        weight = tl.where(nothing, 1.0, weight)
    weight = tl.where(inside, weight, 1.0)
    pixel = picture * (PLANES - 1) * area + place[1] * size[0] + place[0]
    for plane in tl.static_range(PLANES - 1):
        amount = _whole(rows, row_sums, tables, size, counts, shares, plane, place, WIDE, ALL_ROWS)
        value = rounded(tl.div_rn(amount, weight))
        if WIDE == 2:
            own = tl.load(cells + pixel + plane * area, mask=inside, other=0).to(tl.int32)
            value = tl.where(nothing, own, value)
        tl.store(out + pixel + plane * area, value, mask=inside)
