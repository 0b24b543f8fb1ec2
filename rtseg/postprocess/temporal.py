"""Temporal smoothing of masks: calm where the picture stands still, crisp where it moves.

Note [A matte with backlash]
    Averaging alone does not end flicker: a border that is averaged still wanders about one half, only slower, and each
    crossing is a flip. So the matte that is shown follows the averaged one with backlash, like the far end of a loose
    gear: it stays until it is pushed, and then is pushed no further than it must. A pixel near one half has to turn
    far before it changes sides; one that is surely inside or outside has no play, so that nothing is left translucent.
    Where the picture moves there is no averaging and no play: see Note [When a new mask counts].

    Edge refinement brings back flicker of its own, because the luma it follows is noisy. `AlphaSmoother.steady` lets
    the refined matte follow with the same backlash.

Both smoothers hold the state of ONE stream, work on bytes at network size, and start afresh after a cut, a jump in
time or a change of size. Time constants are in seconds. Threading: one thread at a time.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.errors import ConfigError
from rtseg.postprocess.backlash import Backlash
from rtseg.postprocess.change import USUAL_FRAME_SECONDS, Clock, PictureChange, Sensitivity
from rtseg.postprocess.refiner import SteadyRefiner
from rtseg.types import FloatArray, UInt8Array

SETTLING_SECONDS: Final[float] = 0.2
"""Time constant by which a still place follows a matte that differs little."""
INSISTENCE_HZ: Final[float] = 40.0
"""How much faster, in time constants a second, it follows one that was wholly different in two frames running."""
PLAY_LEVELS: Final[int] = 45
"""Backlash of the averaged matte at one half, in levels 0..255."""
EDGE_PLAY_LEVELS: Final[int] = 60
"""Backlash of the refined matte at one half; 64 is the most with which a higher matte never shows lower."""

PERSISTENCE_SECONDS: Final[float] = 0.15
"""How long a new label must be seen, without a break, where the picture has not changed."""
LABEL_SENSITIVITY: Final = Sensitivity(window_px=5, reach_px=5)
"""Labels have no soft border that could follow a part of a pixel, so that a change counts for its surroundings."""


def gains_of(passed_seconds: float) -> FloatArray:
    """Return the share of the way that a still place goes in that time, float32 [256], by how much a matte insists."""
    return _gains(passed_seconds, _rates_hz(SETTLING_SECONDS, INSISTENCE_HZ))


def _rates_hz(settling_seconds: float, insistence_hz: float) -> npt.NDArray[np.float64]:
    return np.asarray(1 / settling_seconds + insistence_hz * np.arange(256) / 255)


def _gains(passed_seconds: float, rates_hz: npt.NDArray[np.float64]) -> FloatArray:
    return (1 - np.exp(-passed_seconds * rates_hz)).astype(np.float32)


class AlphaSmoother:
    """Smooths the soft matte of one stream."""

    def __init__(self, *, settling_seconds: float = SETTLING_SECONDS, insistence_hz: float = INSISTENCE_HZ) -> None:
        """Set how slowly still places follow, and how much faster where a wholly different matte insists."""
        self._rates_hz = _rates_hz(settling_seconds, insistence_hz)
        self._clock = Clock()
        self._change = PictureChange()
        self._state: FloatArray | None = None
        self._before: UInt8Array | None = None
        self._still: UInt8Array | None = None
        self._shown = Backlash(PLAY_LEVELS)
        self._refined = Backlash(EDGE_PLAY_LEVELS)
        self._refiner = SteadyRefiner(self._refined)

    def reset(self) -> None:
        """Start afresh with the next matte."""
        self._state = None
        self._change.reset()

    def smooth(self, mask: UInt8Array, luma: UInt8Array, pts_seconds: float | None = None) -> UInt8Array:
        """Return the smoothed matte, uint8 [h, w], of a matte and the luma at its size, uint8 [h, w] each.

        Raises:
            ConfigError: matte and luma of different sizes.
        """
        _check_sizes(mask, luma)
        passed_seconds = self._clock.passed_seconds(pts_seconds)
        if passed_seconds is None or (self._state is not None and self._state.shape != mask.shape):
            self.reset()
        moved = self._change.moved(luma, passed_seconds or USUAL_FRAME_SECONDS)
        before, self._before = self._before, mask.copy()
        if self._state is None or before is None or moved is None:
            self._state, self._still = mask.astype(np.float32), None
            return self._shown.follow(mask, None)
        averaged = self._average(self._state, mask, before, moved, passed_seconds or USUAL_FRAME_SECONDS)
        self._still = np.asarray(cv2.convertScaleAbs(moved, alpha=-255, beta=255), np.uint8)
        return self._shown.follow(averaged, self._still)

    def steady(self, refined: UInt8Array) -> UInt8Array:
        """Return the matte of the last `smooth`, refined on the frame, without the noise of that: uint8 [H, W]."""
        return self._refined.follow(refined, self._still)

    def refine(self, mask: UInt8Array, luma_small: UInt8Array, luma_full: UInt8Array) -> UInt8Array:
        """Return `steady(refine_alpha(...))` of the matte of the last `smooth`, worked out where it is not flat.

        Args:
            mask: what `smooth` returned, uint8 [h, w].
            luma_small: luma of the frame at its size, uint8 [h, w].
            luma_full: luma of the frame, uint8 [H, W].

        Raises:
            ConfigError: matte and small luma of different sizes.
        """
        return self._refiner.refine(mask, luma_small, luma_full, self._still)

    def _average(
        self, state: FloatArray, mask: UInt8Array, before: UInt8Array, moved: FloatArray, passed_seconds: float
    ) -> UInt8Array:
        """Move the state towards the matte: at once where things move, and fast where it insists; return its bytes."""
        shown = cv2.convertScaleAbs(state)
        above = cv2.subtract(cv2.min(mask, before), shown)  # bytes saturate: nothing where the two frames disagree
        below = cv2.subtract(shown, cv2.max(mask, before))
        gains = _gains(passed_seconds, self._rates_hz)
        weight = cv2.max(cv2.LUT(cv2.max(above, below), gains), moved)
        state += cv2.multiply(weight, cv2.subtract(mask, state, dtype=cv2.CV_32F))
        return np.asarray(cv2.convertScaleAbs(state), np.uint8)


class LabelSmoother:
    """Smooths the class labels of one stream: a pixel keeps its label until a new one persists, or things move."""

    def __init__(self, *, persistence_seconds: float = PERSISTENCE_SECONDS) -> None:
        """Set how long a new label must be seen, without a break, where the picture has not changed."""
        self._persistence_seconds = persistence_seconds
        self._clock = Clock()
        self._change = PictureChange(LABEL_SENSITIVITY)
        self._shown: UInt8Array | None = None
        self._rival: UInt8Array | None = None
        self._seen: UInt8Array | None = None

    def reset(self) -> None:
        """Start afresh with the next labels."""
        self._shown = None
        self._change.reset()

    def smooth(self, mask: UInt8Array, luma: UInt8Array, pts_seconds: float | None = None) -> UInt8Array:
        """Return the steadied labels, uint8 [h, w], of labels and the luma at their size, uint8 [h, w] each.

        Raises:
            ConfigError: labels and luma of different sizes.
        """
        _check_sizes(mask, luma)
        passed_seconds = self._clock.passed_seconds(pts_seconds)
        if passed_seconds is None or (self._shown is not None and self._shown.shape != mask.shape):
            self.reset()
        moved = self._change.moved(luma, passed_seconds or USUAL_FRAME_SECONDS)
        if self._shown is None or self._rival is None or self._seen is None or moved is None:
            self._shown, self._rival, self._seen = mask.copy(), mask.copy(), np.zeros_like(mask)
            return mask
        self._count(mask, self._shown, self._rival, self._seen)
        enough = max(2, math.ceil(self._persistence_seconds / (passed_seconds or USUAL_FRAME_SECONDS)))
        believed = (self._seen >= min(enough, 255)) | (moved > 0.5)
        np.copyto(self._shown, mask, where=believed)
        return self._shown.copy()

    def refine(self, mask: UInt8Array, luma_small: UInt8Array, luma_full: UInt8Array) -> UInt8Array:  # noqa: ARG002
        """Return the labels as they are: they have no soft edge that could be refined."""
        return mask

    @staticmethod
    def _count(mask: UInt8Array, shown: UInt8Array, rival: UInt8Array, seen: UInt8Array) -> None:
        """Count for how many frames in a row each pixel has said the same thing that is not shown."""
        seen[mask != rival] = 0
        np.minimum(seen, 254, out=seen)
        seen += 1
        seen[mask == shown] = 0
        np.copyto(rival, mask)


def _check_sizes(mask: UInt8Array, luma: UInt8Array) -> None:
    if mask.shape != luma.shape or mask.ndim != 2:
        raise ConfigError(
            f"temporal smoothing: got a mask {mask.shape} and luma {luma.shape}; expected two [h, w] of one size. "
            "Scale the luma to network size."
        )
