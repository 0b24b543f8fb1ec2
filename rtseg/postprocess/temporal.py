"""Temporal smoothing of masks: calm where the picture stands still, crisp where it moves.

Note [When a new mask counts]
    A network's mask trembles although nothing in the picture changes, and a plain average over time smears whatever
    moves. So the picture itself decides: where its luma has changed since the mask was last believed, the new mask is
    taken at once; elsewhere it has to agree or to insist. The reference luma is not that of the last frame but one
    that follows the mask, so that motion too slow to be seen from frame to frame adds up until it counts.

Both smoothers hold the state of ONE stream, work on bytes at network size, and start afresh after a cut, a jump in
time or a change of size. Threading: one thread at a time.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from rtseg.errors import ConfigError
from rtseg.types import FloatArray, UInt8Array

USUAL_FRAME_SECONDS: Final[float] = 1 / 30
"""Time between frames where no time is given."""
LONGEST_GAP_SECONDS: Final[float] = 0.5
"""After a longer gap the old mask says nothing about the new frame."""
CUT_SHARE: Final[float] = 0.6
"""A cut: at least this share of the picture has changed."""


class PictureChange:
    """Says where the picture has changed, robust against noise and against a change of light all over."""

    def __init__(self, *, still_levels: float = 2.5, moved_levels: float = 7.0, settling_seconds: float = 0.5) -> None:
        """Set the luma differences, in levels 0..255 after averaging over 5x5, that are noise and that are motion."""
        self._still_levels, self._moved_levels = still_levels, moved_levels
        self._settling_seconds = settling_seconds
        self._reference: FloatArray | None = None
        self._grow = np.ones((5, 5), np.uint8)

    def reset(self) -> None:
        """Forget the picture."""
        self._reference = None

    def moved(self, luma: UInt8Array, passed_seconds: float) -> FloatArray | None:
        """Return how surely each place has changed, float32 [h, w], 0..1; None for a first picture or after a cut."""
        smooth = cv2.blur(luma, (5, 5)).astype(np.float32)
        if self._reference is None or self._reference.shape != smooth.shape:
            self._reference = smooth
            return None
        difference = np.asarray(smooth - self._reference, np.float32)
        change = np.abs(difference - _common_shift(difference))
        span = self._moved_levels - self._still_levels
        moved = np.clip((change - np.float32(self._still_levels)) / np.float32(span), 0.0, 1.0)
        if float(moved.mean()) > CUT_SHARE:
            self._reference = smooth
            return None
        moved = np.asarray(cv2.dilate(moved, self._grow), np.float32)
        self._reference += np.maximum(moved, _share(passed_seconds, self._settling_seconds)) * difference
        return moved


class AlphaSmoother:
    """Smooths the soft matte of one stream."""

    def __init__(self, *, settling_seconds: float = 0.5, insistence: float = 0.12) -> None:
        """Set how slowly still places follow, and the extra weight of a new matte that is wholly different."""
        self._settling_seconds = settling_seconds
        self._insistence = insistence
        self._clock = _Clock()
        self._change = PictureChange()
        self._state: FloatArray | None = None

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
        if self._state is None or moved is None:
            self._state = mask.astype(np.float32)
            return mask
        difference = np.asarray(mask - self._state, np.float32)
        weight = np.abs(difference) * np.float32(self._insistence / 255)
        weight += moved
        weight += _share(passed_seconds or USUAL_FRAME_SECONDS, self._settling_seconds)
        self._state += np.minimum(weight, np.float32(1)) * difference
        return np.asarray(cv2.convertScaleAbs(self._state), np.uint8)


class LabelSmoother:
    """Smooths the class labels of one stream: a pixel keeps its label until a new one persists, or things move."""

    def __init__(self, *, persistence_seconds: float = 0.15) -> None:
        """Set how long a new label must be seen, without a break, where the picture has not changed."""
        self._persistence_seconds = persistence_seconds
        self._clock = _Clock()
        self._change = PictureChange()
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

    @staticmethod
    def _count(mask: UInt8Array, shown: UInt8Array, rival: UInt8Array, seen: UInt8Array) -> None:
        """Count for how many frames in a row each pixel has said the same thing that is not shown."""
        seen[mask != rival] = 0
        np.minimum(seen, 254, out=seen)
        seen += 1
        seen[mask == shown] = 0
        np.copyto(rival, mask)


class _Clock:
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


def _common_shift(difference: FloatArray) -> np.float32:
    """Return the change of light that most of the picture shares, in levels: the median, from every fourth pixel."""
    return np.float32(np.median(difference[::4, ::4]))


def _share(passed_seconds: float, settling_seconds: float) -> np.float32:
    return np.float32(1 - math.exp(-passed_seconds / settling_seconds))


def _check_sizes(mask: UInt8Array, luma: UInt8Array) -> None:
    if mask.shape != luma.shape or mask.ndim != 2:
        raise ConfigError(
            f"temporal smoothing: got a mask {mask.shape} and luma {luma.shape}; expected two [h, w] of one size. "
            "Scale the luma to network size."
        )
