"""Banks of rain: streaks in the air and drops on a windscreen, drawn once from fixed numbers."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np

from rtseg.train.blending import BANK_PX
from rtseg.train.camera import motion_kernel
from rtseg.types import UInt8Array

STREAK_BANKS: Final = 6
DROP_BANKS: Final = 4


@cache
def streak_bank() -> tuple[UInt8Array, ...]:
    """Return planes uint8 [S, S] of slanted streaks, 255 where a drop was all the time."""
    return tuple(_streaks(np.random.default_rng([7, index])) for index in range(STREAK_BANKS))


@cache
def drop_bank() -> tuple[UInt8Array, ...]:
    """Return planes uint8 [S, S] of drops on glass, 255 inside a drop."""
    return tuple(_drops(np.random.default_rng([8, index])) for index in range(DROP_BANKS))


def _streaks(rng: np.random.Generator) -> UInt8Array:
    share = rng.uniform(0.002, 0.012)
    heads = (rng.random((BANK_PX, BANK_PX), np.float32) < share).astype(np.float32)
    heads = np.asarray(cv2.GaussianBlur(heads, (0, 0), rng.uniform(0.3, 0.6)), np.float32)
    length, slant = int(rng.integers(6, 26)), rng.uniform(-0.35, 0.35)
    drawn = cv2.filter2D(heads, -1, motion_kernel(length, np.pi / 2 + slant))
    scale = 180 / max(1e-6, float(np.percentile(drawn, 99.7)))
    return np.asarray(np.clip(drawn * scale, 0, 255), np.uint8)


def _drops(rng: np.random.Generator) -> UInt8Array:
    plane = np.zeros((BANK_PX, BANK_PX), np.uint8)
    for _ in range(int(rng.integers(150, 500))):
        radius = rng.gamma(2.0, 2.0) + 1.5
        axes = (round(radius), round(radius * rng.uniform(1.0, 1.5)))
        centre = tuple(int(v) for v in rng.integers(0, BANK_PX, 2))
        cv2.ellipse(plane, centre, axes, rng.uniform(-20, 20), 0, 360, (int(rng.integers(150, 255)),), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.2), np.uint8)
