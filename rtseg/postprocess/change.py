"""Where a picture has changed, for what is remembered of the pictures before.

Note [When a new mask counts]
    A network's mask trembles although nothing in the picture changes, and a plain average over time smears whatever
    moves. So the picture itself decides: where its luma has changed since the mask was last believed, the new mask is
    taken at once; elsewhere it has to agree or to insist. The reference luma is not that of the last frame but one
    that follows the mask, so that motion too slow to be seen from frame to frame adds up until it counts. And a change
    is judged against the noise of this very picture: what is motion on a clean one is grain on a dark one.

Both classes hold the state of ONE stream. Threading: one thread at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rtseg.types import FloatArray, UInt8Array

USUAL_FRAME_SECONDS: Final[float] = 1 / 30
"""Time between frames where no time is given."""
LONGEST_GAP_SECONDS: Final[float] = 0.5
"""After a longer gap the old mask says nothing about the new frame."""
CUT_SHARE: Final[float] = 0.6
"""A cut: at least this share of the picture has changed."""
NOISIEST_LEVELS: Final[float] = 1.6
"""Noise, standard deviation in levels after averaging, beyond which a restless picture is taken to be moving."""
NOISE_MARGIN: Final[float] = 4.0
"""So many standard deviations are noise: one pixel in 16,000 is wrong."""
CALMEST_TENTH: Final[float] = 0.1257
"""A tenth of normal noise lies within so many standard deviations."""
SAMPLED_PX: Final[int] = 4
"""Every so many pixels, each way, are enough to know the noise by."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How a change is looked for."""

    window_px: int = 3
    """Side of the square over which the luma is averaged."""
    reach_px: int = 1
    """Side of the square within which a change counts; 1: just where it is."""
    still_levels: float = 2.5
    """Difference of luma 0..255 up to which the picture is still, unless its noise is larger."""
    moving_levels: float = 4.5
    """How much more it takes to be sure of motion."""
    settling_seconds: float = 0.5
    """Time constant by which the reference follows a still picture."""


class PictureChange:
    """Says where the picture has changed, robust against noise and against a change of light all over."""

    def __init__(self, sensitivity: Sensitivity | None = None) -> None:
        self._how = sensitivity or Sensitivity()
        self._reference: FloatArray | None = None
        self._window = (self._how.window_px, self._how.window_px)
        self._reach = np.ones((self._how.reach_px, self._how.reach_px), np.uint8)

    def reset(self) -> None:
        """Forget the picture."""
        self._reference = None

    def moved(self, luma: UInt8Array, passed_seconds: float) -> FloatArray | None:
        """Return how surely each place has changed, float32 [h, w], 0..1; None for a first picture or after a cut.

        Args:
            luma: the picture, uint8 [h, w].
            passed_seconds: since the picture before.
        """
        smooth = np.asarray(cv2.boxFilter(luma, cv2.CV_32F, self._window), np.float32)
        reference = self._reference
        if reference is None or reference.shape != smooth.shape:
            self._reference = smooth
            return None
        difference = np.subtract(smooth, reference, out=smooth)
        light, noise = _light_and_noise(difference)
        still = max(self._how.still_levels, NOISE_MARGIN * noise)
        moved = np.abs(difference - light)
        moved -= np.float32(still)
        moved *= np.float32(1 / self._how.moving_levels)
        np.clip(moved, 0.0, 1.0, out=moved)
        if float(moved.mean()) > CUT_SHARE:
            self._reference = difference + reference
            return None
        if self._how.reach_px > 1:
            moved = np.asarray(cv2.dilate(moved, self._reach), np.float32)
        difference *= np.maximum(moved, gain_of(passed_seconds, self._how.settling_seconds))
        reference += difference
        return moved


class Clock:
    """Tells how much time lies between two frames."""

    def __init__(self) -> None:
        self._last_seconds: float | None = None

    def passed_seconds(self, pts_seconds: float | None) -> float | None:
        """Return the seconds since the last frame; None after a jump in time."""
        last, self._last_seconds = self._last_seconds, pts_seconds
        if pts_seconds is None or last is None:
            return USUAL_FRAME_SECONDS
        passed_seconds = pts_seconds - last
        return passed_seconds if 0 < passed_seconds <= LONGEST_GAP_SECONDS else None


def gain_of(passed_seconds: float, settling_seconds: float) -> np.float32:
    """Return the share of the way, 0..1, that something with this time constant goes in that time."""
    return np.float32(1 - math.exp(-passed_seconds / settling_seconds))


def _light_and_noise(difference: FloatArray) -> tuple[np.float32, float]:
    """Return the change of light that most of the picture shares, and the standard deviation of its noise, in levels.

    The noise is told by the calmest tenth, so that motion is not taken for it while a part of the picture stands still.
    """
    sample = difference[::SAMPLED_PX, ::SAMPLED_PX].ravel()
    light = np.float32(np.median(sample))
    calmest = np.abs(sample - light)
    tenth = calmest.size // 10
    noise = float(np.partition(calmest, tenth)[tenth]) / CALMEST_TENTH
    return light, min(noise, NOISIEST_LEVELS)
