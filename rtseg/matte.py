"""A matte's levels: what is as good as nothing, and what is as good as everything."""

from __future__ import annotations

from typing import Final

import numpy as np

from rtseg.types import UInt8Array

SNAP: Final = 38
"""A matte within so many bytes (15 %) of nothing or of everything is taken as that. Chosen on real mattes, with hair:
the mean absolute difference from them falls from 0.038 (no snapping) over 0.030 (5 %) to 0.025."""


def snap_levels(levels: int = SNAP) -> UInt8Array:
    """Return the table that makes almost nothing nothing and almost everything everything, uint8 [256].

    `levels` is how near, in bytes, to 0 or 255 that is; one half stays one half. 0 changes nothing.
    """
    stretched = (np.arange(256, dtype=np.float32) - levels) * 255 / (255 - 2 * levels)
    return np.clip(np.rint(stretched), 0, 255).astype(np.uint8)
