"""What training eats: a picture with its target, drawn by index so that a run can be taken up again exactly.

Note [Training targets]
    `semantic`: one byte a pixel. 0 .. classes - 1 names a class; `classes` and up names a group of classes of which any
    is right (a coarse label, see `targets.TargetTable`); 255 is ignored.
    `matte`: the share of the pixel that the subject covers, 0..255; `ignored` marks pixels that teach nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from rtseg.types import UInt8Array

Task = Literal["semantic", "matte"]


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One augmented picture and its target, both at the size that was asked for."""

    rgb: UInt8Array
    """uint8 [H, W, 3]."""
    target: UInt8Array
    """uint8 [H, W], see Note [Training targets]."""
    ignored: npt.NDArray[np.bool_] | None = None
    """Matte task only: bool [H, W], True where the target is unknown; None: it is known everywhere."""
    pseudo: bool = False
    """True where the averaged network may fill in what `target` leaves open (unlabelled or coarse pixels)."""
    soft: UInt8Array | None = None
    """uint8 [K, h, w], 0..255: a teacher's probabilities (of a matte: K = 1) at any size; None: it said nothing."""


class SampleSource(Protocol):
    """Draws samples; the same `index` of the same source always gives the same sample."""

    def draw(self, index: int, size_wh: tuple[int, int]) -> TrainingSample:
        """Return sample `index` (0 and up, unbounded) of this run at a size.

        Threading: may be called from several threads at once.
        """
