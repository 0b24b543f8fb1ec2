"""From the planes of a frame to the network's input, in one pass.

A side that is much larger than the network's is averaged in exact halves first, then resized bilinearly. Both happen
in registers: a program reads the boxes of bytes behind its pixels, a word at a time, and writes the result once.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rtseg.kernels.device.arithmetic import blended, luma_of, rounded, taps, transformed


@triton.jit
def _word(pointer, inside, WORD: tl.constexpr):
    """Return WORD bytes as uint32; the pointer is a multiple of WORD."""
    if WORD == 4:
        word = tl.load(pointer.to(tl.pointer_type(tl.uint32), bitcast=True), mask=inside, other=0)
    elif WORD == 2:
        word = tl.load(pointer.to(tl.pointer_type(tl.uint16), bitcast=True), mask=inside, other=0).to(tl.uint32)
    else:
        word = tl.load(pointer, mask=inside, other=0).to(tl.uint32)
    return word


@triton.jit
def _averaged(total, COUNT: tl.constexpr, QUARTER: tl.constexpr):
    """Return the mean of COUNT bytes, COUNT a power of two, as OpenCV rounds it: 2x2 upwards, others to even."""
    if COUNT == 1:
        mean = total
    elif QUARTER:
        mean = (total + 2) >> 2
    else:
        mean = rounded(total.to(tl.float32) * (1.0 / COUNT))
    return mean


@triton.jit
def _box(corner, row_stride, inside, PARTS: tl.constexpr, FX: tl.constexpr, FY: tl.constexpr, WORD: tl.constexpr):
    """Return the means of a box of FX times FY pixels of PARTS interleaved bytes, three int32 (unused ones are 0).

    `corner` points to the first byte of each box.
    """
    zero = tl.full(corner.shape, 0, tl.int32)
    first, second, third = zero, zero, zero
    for row in tl.static_range(FY):
        for step in tl.static_range(PARTS * FX // WORD):
            word = _word(corner + row * row_stride + step * WORD, inside, WORD)
            for byte in tl.static_range(WORD):
                value = ((word >> (8 * byte)) & 255).to(tl.int32)
                if (step * WORD + byte) % PARTS == 0:
                    first += value
                elif (step * WORD + byte) % PARTS == 1:
                    second += value
                else:
                    third += value
    QUARTER: tl.constexpr = FX == 2 and FY == 2
    first = _averaged(first, FX * FY, QUARTER)
    if PARTS > 1:
        second = _averaged(second, FX * FY, QUARTER)
    if PARTS > 2:
        third = _averaged(third, FX * FY, QUARTER)
    return first, second, third


@triton.jit
def _linear(
    plane,
    row_stride,
    columns,
    rows,
    inside,
    PARTS: tl.constexpr,
    FX: tl.constexpr,
    FY: tl.constexpr,
    WORD: tl.constexpr,
):
    """Return PARTS interleaved planes, halved and resized bilinearly, three int32 [h, w]."""
    upper, lower = plane + rows[0] * FY * row_stride, plane + rows[1] * FY * row_stride
    left, right = columns[0] * FX * PARTS, columns[1] * FX * PARTS
    a = _box(upper + left, row_stride, inside, PARTS, FX, FY, WORD)
    b = _box(upper + right, row_stride, inside, PARTS, FX, FY, WORD)
    c = _box(lower + left, row_stride, inside, PARTS, FX, FY, WORD)
    d = _box(lower + right, row_stride, inside, PARTS, FX, FY, WORD)
    first = blended(a[0], b[0], c[0], d[0], columns[2], columns[3], rows[2], rows[3])
    second = blended(a[1], b[1], c[1], d[1], columns[2], columns[3], rows[2], rows[3])
    third = blended(a[2], b[2], c[2], d[2], columns[2], columns[3], rows[2], rows[3])
    return first, second, third


@triton.jit
def _area(
    plane,
    row_stride,
    columns,
    rows,
    inside,
    PARTS: tl.constexpr,
    FX: tl.constexpr,
    FY: tl.constexpr,
    WORD: tl.constexpr,
):
    """Return PARTS interleaved planes, halved and averaged by area; `columns` and `rows` are first index and table."""
    zero = tl.full(inside.shape, 0.0, tl.float32)
    first, second, third = zero, zero, zero
    for down in range(rows[2]):
        line_first, line_second, line_third = zero, zero, zero
        share_down = tl.load(rows[1] + down)
        line = plane + tl.minimum(rows[0] + down, rows[3] - 1) * FY * row_stride
        for across in range(columns[2]):
            share = tl.load(columns[1] + across)
            place = tl.minimum(columns[0] + across, columns[3] - 1)
            box = _box(line + place * FX * PARTS, row_stride, inside, PARTS, FX, FY, WORD)
            line_first += box[0].to(tl.float32) * share
            line_second += box[1].to(tl.float32) * share
            line_third += box[2].to(tl.float32) * share
        first += line_first * share_down
        second += line_second * share_down
        third += line_third * share_down
    return rounded(first), rounded(second), rounded(third)


@triton.jit
def _resized(
    plane,
    row_stride,
    table,
    place,
    inside,
    size,
    PARTS: tl.constexpr,
    FX: tl.constexpr,
    FY: tl.constexpr,
    WORD: tl.constexpr,
    AREA: tl.constexpr,
):
    """Return PARTS interleaved planes at the network's size, three int32 [h, w].

    `table` is (columns, rows) of bilinear tables, or of an area: (first, weights, count, length) both ways.
    """
    x, y, width, height = place[0], place[1], size[0], size[1]
    if AREA:
        first_x = tl.load(table[0] + x, mask=x < width, other=0)
        first_y = tl.load(table[2] + y, mask=y < height, other=0)
        columns = (first_x, table[1] + tl.minimum(x, width - 1) * table[4], table[4], table[6])
        rows = (first_y, table[3] + tl.minimum(y, height - 1) * table[5], table[5], table[7])
        found = _area(plane, row_stride, columns, rows, inside, PARTS, FX, FY, WORD)
    else:
        columns = taps(table[0], x, x < width, width)
        rows = taps(table[2], y, y < height, height)
        found = _linear(plane, row_stride, columns, rows, inside, PARTS, FX, FY, WORD)
    return found


@triton.jit
def network_input(
    first_plane,
    second_plane,
    third_plane,
    first_strides,
    other_strides,
    first_table,
    other_table,
    matrix,
    levels,
    out,
    luma_out,
    out_strides,
    size,
    LAYOUT: tl.constexpr,
    BOX: tl.constexpr,
    AREA: tl.constexpr,
    BGR: tl.constexpr,
    LUMA: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write the network's input [N, 3, h, w] of pictures in planes.

    LAYOUT: interleaved bytes of the first plane and of the others: 3 RGB; 12 NV12; 11 I420.
    BOX: FX, FY and word of the first plane, then of the others. AREA: whether each is resized by area.
    """
    picture = tl.program_id(2).to(tl.int64)
    x = (tl.program_id(0) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H))[:, None]
    inside = (x < size[0]) & (y < size[1])
    first_plane += picture * first_strides[0]
    if LAYOUT == 3:
        red, green, blue = _resized(
            first_plane, first_strides[1], first_table, (x, y), inside, size, 3, BOX[0], BOX[1], BOX[2], AREA[0]
        )
        if LUMA:
            tl.store(luma_out + (picture * size[1] + y) * size[0] + x, luma_of(red, green, blue), mask=inside)
    else:
        luma = _resized(
            first_plane, first_strides[1], first_table, (x, y), inside, size, 1, BOX[0], BOX[1], BOX[2], AREA[0]
        )[0]
        if LUMA:
            tl.store(luma_out + (picture * size[1] + y) * size[0] + x, luma, mask=inside)
        second_plane += picture * other_strides[0]
        if LAYOUT == 12:
            u, v, _ = _resized(
                second_plane, other_strides[1], other_table, (x, y), inside, size, 2, BOX[3], BOX[4], BOX[5], AREA[1]
            )
        else:
            third_plane += picture * other_strides[0]
            u = _resized(
                second_plane, other_strides[1], other_table, (x, y), inside, size, 1, BOX[3], BOX[4], BOX[5], AREA[1]
            )[0]
            v = _resized(
                third_plane, other_strides[1], other_table, (x, y), inside, size, 1, BOX[3], BOX[4], BOX[5], AREA[1]
            )[0]
        red = transformed(luma, u, v, matrix, 0)
        green = transformed(luma, u, v, matrix, 1)
        blue = transformed(luma, u, v, matrix, 2)
    if BGR:
        red, blue = blue, red
    place = out + picture * out_strides[0] + y * out_strides[2] + x * out_strides[3]
    tl.store(place, tl.load(levels + red), mask=inside)
    tl.store(place + out_strides[1], tl.load(levels + 256 + green), mask=inside)
    tl.store(place + 2 * out_strides[1], tl.load(levels + 512 + blue), mask=inside)
