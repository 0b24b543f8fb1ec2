"""Smoothing of one stream's masks over time: where the picture has changed, and what is shown of a new mask there.

The state of the stream lies in planes that every frame reads and writes, so the frames of a stream must come one after
the other on one CUDA stream. `told` is what the host knows of a frame: see `rtseg.kernels.steady.frame_params`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rtseg.kernels.device.arithmetic import byte_product, clamped, rounded, total_of

GO_ON: tl.constexpr = tl.constexpr(0)
RESTART: tl.constexpr = tl.constexpr(1)
ALONE: tl.constexpr = tl.constexpr(2)
GAINS_AT: tl.constexpr = tl.constexpr(4)


@triton.jit
def _tile(TILE_W: tl.constexpr, TILE_H: tl.constexpr):
    """Return columns int32 [1, w] and rows int32 [h, 1] of this program."""
    x = (tl.program_id(0) * TILE_W + tl.arange(0, TILE_W))[None, :]
    y = (tl.program_id(1) * TILE_H + tl.arange(0, TILE_H))[:, None]
    return x, y


@triton.jit
def mode_of(told, x):
    """Return GO_ON, RESTART or ALONE, int32 in the shape of `x`: Triton's interpreter knows no logic with one bit."""
    return tl.load(told).to(tl.int32) + 0 * x


@triton.jit
def _true(comparison):
    """Return a comparison of floats as one of ints, which Triton's interpreter needs for logic."""
    return tl.where(comparison, 1, 0) == 1


@triton.jit
def picture_difference(
    luma,
    reference,
    difference,
    columns,
    rows,
    size,
    told,
    WINDOW: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
):
    """Write how far the averaged luma is from its reference; where all starts afresh it becomes the reference.

    `columns` and `rows` say which pixel lies at each place, beyond the border too.
    """
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    total = tl.full((TILE_H, TILE_W), 0, tl.int32)
    for down in tl.static_range(WINDOW):
        line = luma + tl.load(rows + y + down, mask=y < size[1], other=0) * size[0]
        for across in tl.static_range(WINDOW):
            place = line + tl.load(columns + x + across, mask=x < size[0], other=0)
            total += tl.load(place, mask=inside, other=0).to(tl.int32)
    smooth = total.to(tl.float32) * (1.0 / (WINDOW * WINDOW))
    place = y * size[0] + x
    restart = mode_of(told, x) == RESTART
    tl.store(reference + place, smooth, mask=inside & restart)
    before = tl.load(reference + place, mask=inside, other=0)
    tl.store(difference + place, tl.where(restart, 0.0, smooth - before), mask=inside)


@triton.jit
def _keys(difference, offsets, place, count, light, AROUND: tl.constexpr):
    """Return sampled differences, or how far they are from `light`, as int32 in the order of the floats.

    Beyond the last one they are larger than any.
    """
    at = tl.load(offsets + place, mask=place < count, other=0)
    value = tl.load(difference + at)
    if AROUND:
        value = tl.abs(value - light)
    bits = value.to(tl.int32, bitcast=True)
    return tl.where(place < count, bits ^ ((bits >> 31) & 0x7FFFFFFF), 0x7FFFFFFF)


@triton.jit
def _ranked(difference, offsets, count, light, rank, AROUND: tl.constexpr, BLOCK: tl.constexpr):
    """Return the value of a rank among the sampled ones, 0 is the least: exact, four bits of its key at a time."""
    low = tl.full((), -(2**31), tl.int64)
    for digit in range(8):
        steps = low + (tl.arange(0, 16).to(tl.int64) << (28 - 4 * digit))
        below = tl.full((16,), 0, tl.int32)
        for first in range(0, count, BLOCK):
            keys = _keys(difference, offsets, first + tl.arange(0, BLOCK), count, light, AROUND)
            below += total_of((keys[:, None] < steps.to(tl.int32)[None, :]).to(tl.int32), 0)
        chosen = total_of((below <= rank).to(tl.int32), 0) - 1
        low += chosen.to(tl.int64) << (28 - 4 * digit)
    key = low.to(tl.int32)
    return (key ^ ((key >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def light_and_noise(difference, offsets, count, found, spec, BLOCK: tl.constexpr):
    """Write the change of light that most of the picture shares, and from what difference on a place has changed.

    `offsets` are the places that are looked at. `spec` is: least levels, margin, share of the noise within which its
    calmest tenth lies, most noise. One program.
    """
    lower = _ranked(difference, offsets, count, 0.0, (count - 1) // 2, False, BLOCK)
    upper = _ranked(difference, offsets, count, 0.0, count // 2, False, BLOCK)
    light = (lower + upper) * 0.5
    tenth = _ranked(difference, offsets, count, light, count // 10, True, BLOCK)
    noise = tl.minimum(tl.div_rn(tenth, tl.full((), 1.0, tl.float32) * spec[2]), spec[3])
    tl.store(found, light)
    tl.store(found + 1, tl.maximum(noise * spec[1], spec[0]))


@triton.jit
def _moved(difference, found, rise):
    """Return how surely places have changed, float32 0..1."""
    far = (tl.abs(difference - tl.load(found)) - tl.load(found + 1)) * rise
    return tl.minimum(tl.maximum(far, 0.0), 1.0)


@triton.jit
def moved_sums(difference, found, sums, pixels, rise, TILE: tl.constexpr):
    """Write the sum of how surely places have changed, float32, one for each program."""
    place = tl.program_id(0) * TILE + tl.arange(0, TILE)
    moved = _moved(tl.load(difference + place, mask=place < pixels, other=0), found, rise)
    tl.store(sums + tl.program_id(0), total_of(tl.where(place < pixels, moved, 0.0), 0))


@triton.jit
def _starts_afresh(sums, sum_count, most_moved, told, x, SUMS: tl.constexpr):
    """Return, in the shape of `x`, whether a frame follows no other: the first, one alone, one after a cut."""
    place = tl.arange(0, SUMS)
    total = total_of(tl.load(sums + place, mask=place < sum_count, other=0), 0)
    was_cut = tl.where(total > most_moved, 1, 0) + 0 * x
    return (mode_of(told, x) != GO_ON) | (was_cut == 1)


@triton.jit
def _moved_near(difference, found, rise, x, y, size, inside, REACH: tl.constexpr):
    """Return how surely something within a square of REACH pixels has changed, float32 [h, w]."""
    most = tl.full(inside.shape, 0.0, tl.float32)
    for down in tl.static_range(REACH):
        line = tl.minimum(tl.maximum(y + down - REACH // 2, 0), size[1] - 1) * size[0]
        for across in tl.static_range(REACH):
            place = line + tl.minimum(tl.maximum(x + across - REACH // 2, 0), size[0] - 1)
            most = tl.maximum(most, _moved(tl.load(difference + place, mask=inside, other=0), found, rise))
    return most


@triton.jit
def _move_reference(reference, difference, place, moved, fresh, told, stored, goes_on):
    """Let the reference follow a still picture slowly, and a changed one at once; after a cut it is the picture."""
    before = tl.load(reference + place, mask=stored, other=0)
    apart = tl.load(difference + place, mask=stored, other=0)
    share = tl.where(fresh, 1.0, tl.maximum(moved, tl.load(told + 1)))
    tl.store(reference + place, before + apart * share, mask=stored & goes_on)


@triton.jit
def matte(
    mask,
    planes,
    difference,
    change,
    play,
    told,
    out,
    still_out,
    size,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
    SUMS: tl.constexpr,
):
    """Write the matte that is shown, uint8 [h, w], and how surely each place stands still, uint8 [h, w].

    `planes` are reference, state, the matte before and what is shown; `change` is what was found, the sums, their
    count, the sum beyond which there was a cut, and how fast a change grows sure.
    """
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    place = y * size[0] + x
    fresh = _starts_afresh(change[1], change[2], change[3], told, x, SUMS)
    moved = _moved(tl.load(difference + place, mask=inside, other=0), change[0], change[4])
    new = tl.load(mask + place, mask=inside, other=0).to(tl.int32)
    before = tl.load(planes[2] + place, mask=inside, other=0).to(tl.int32)
    state = tl.load(planes[1] + place, mask=inside, other=0)
    level = clamped(rounded(state))
    above = tl.maximum(tl.minimum(new, before) - level, 0)
    below = tl.maximum(level - tl.maximum(new, before), 0)
    weight = tl.maximum(tl.load(told + GAINS_AT + tl.maximum(above, below)), moved)
    state = tl.where(fresh, new.to(tl.float32), state + weight * (new.to(tl.float32) - state))
    averaged = clamped(rounded(state))
    still = tl.where(fresh, 0, clamped(rounded(255.0 - 255.0 * moved)))
    slack = byte_product(tl.load(play + averaged).to(tl.int32), still)
    shown = tl.load(planes[3] + place, mask=inside, other=0).to(tl.int32)
    shown = tl.minimum(tl.maximum(shown, averaged - slack), averaged + slack)
    tl.store(out + place, shown, mask=inside)
    tl.store(still_out + place, still, mask=inside)
    stored = inside & (mode_of(told, x) != ALONE)
    _move_reference(planes[0], difference, place, moved, fresh, told, stored, mode_of(told, x) == GO_ON)
    tl.store(planes[1] + place, state, mask=stored)
    tl.store(planes[2] + place, new, mask=stored)
    tl.store(planes[3] + place, shown, mask=stored)


@triton.jit
def labels(
    mask,
    planes,
    difference,
    change,
    told,
    out,
    size,
    REACH: tl.constexpr,
    TILE_W: tl.constexpr,
    TILE_H: tl.constexpr,
    SUMS: tl.constexpr,
):
    """Write the labels that are shown, uint8 [h, w].

    `planes` are reference, what is shown, the rival label and for how many frames it was seen; `change` as for a matte.
    """
    x, y = _tile(TILE_W, TILE_H)
    inside = (x < size[0]) & (y < size[1])
    place = y * size[0] + x
    fresh = _starts_afresh(change[1], change[2], change[3], told, x, SUMS)
    moved = _moved_near(difference, change[0], change[4], x, y, size, inside, REACH)
    new = tl.load(mask + place, mask=inside, other=0).to(tl.int32)
    shown = tl.load(planes[1] + place, mask=inside, other=0).to(tl.int32)
    rival = tl.load(planes[2] + place, mask=inside, other=0).to(tl.int32)
    seen = tl.load(planes[3] + place, mask=inside, other=0).to(tl.int32)
    seen = tl.where(new != rival, 0, seen)
    seen = tl.where(fresh | (new == shown), 0, tl.minimum(seen, 254) + 1)
    believed = fresh | (seen >= tl.load(told + 2).to(tl.int32) + 0 * x) | _true(moved > 0.5)
    shown = tl.where(believed, new, shown)
    tl.store(out + place, shown, mask=inside)
    stored = inside & (mode_of(told, x) != ALONE)
    _move_reference(planes[0], difference, place, moved, fresh, told, stored, mode_of(told, x) == GO_ON)
    tl.store(planes[1] + place, shown, mask=stored)
    tl.store(planes[2] + place, new, mask=stored)
    tl.store(planes[3] + place, seen, mask=stored)
