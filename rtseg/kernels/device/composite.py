"""All effects of a frame in one pass: the frame is read once, every operation happens in registers, and is written.

Note [Effects as a program]
    A stack of effects is a short program, known when the kernel is compiled: six whole numbers an operation (the codes
    and their operands are in `rtseg.kernels.composite`). So each stack gets a kernel of its own in which nothing is
    decided per pixel. What changes from frame to frame or from user to user (colours, tables, layers, where a panel
    is) is read from small buffers, so that it changes without another kernel and without another graph.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rtseg.kernels.device.arithmetic import byte_product, luma_of, mixed, sampled, taps

TINT = tl.constexpr(1)
FILL = tl.constexpr(2)
GREY = tl.constexpr(3)
LAYER = tl.constexpr(4)
COARSE = tl.constexpr(5)
LINE = tl.constexpr(6)
PANEL = tl.constexpr(7)
FIELDS = tl.constexpr(6)

RGB = tl.constexpr(0)
LUMA = tl.constexpr(1)
CHROMA = tl.constexpr(2)


@triton.jit
def _map_at(maps, place, size):
    """Return the class maps at places of a plane: base, strides of channel and row, columns and rows to sample."""
    columns = taps(maps[3], place[0], place[0] < size[0], size[0])
    rows = taps(maps[4], place[1], place[1] < size[1], size[1])
    return maps[0] + tl.program_id(2).to(tl.int64) * maps[5], maps[1], maps[2], columns, rows


@triton.jit
def _sample(maps, channel, inside):
    """Return a channel of the class maps, int32 [h, w]."""
    return sampled(maps[0] + channel * maps[1], maps[2], maps[3], maps[4], inside)


@triton.jit
def _mixed(planes, keep, first, second, third, GROUP: tl.constexpr):
    """Return the planes of a group mixed with amounts of a layer."""
    one, two, three = planes[0], planes[1], planes[2]
    if GROUP != CHROMA:
        one = mixed(one, keep, first)
    if GROUP != LUMA:
        two, three = mixed(two, keep, second), mixed(three, keep, third)
    return one, two, three


@triton.jit
def _tint(planes, maps, inside, CHANNEL: tl.constexpr, GROUP: tl.constexpr):
    keep = 255 - _sample(maps, CHANNEL, inside)
    first, second, third = keep, keep, keep
    if GROUP != CHROMA:
        first = _sample(maps, CHANNEL + 1, inside)
    if GROUP != LUMA:
        second, third = _sample(maps, CHANNEL + 2, inside), _sample(maps, CHANNEL + 3, inside)
    return _mixed(planes, keep, first, second, third, GROUP)


@triton.jit
def _filled(planes, weight, values, GROUP: tl.constexpr):
    """Return the planes mixed with one byte each."""
    first, second, third = tl.load(values), tl.load(values + 1), tl.load(values + 2)
    amounts = (byte_product(weight, first), byte_product(weight, second), byte_product(weight, third))
    return _mixed(planes, 255 - weight, amounts[0], amounts[1], amounts[2], GROUP)


@triton.jit
def _layered(planes, weight, first, second, third, GROUP: tl.constexpr):
    """Return the planes mixed with those of a layer."""
    amounts = (byte_product(first, weight), byte_product(second, weight), byte_product(third, weight))
    return _mixed(planes, 255 - weight, amounts[0], amounts[1], amounts[2], GROUP)


@triton.jit
def _layer_planes(layers, index, place, size, inside, GROUP: tl.constexpr):
    """Return the pixels of a layer of full size; its planes lie one behind the other."""
    start = layers[0] + index * layers[1] + place[1] * size[0] + place[0]
    zero = tl.full(inside.shape, 0, tl.int32)
    first, second, third = zero, zero, zero
    if GROUP != CHROMA:
        first = tl.load(start, mask=inside, other=0).to(tl.int32)
    if GROUP != LUMA:
        second = tl.load(start + layers[2], mask=inside, other=0).to(tl.int32)
        third = tl.load(start + layers[2] + size[0] * size[1], mask=inside, other=0).to(tl.int32)
    return first, second, third


@triton.jit
def _coarse_planes(coarse, place, size, inside, GROUP: tl.constexpr):
    """Return a layer on a coarse grid, bilinear: base, strides of plane, row and picture, tables of both kinds."""
    if GROUP == CHROMA:
        columns = taps(coarse[6], place[0], place[0] < size[0], size[0])
        rows = taps(coarse[7], place[1], place[1] < size[1], size[1])
    else:
        columns = taps(coarse[4], place[0], place[0] < size[0], size[0])
        rows = taps(coarse[5], place[1], place[1] < size[1], size[1])
    start = coarse[0] + tl.program_id(2).to(tl.int64) * coarse[3]
    zero = tl.full(inside.shape, 0, tl.int32)
    first, second, third = zero, zero, zero
    if GROUP != CHROMA:
        first = sampled(start, coarse[2], columns, rows, inside)
    if GROUP != LUMA:
        second = sampled(start + coarse[1], coarse[2], columns, rows, inside)
        third = sampled(start + 2 * coarse[1], coarse[2], columns, rows, inside)
    return first, second, third


@triton.jit
def _line_at(maps, inside, line_table, lift, CHANNEL: tl.constexpr, BITS: tl.constexpr, BOLD: tl.constexpr):
    """Return the opacity of lines, int32 [h, w]: see Note [Lines from bit planes]."""
    nearest = tl.full(inside.shape, 0, tl.int32)
    for bit in tl.static_range(BITS):
        level = _sample(maps, CHANNEL + bit, inside)
        nearest = tl.maximum(nearest, tl.minimum(level, 255 - level))
    if BOLD:
        level = _sample(maps, CHANNEL + BITS, inside)
        nearest = tl.maximum(nearest, tl.minimum(level, 255 - level) + lift)
    return tl.load(line_table + nearest).to(tl.int32)


@triton.jit
def _line(
    planes,
    maps,
    fine,
    place,
    size,
    inside,
    tables,
    CHANNEL: tl.constexpr,
    ROW: tl.constexpr,
    BITS: tl.constexpr,
    BOLD: tl.constexpr,
    COLORS: tl.constexpr,
    GROUP: tl.constexpr,
):
    """Draw lines in one colour (COLORS < 0) or in those of three class maps; chroma gets the mean of four pixels."""
    values, line_table = tables[0] + 4 * ROW, tables[1] + 256 * ROW
    lift = tl.load(values + 3)
    if GROUP == CHROMA:
        total = tl.full(inside.shape, 2, tl.int32)
        fine_size = (2 * size[0], 2 * size[1])
        for step in tl.static_range(4):
            around = _map_at(fine, (2 * place[0] + step % 2, 2 * place[1] + step // 2), fine_size)
            total += _line_at(around, inside, line_table, lift, CHANNEL, BITS, BOLD)
        line = total >> 2
    else:
        line = _line_at(maps, inside, line_table, lift, CHANNEL, BITS, BOLD)
    if COLORS < 0:
        drawn = _filled(planes, line, values, GROUP)
    else:
        first, second, third = line, line, line
        if GROUP != CHROMA:
            first = _sample(maps, COLORS, inside)
        if GROUP != LUMA:
            second, third = _sample(maps, COLORS + 1, inside), _sample(maps, COLORS + 2, inside)
        drawn = _layered(planes, line, first, second, third, GROUP)
    return drawn


@triton.jit
def _panel(planes, panels, place, inside, INDEX: tl.constexpr, GROUP: tl.constexpr):
    """Draw a small picture with an opacity where its box says; a box without width draws nothing."""
    facts = panels[1] + (tl.program_id(2) * panels[2] + INDEX) * 8
    left, top, width, height = tl.load(facts), tl.load(facts + 1), tl.load(facts + 2), tl.load(facts + 3)
    offset, pitch, area = tl.load(facts + 4), tl.load(facts + 5), tl.load(facts + 6)
    if GROUP == CHROMA:
        left, top, width, height = left // 2, top // 2, width // 2, height // 2
    x, y = place[0] - left, place[1] - top
    within = inside & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    start = panels[0] + tl.program_id(2).to(tl.int64) * panels[3] + offset + y * pitch + x
    one, two, three = planes[0], planes[1], planes[2]
    if GROUP != CHROMA:
        keep = tl.load(start, mask=within, other=255).to(tl.int32)
        one = mixed(one, keep, tl.load(start + area, mask=within, other=0).to(tl.int32))
    if GROUP != LUMA:
        keep = tl.load(start + 2 * area, mask=within, other=255).to(tl.int32)
        two = mixed(two, keep, tl.load(start + 3 * area, mask=within, other=0).to(tl.int32))
        keep = tl.load(start + 4 * area, mask=within, other=255).to(tl.int32)
        three = mixed(three, keep, tl.load(start + 5 * area, mask=within, other=0).to(tl.int32))
    return one, two, three


@triton.jit
def _painted(
    planes, maps, fine, layers, coarse, panels, tables, place, size, inside, PROGRAM: tl.constexpr, GROUP: tl.constexpr
):
    """Return the planes of a group, int32 [h, w] each, with all operations done on them."""
    for at in tl.static_range(0, len(PROGRAM), FIELDS):
        if PROGRAM[at] == TINT:
            planes = _tint(planes, maps, inside, PROGRAM[at + 1], GROUP)
        elif PROGRAM[at] == FILL:
            if GROUP == CHROMA or PROGRAM[at + 3] == 0:
                weight = _sample(maps, PROGRAM[at + 1], inside)
                planes = _filled(planes, weight, tables[0] + 4 * PROGRAM[at + 2], GROUP)
        elif PROGRAM[at] == GREY:
            grey = luma_of(planes[0], planes[1], planes[2])
            planes = _layered(planes, _sample(maps, PROGRAM[at + 1], inside), grey, grey, grey, GROUP)
        elif PROGRAM[at] == LAYER:
            layer = _layer_planes(layers, PROGRAM[at + 3], place, size, inside, GROUP)
            planes = _layered(planes, _sample(maps, PROGRAM[at + 1], inside), layer[0], layer[1], layer[2], GROUP)
        elif PROGRAM[at] == COARSE:
            layer = _coarse_planes(coarse, place, size, inside, GROUP)
            planes = _layered(planes, _sample(maps, PROGRAM[at + 1], inside), layer[0], layer[1], layer[2], GROUP)
        elif PROGRAM[at] == LINE:
            planes = _line(
                planes,
                maps,
                fine,
                place,
                size,
                inside,
                tables,
                PROGRAM[at + 1],
                PROGRAM[at + 2],
                PROGRAM[at + 3],
                PROGRAM[at + 4],
                PROGRAM[at + 5],
                GROUP,
            )
        else:
            planes = _panel(planes, panels, place, inside, PROGRAM[at + 1], GROUP)
    return planes


@triton.jit
def _place(program, tiles, TILE_W: tl.constexpr, TILE_H: tl.constexpr):
    """Return columns and rows of the tile with this number, row by row."""
    x = ((program % tiles) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = ((program // tiles) * TILE_H + tl.arange(0, TILE_H))[:, None]
    return x, y


@triton.jit
def _draw_whole(
    frame, out, maps, layers, coarse, panels, tables, place, size, YUV: tl.constexpr, PROGRAM: tl.constexpr
):
    """Draw on a tile of Y, or of R, G and B."""
    picture = tl.program_id(2).to(tl.int64)
    inside = (place[0] < size[0]) & (place[1] < size[1])
    at = picture * frame[3] + place[1] * frame[4] + place[0] * frame[5]
    GROUP: tl.constexpr = LUMA if YUV else RGB
    one = tl.load(frame[0] + at, mask=inside, other=0).to(tl.int32)
    two, three = one, one
    if not YUV:
        two = tl.load(frame[1] + at, mask=inside, other=0).to(tl.int32)
        three = tl.load(frame[2] + at, mask=inside, other=0).to(tl.int32)
    here = _map_at(maps, place, size)
    drawn = _painted((one, two, three), here, maps, layers, coarse, panels, tables, place, size, inside, PROGRAM, GROUP)
    at = picture * out[3] + place[1] * out[4] + place[0] * out[5]
    tl.store(out[0] + at, drawn[0], mask=inside)
    if not YUV:
        tl.store(out[1] + at, drawn[1], mask=inside)
        tl.store(out[2] + at, drawn[2], mask=inside)


@triton.jit
def _draw_half(frame, out, maps, half_maps, layers, coarse, panels, tables, place, size, PROGRAM: tl.constexpr):
    """Draw on a tile of U and V; `size` is theirs."""
    picture = tl.program_id(2).to(tl.int64)
    inside = (place[0] < size[0]) & (place[1] < size[1])
    at = picture * frame[6] + place[1] * frame[7] + place[0] * frame[8]
    two = tl.load(frame[1] + at, mask=inside, other=0).to(tl.int32)
    three = tl.load(frame[2] + at, mask=inside, other=0).to(tl.int32)
    here = _map_at(half_maps, place, size)
    drawn = _painted(
        (two, two, three), here, maps, layers, coarse, panels, tables, place, size, inside, PROGRAM, CHROMA
    )
    at = picture * out[6] + place[1] * out[7] + place[0] * out[8]
    tl.store(out[1] + at, drawn[1], mask=inside)
    tl.store(out[2] + at, drawn[2], mask=inside)


@triton.jit
def composite(
    frame,
    out,
    maps,
    half_maps,
    layers,
    coarse,
    panels,
    tables,
    size,
    tiles,
    YUV: tl.constexpr,
    PROGRAM: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Draw a program on frames: the first programs of the grid do Y, or R, G and B; the others do U and V.

    `frame` and `out` are three planes, then the strides (picture, row, pixel) of the first and of the other two.
    """
    whole = tiles[0] * tiles[1]
    number = tl.program_id(0)
    if number < whole:
        spot = _place(number, tiles[0], TILE_W, TILE_H)
        _draw_whole(frame, out, maps, layers, coarse, panels, tables, spot, size, YUV, PROGRAM)
    else:
        if YUV:
            half = (size[0] // 2, size[1] // 2)
            spot = _place(number - whole, tiles[2], TILE_W, TILE_H)
            _draw_half(frame, out, maps, half_maps, layers, coarse, panels, tables, spot, half, PROGRAM)
