"""Which of several views of a picture shows most of what is rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from rtseg.train.targets import IGNORED
from rtseg.train.warping import AffineMap, at_scale, warp_ids
from rtseg.types import UInt8Array

STEP: Final = 4
"""A view is judged at a quarter of its size."""
RAREST: Final = 1e-4
"""Share of the pixels under which a target is no rarer."""


def rarity_of(frequencies: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what a pixel of each target is worth, float64 [256]: its share of all pixels to the power of -1/2.

    Args:
        frequencies: share of the pixels that each target has, [T]; a target that never occurs is worth nothing.
    """
    worth = np.zeros(256)
    present = frequencies > 0
    worth[: len(frequencies)][present] = np.maximum(frequencies[present], RAREST) ** -0.5
    worth[IGNORED] = 0
    return worth


def choose_view(
    target: UInt8Array, warps: Sequence[AffineMap], out_wh: tuple[int, int], rarity: npt.NDArray[np.float64]
) -> AffineMap:
    """Return that of some views whose pixels are worth most.

    Args:
        target: uint8 [H, W], of the picture.
        warps: the views, from pixels of the sample to the picture's.
        out_wh: size of the sample.
        rarity: worth of each target, [256].
    """
    small_wh = (max(1, out_wh[0] // STEP), max(1, out_wh[1] // STEP))
    worth = [rarity[warp_ids(target, at_scale(warp, (1.0, 1.0), STEP), small_wh, IGNORED)].sum() for warp in warps]
    return warps[int(np.argmax(worth))]
