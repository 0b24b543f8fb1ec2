"""From a network's output to the maps that the compositor samples: labels, bytes of a matte, a weight a class."""

from __future__ import annotations

import triton
import triton.language as tl

from rtseg.kernels.device.arithmetic import rounded, total_of


@triton.jit
def _tile(TILE_W: tl.constexpr, TILE_H: tl.constexpr):
    """Return columns int32 [1, w] and rows int32 [h, 1] of this program."""
    x = (tl.program_id(0) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H))[:, None]
    return x, y


@triton.jit
def _mirrored(place, length):
    """Return places beyond the border mirrored at the outermost pixel, which is not repeated."""
    place = tl.abs(place)
    place = tl.where(place >= length, 2 * length - 2 - place, place)
    return tl.minimum(tl.maximum(place, 0), length - 1)


@triton.jit
def _logit(plane, columns, rows, inside, LARGER: tl.constexpr):
    """Return one class's plane at the mask's places, float32 [h, w]."""
    if LARGER:
        top_left = tl.load(plane + rows[0] + columns[0], mask=inside, other=0).to(tl.float32)
        top_right = tl.load(plane + rows[0] + columns[1], mask=inside, other=0).to(tl.float32)
        bottom_left = tl.load(plane + rows[1] + columns[0], mask=inside, other=0).to(tl.float32)
        bottom_right = tl.load(plane + rows[1] + columns[1], mask=inside, other=0).to(tl.float32)
        upper = top_left + (top_right - top_left) * columns[2]
        lower = bottom_left + (bottom_right - bottom_left) * columns[2]
        value = upper + (lower - upper) * rows[2]
    else:
        value = tl.load(plane + rows[0] + columns[0], mask=inside, other=0).to(tl.float32)
    return value


@triton.jit
def _scaled_places(table, place, inside, stride):
    """Return offsets of both neighbours and the share of the second, of a table int32 [3, length]."""
    low = tl.load(table[0] + place, mask=inside, other=0)
    high = tl.load(table[0] + table[1] + place, mask=inside, other=0)
    share = tl.load(table[0] + 2 * table[1] + place, mask=inside, other=0)
    return low * stride, high * stride, share.to(tl.float32, bitcast=True)


@triton.jit
def labels(
    logits,
    strides,
    columns,
    rows,
    out,
    size,
    class_count,
    LARGER: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write the index of the largest of the logits [N, K, h, w], bilinearly scaled up; the first one of equals."""
    picture = tl.program_id(2).to(tl.int64)
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    if LARGER:
        across = _scaled_places(columns, x, x < size[0], strides[3])
        down = _scaled_places(rows, y, y < size[1], strides[2])
    else:
        across, down = (x * strides[3], x, x), (y * strides[2], y, y)
    plane = logits + picture * strides[0]
    most = _logit(plane, across, down, inside, LARGER)
    label = tl.full((TILE_H, TILE_W), 0, tl.int32)
    for index in range(1, class_count):
        value = _logit(plane + index * strides[1], across, down, inside, LARGER)
        label = tl.where(value > most, index, label)
        most = tl.maximum(value, most)
    tl.store(out + (picture * size[1] + y) * size[0] + x, label, mask=inside)


@triton.jit
def alpha_bytes(alpha, strides, levels, out, size, TILE_W: tl.constexpr, TILE_H: tl.constexpr):
    """Write a matte 0..1 as bytes, through a table of 256 bytes."""
    picture = tl.program_id(2).to(tl.int64)
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    place = alpha + picture * strides[0] + y * strides[1] + x * strides[2]
    value = tl.load(place, mask=inside, other=0).to(tl.float32)
    value = tl.minimum(tl.maximum(value, 0.0), 1.0)
    level = (value * 255.0 + 0.5).to(tl.int32)
    tl.store(out + (picture * size[1] + y) * size[0] + x, tl.load(levels + level), mask=inside)


@triton.jit
def class_maps(
    mask, tables, out, size, CHANNELS: tl.constexpr, SMOOTH: tl.constexpr, TILE_W: tl.constexpr, TILE_H: tl.constexpr
):
    """Write, for every table uint8 [256], what it says of the mask's bytes, uint8 [N, C, h, w].

    SMOOTH has a bit for each channel that is smoothed with (1 2 1) / 4 both ways.
    """
    picture = tl.program_id(2).to(tl.int64)
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    mask += picture * size[0] * size[1]
    out += picture * size[0] * size[1] * CHANNELS + y * size[0] + x
    for channel in tl.static_range(CHANNELS):
        if (SMOOTH >> channel) & 1:
            total = tl.full((TILE_H, TILE_W), 8, tl.int32)
            for down in tl.static_range(3):
                line = mask + _mirrored(y + down - 1, size[1]) * size[0]
                for across in tl.static_range(3):
                    byte = tl.load(line + _mirrored(x + across - 1, size[0]), mask=inside, other=0).to(tl.int32)
                    value = tl.load(tables + 256 * channel + byte).to(tl.int32)
                    total += value * ((1 + down % 2) * (1 + across % 2))
            tl.store(out + channel * size[0] * size[1], total >> 4, mask=inside)
        else:
            byte = tl.load(mask + y * size[0] + x, mask=inside, other=0).to(tl.int32)
            tl.store(out + channel * size[0] * size[1], tl.load(tables + 256 * channel + byte), mask=inside)


@triton.jit
def spread_colors(
    maps,
    size,
    SHARE: tl.constexpr,
    CHANNELS: tl.constexpr,
    RADIUS: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write the colour of the nearest classes that have one into the three channels behind the four at SHARE.

    Channel SHARE says where a class has a colour, the three behind it the amounts of colour; both are averaged over a
    square, and divided.
    """
    picture = tl.program_id(2).to(tl.int64)
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    area = size[0] * size[1]
    maps += (picture * CHANNELS + SHARE) * area
    SIDE: tl.constexpr = 2 * RADIUS + 1
    zero = tl.full((TILE_H, TILE_W), 0, tl.int32)
    share, first, second, third = zero, zero, zero, zero
    for down in range(SIDE):
        line = maps + _mirrored(y + down - RADIUS, size[1]) * size[0]
        for across in range(SIDE):
            place = line + _mirrored(x + across - RADIUS, size[0])
            share += tl.load(place, mask=inside, other=0).to(tl.int32)
            first += tl.load(place + area, mask=inside, other=0).to(tl.int32)
            second += tl.load(place + 2 * area, mask=inside, other=0).to(tl.int32)
            third += tl.load(place + 3 * area, mask=inside, other=0).to(tl.int32)
    share = _box_mean(share, SIDE)
    place = maps + 4 * area + y * size[0] + x
    tl.store(place, _quotient(_box_mean(first, SIDE), share), mask=inside)
    tl.store(place + area, _quotient(_box_mean(second, SIDE), share), mask=inside)
    tl.store(place + 2 * area, _quotient(_box_mean(third, SIDE), share), mask=inside)


@triton.jit
def _box_mean(total, SIDE: tl.constexpr):
    """Return the mean of an odd number of bytes, rounded."""
    return (2 * total + SIDE * SIDE) // (2 * SIDE * SIDE)


@triton.jit
def _quotient(amount, share):
    """Return 255 * amount / share as a byte; 0 where there is no share."""
    quotient = tl.div_rn(255.0 * amount.to(tl.float32), tl.maximum(share, 1).to(tl.float32))
    return tl.where(share > 0, tl.minimum(rounded(quotient), 255), 0)


@triton.jit
def class_counts(mask, counts, pixel_count, class_count, MATTE: tl.constexpr, TILE: tl.constexpr):
    """Add to int64 counts [N, K] how many pixels each class has; for a matte, the sum of its bytes to the second."""
    picture = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * TILE + tl.arange(0, TILE)
    byte = tl.load(mask + picture * pixel_count + place, mask=place < pixel_count, other=0).to(tl.int32)
    if MATTE:
        tl.atomic_add(counts + picture * class_count + 1, total_of(byte, 0).to(tl.int64))
    else:
        byte = tl.where(place < pixel_count, byte, -1)
        for index in range(class_count):
            found = total_of((byte == index).to(tl.int32), 0)
            tl.atomic_add(counts + picture * class_count + index, found.to(tl.int64))
