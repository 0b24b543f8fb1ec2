"""Edge refinement of a matte with the picture's own luma; see Note [Edges from the picture] in rtseg.postprocess.edges.

The sums behind every fit are whole numbers and exact. Away from the border of the matte nothing is fitted.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rtseg.kernels.device.arithmetic import byte_product, clamped, luma_of, rounded, sampled, taps, total_of
from rtseg.kernels.device.steady import ALONE, mode_of


@triton.jit
def _tile(TILE_W: tl.constexpr, TILE_H: tl.constexpr):
    """Return columns int32 [1, w] and rows int32 [h, 1] of this program."""
    x = (tl.program_id(0) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H))[:, None]
    return x, y


@triton.jit
def marks(alpha, out, size, LEVELS: tl.constexpr, TILE_W: tl.constexpr, TILE_H: tl.constexpr):
    """Write 1 where a matte differs among neighbours by more than LEVELS, else 0, uint8 [h, w]."""
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    least = tl.full((TILE_H, TILE_W), 255, tl.int32)
    most = tl.full((TILE_H, TILE_W), 0, tl.int32)
    for down in tl.static_range(3):
        line = alpha + tl.minimum(tl.maximum(y + down - 1, 0), size[1] - 1) * size[0]
        for across in tl.static_range(3):
            place = line + tl.minimum(tl.maximum(x + across - 1, 0), size[0] - 1)
            value = tl.load(place, mask=inside, other=0).to(tl.int32)
            least, most = tl.minimum(least, value), tl.maximum(most, value)
    tl.store(out + y * size[0] + x, (most - least > LEVELS).to(tl.int32), mask=inside)


@triton.jit
def _line_at(alpha, luma, columns, rows, x, y, size, inside, noise, RADIUS: tl.constexpr):
    """Return gain, offset and how much of the matte's variance they explain, float32 [h, w], of every window."""
    SIDE: tl.constexpr = 2 * RADIUS + 1
    COUNT: tl.constexpr = SIDE * SIDE
    zero = tl.full(inside.shape, 0, tl.int32)
    mattes, lumas, products, matte_squares, luma_squares = zero, zero, zero, zero, zero
    for down in range(SIDE):
        line = tl.load(rows + y + down, mask=y < size[1], other=0) * size[0]
        for across in range(SIDE):
            place = line + tl.load(columns + x + across, mask=x < size[0], other=0)
            matte = tl.load(alpha + place, mask=inside, other=0).to(tl.int32)
            light = tl.load(luma + place, mask=inside, other=0).to(tl.int32)
            mattes += matte
            lumas += light
            products += matte * light
            matte_squares += matte * matte
            luma_squares += light * light
    part = 1.0 / (COUNT * COUNT)
    covariance = (products * COUNT - mattes * lumas).to(tl.float32) * part
    luma_variance = (luma_squares * COUNT - lumas * lumas).to(tl.float32) * part + noise
    matte_variance = (matte_squares * COUNT - mattes * mattes).to(tl.float32) * part + 1.0
    gain = tl.div_rn(covariance, luma_variance)
    offset = mattes.to(tl.float32) * (1.0 / COUNT) - gain * (lumas.to(tl.float32) * (1.0 / COUNT))
    return gain, offset, tl.div_rn(gain * covariance, matte_variance)


@triton.jit
def lines(
    alpha,
    luma,
    mark,
    near_out,
    out,
    wide_places,
    narrow_places,
    size,
    spec,
    RADIUS: tl.constexpr,
    NARROW: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write how near each place is to the border, uint8, and gain, offset and trust there, float32 [3, h, w].

    Gain and offset are times the trust, and the trust is times the nearness. `spec` is: noise variance, least share
    explained, rise of the trust.
    """
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    total = tl.full((TILE_H, TILE_W), 0, tl.int32)
    for down in tl.static_range(NARROW):
        line = mark + tl.load(narrow_places[1] + y + down, mask=y < size[1], other=0) * size[0]
        for across in tl.static_range(NARROW):
            place = line + tl.load(narrow_places[0] + x + across, mask=x < size[0], other=0)
            total += tl.load(place, mask=inside, other=0).to(tl.int32)
    near = tl.minimum(2 * ((2 * 255 * total + NARROW * NARROW) // (2 * NARROW * NARROW)), 255)
    near = tl.where(inside, near, 0)
    place, area = y * size[0] + x, size[0] * size[1]
    tl.store(near_out + place, near, mask=inside)
    if total_of(total_of(near, 1), 0) > 0:
        gain, offset, explained = _line_at(
            alpha, luma, wide_places[0], wide_places[1], x, y, size, inside, spec[0], RADIUS
        )
        trust = tl.minimum(tl.maximum((explained - spec[1]) * spec[2], 0.0), 1.0) * (near.to(tl.float32) * (1.0 / 255))
        tl.store(out + place, gain * trust, mask=inside)
        tl.store(out + area + place, offset * trust, mask=inside)
        tl.store(out + 2 * area + place, trust, mask=inside)
    else:
        nothing = tl.full((TILE_H, TILE_W), 0.0, tl.float32)
        tl.store(out + place, nothing, mask=inside)
        tl.store(out + area + place, nothing, mask=inside)
        tl.store(out + 2 * area + place, nothing, mask=inside)


@triton.jit
def coefficients(
    alpha,
    near,
    line_planes,
    out,
    places,
    size,
    steep,
    NARROW: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write what turns the luma of the frame into its matte: gain and offset, float32 [2, h, w]."""
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    place, area = y * size[0] + x, size[0] * size[1]
    matte = tl.load(alpha + place, mask=inside, other=0).to(tl.float32)
    close = tl.load(near + place, mask=inside, other=0).to(tl.float32) * (1.0 / 255)
    if total_of(total_of(close, 1), 0) > 0:
        gain = tl.full((TILE_H, TILE_W), 0.0, tl.float32)
        offset, trust = gain, gain
        for down in range(NARROW):
            line = line_planes + tl.load(places[1] + y + down, mask=y < size[1], other=0) * size[0]
            for across in range(NARROW):
                at = line + tl.load(places[0] + x + across, mask=x < size[0], other=0)
                gain += tl.load(at, mask=inside, other=0)
                offset += tl.load(at + area, mask=inside, other=0)
                trust += tl.load(at + 2 * area, mask=inside, other=0)
        part = close * (1.0 / (NARROW * NARROW))
        # The matte, steeper round one half; and, as far as it is trusted, the line, as steep, in its stead.
        own = matte + (matte - 127.5) * (close * (steep - 1.0))
        mixed = own + (127.5 - 127.5 * steep - own) * (trust * part) + offset * part * steep
        tl.store(out + place, gain * part * steep, mask=inside)
        tl.store(out + area + place, mixed, mask=inside)
    else:
        tl.store(out + place, tl.full((TILE_H, TILE_W), 0.0, tl.float32), mask=inside)
        tl.store(out + area + place, matte, mask=inside)


@triton.jit
def _float_sampled(plane, columns, rows, inside):
    """Return a float32 plane at bilinear places; `columns` and `rows` are offsets of both neighbours and a share."""
    top_left = tl.load(plane + rows[0] + columns[0], mask=inside, other=0)
    top_right = tl.load(plane + rows[0] + columns[1], mask=inside, other=0)
    bottom_left = tl.load(plane + rows[1] + columns[0], mask=inside, other=0)
    bottom_right = tl.load(plane + rows[1] + columns[1], mask=inside, other=0)
    upper = top_left * (1.0 - columns[2]) + top_right * columns[2]
    lower = bottom_left * (1.0 - columns[2]) + bottom_right * columns[2]
    return upper * (1.0 - rows[2]) + lower * rows[2]


@triton.jit
def _float_taps(table, place, inside, length, stride):
    """Return offsets of both neighbours and the share of the second, of a table int32 [3, length]."""
    low = tl.load(table + place, mask=inside, other=0)
    high = tl.load(table + length + place, mask=inside, other=0)
    share = tl.load(table + 2 * length + place, mask=inside, other=0)
    return low * stride, high * stride, share.to(tl.float32, bitcast=True)


@triton.jit
def drawn(
    planes,
    strides,
    found,
    mask_size,
    still,
    float_tables,
    byte_tables,
    play,
    shown,
    told,
    out,
    size,
    RGB: tl.constexpr,
    STEADY: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write the refined matte at the size of the frame, uint8 [H, W]; with STEADY, what is shown of it.

    `found` is gain and offset at the size of the mask; `shown` is the stream's own plane, which follows.
    """
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    at = y * strides[0] + x * strides[1]
    light = tl.load(planes[0] + at, mask=inside, other=0).to(tl.int32)
    if RGB:
        green = tl.load(planes[1] + at, mask=inside, other=0).to(tl.int32)
        light = luma_of(light, green, tl.load(planes[2] + at, mask=inside, other=0).to(tl.int32))
    columns = _float_taps(float_tables[0], x, x < size[0], size[0], 1)
    rows = _float_taps(float_tables[1], y, y < size[1], size[1], mask_size[0])
    gain = _float_sampled(found, columns, rows, inside)
    offset = _float_sampled(found + mask_size[0] * mask_size[1], columns, rows, inside)
    value = light.to(tl.float32) * gain + offset
    matte = clamped(rounded(tl.minimum(tl.maximum(value, -1.0), 256.0)))
    place = y * size[0] + x
    if STEADY:
        columns = taps(byte_tables[0], x, x < size[0], size[0])
        rows = taps(byte_tables[1], y, y < size[1], size[1])
        slack = byte_product(tl.load(play + matte).to(tl.int32), sampled(still, mask_size[0], columns, rows, inside))
        before = tl.load(shown + place, mask=inside, other=0).to(tl.int32)
        matte = tl.minimum(tl.maximum(before, matte - slack), matte + slack)
        tl.store(shown + place, matte, mask=inside & (mode_of(told, x) != ALONE))
    tl.store(out + place, matte, mask=inside)
