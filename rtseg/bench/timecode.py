"""A machine-readable time code in the picture: drawn at the source, read back wherever the picture comes out.

Note [The code]
    A strip along the lower edge holds 40 bits in two rows: 24 bits of time in ticks of 0.1 ms (it starts over after
    28 minutes), and 16 bits of CRC over them. Each bit is a pair of cells, black beside white for 0 and white beside
    black for 1, in a frame of mid grey. So reading compares two neighbours and needs no threshold: darker, paler,
    tinted or noisy pictures read the same. The cells are 1/42 of the width, several times the blocks of a video codec
    and wider than the standard deviation of the default background blur of a 16:9 picture. Chroma is neutral, so 4:2:0
    loses nothing. The lower edge, because the legend and the HUD line are at the upper one.

    A pair that differs too little, or a CRC that does not fit, is no code: `read_code` returns None, never a guess. An
    effect that takes the lower edge away (another background, a cut-out) takes the code away with it; who measures
    draws it again (Note [A code that an effect covers] in rtseg/bench/glass.py).
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.errors import ConfigError
from rtseg.types import Picture, UInt8Array, Yuv420, picture_size_wh

TICK_NS: Final = 100_000
"""How fine the code tells time."""
TIME_BITS: Final = 24
CRC_BITS: Final = 16
TICKS: Final = 1 << TIME_BITS
"""After so many ticks the code starts over."""

ROWS: Final = 2
PAIRS_A_ROW: Final = (TIME_BITS + CRC_BITS) // ROWS
CELLS_A_ROW: Final = 2 * PAIRS_A_ROW
LEAST_CELL_PX: Final = 4
LEAST_CONTRAST: Final = 3.0
"""Levels by which the two cells of a pair must differ, about the noise of a codec; below it a pair says nothing."""

_TALLNESS: Final = 1.25
_MOST_HEIGHT_SHARE: Final = 0.06
_SAMPLES: Final = 4  # a cell is read at 4 x 4 places, of which the inner 2 x 2 count
_GREY: Final = 128
_LIMITED: Final = (16, 235)
_FULL: Final = (0, 255)


@dataclass(frozen=True, slots=True)
class StripPlace:
    """Where the code is in a picture, in pixels: right and lower edges not included."""

    top: int
    """Where the grey frame begins, an even row; it reaches to the lower edge of the picture."""
    left: int
    right: int
    first_row: int
    """Where the cells begin."""
    end_row: int
    """Where the cells end."""


def strip_place(size_wh: tuple[int, int]) -> StripPlace:
    """Return where the code is in a picture of this size.

    Raises:
        ConfigError: the picture is too narrow or too low to hold it.
    """
    width, height = size_wh
    cell = width / (CELLS_A_ROW + 2)
    cell_height = min(_TALLNESS * cell, _MOST_HEIGHT_SHARE * height)
    if min(cell, cell_height) < LEAST_CELL_PX:
        least_wh = (LEAST_CELL_PX * (CELLS_A_ROW + 2), round(LEAST_CELL_PX / _MOST_HEIGHT_SHARE))
        raise ConfigError(
            f"time code: got a picture of {width}x{height}; expected at least {least_wh[0]}x{least_wh[1]}. "
            "Measure glass to glass on a larger source."
        )
    return StripPlace(
        top=int(height - (ROWS + 1) * cell_height) // 2 * 2,
        left=round(cell),
        right=round(width - cell),
        first_row=round(height - (ROWS + 0.5) * cell_height),
        end_row=round(height - 0.5 * cell_height),
    )


def tick_of(monotonic_ns: int) -> int:
    """Return the tick that a moment of the monotonic clock falls into, 0 to TICKS - 1."""
    return monotonic_ns // TICK_NS % TICKS


def age_seconds(tick: int, now_ns: int) -> float:
    """Return how long before `now_ns` a tick was, in seconds, 0 or more; for codes of another process too.

    The result is right for ages below 28 minutes, to within a tick.
    """
    return (now_ns // TICK_NS - tick) % TICKS * TICK_NS / 1e9


def draw_code(picture: Picture, tick: int) -> Picture:
    """Return a copy of a picture, planes or rgb(a) uint8 [H, W, 3 or 4], with the code of a tick along its lower edge.

    Raises:
        ConfigError: the picture is too small, or the tick is out of range.
    """
    if not 0 <= tick < TICKS:
        raise ConfigError(f"time code: got tick {tick}; expected 0 to {TICKS - 1}. Take it from tick_of().")
    place = strip_place(picture_size_wh(picture))
    if isinstance(picture, Yuv420):
        y, u, v = picture.y.copy(), picture.u.copy(), picture.v.copy()
        _draw_luma(y, place, tick, _FULL if picture.full_range else _LIMITED)
        for chroma in (u, v):
            chroma[place.top // 2 :] = _GREY
        return Yuv420(y, u, v, matrix=picture.matrix, full_range=picture.full_range)
    drawn = picture.copy()
    grey = np.empty(drawn.shape[:2], np.uint8)
    _draw_luma(grey, place, tick, _FULL)
    drawn[place.top :, :, :3] = grey[place.top :, :, None]
    drawn[place.top :, :, 3:] = 255
    return drawn


def read_code(picture: Picture) -> int | None:
    """Return the tick that a picture carries, planes or rgb(a) uint8 [H, W, 3 or 4] of any size; None: unreadable.

    The transparent part of an RGBA picture is read as grey: what nobody sees, nobody reads.
    """
    try:
        place = strip_place(picture_size_wh(picture))
    except ConfigError:  # scaled down until no code fits: that is unreadable, not a mistake of the caller
        return None
    bits = _bits_of(_strip_luma(picture, place))
    return None if bits is None else _tick_of_bits(bits)


def _bits_of(strip: UInt8Array) -> npt.NDArray[np.bool_] | None:
    """Return the bits in the luma of the cells, bool [40]; None where a pair of cells says nothing."""
    samples_wh = (CELLS_A_ROW * _SAMPLES, ROWS * _SAMPLES)
    samples = cv2.resize(strip, samples_wh, interpolation=cv2.INTER_AREA).astype(np.float32)
    inner = slice(_SAMPLES // 4, _SAMPLES - _SAMPLES // 4)
    cells = samples.reshape(ROWS, _SAMPLES, CELLS_A_ROW, _SAMPLES)[:, inner, :, inner].mean(axis=(1, 3))
    difference = (cells[:, 0::2] - cells[:, 1::2]).ravel()
    if float(np.abs(difference).min()) < LEAST_CONTRAST:
        return None
    return np.asarray(difference > 0)


def _tick_of_bits(bits: npt.NDArray[np.bool_]) -> int | None:
    code = int.from_bytes(np.packbits(bits).tobytes(), "big")
    tick, crc = code >> CRC_BITS, code & ((1 << CRC_BITS) - 1)
    return tick if crc == _crc(tick) else None


def _crc(tick: int) -> int:
    """Return the 16-bit CRC of a tick (CCITT polynomial): every burst of up to 16 wrong bits is noticed."""
    return binascii.crc_hqx(tick.to_bytes(TIME_BITS // 8, "big"), 0xFFFF)


def _draw_luma(plane: UInt8Array, place: StripPlace, tick: int, black_white: tuple[int, int]) -> None:
    """Draw the strip into a luma plane, uint8 [H, W], from `place.top` down; the rest is left alone."""
    code = (tick << CRC_BITS | _crc(tick)).to_bytes((TIME_BITS + CRC_BITS) // 8, "big")
    ones = np.unpackbits(np.frombuffer(code, np.uint8)).reshape(ROWS, PAIRS_A_ROW)
    cells = np.stack([ones, 1 - ones], axis=2).reshape(ROWS, CELLS_A_ROW)
    levels = np.array(black_white, np.uint8)[cells]
    box_wh = (place.right - place.left, place.end_row - place.first_row)
    plane[place.top :] = _GREY
    plane[place.first_row : place.end_row, place.left : place.right] = cv2.resize(
        levels, box_wh, interpolation=cv2.INTER_NEAREST
    )


def _strip_luma(picture: Picture, place: StripPlace) -> UInt8Array:
    """Return the luma of the cells, uint8 [h, w]."""
    rows, columns = slice(place.first_row, place.end_row), slice(place.left, place.right)
    if isinstance(picture, Yuv420):
        return picture.y[rows, columns]
    strip = np.ascontiguousarray(picture[rows, columns])
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(strip[..., :3]), cv2.COLOR_RGB2GRAY), np.uint8)
    if strip.shape[2] == 3:
        return grey
    alpha = strip[..., 3].astype(np.float32) / np.float32(255)
    return np.asarray(np.rint(grey * alpha + _GREY * (1 - alpha)), np.uint8)
