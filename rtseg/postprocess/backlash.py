"""What is shown of a matte that trembles: it follows with backlash; see Note [A matte with backlash] in temporal.py."""

from __future__ import annotations

import cv2
import numpy as np

from rtseg.recycling import Recycler
from rtseg.types import UInt8Array


class Backlash:
    """Follows a matte no further than its play demands; the state of one stream."""

    def __init__(self, play_levels: int) -> None:
        self._play = play_table(play_levels)
        self._planes = Recycler()
        self.shown: UInt8Array = np.empty((0, 0), np.uint8)
        """What is shown, uint8 [h, w]; see `part`."""

    def follow(self, matte: UInt8Array, still: UInt8Array | None) -> UInt8Array:
        """Return what is shown, uint8 [h, w], of a matte uint8 [h, w].

        Args:
            matte: what to follow.
            still: how surely the picture stands still, 255 is wholly, uint8 of any size; None starts afresh.

        Lifetime: what is returned is the caller's; it may be written on.
        """
        if still is None or self.shown.shape != matte.shape:
            self.shown = matte.copy()
            return matte
        if still.shape != matte.shape:
            still = np.asarray(cv2.resize(still, matte.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        self.follow_part(self.shown, matte, still)
        return self.shown_copy()

    def follow_part(self, shown: UInt8Array, matte: UInt8Array, still: UInt8Array | None) -> None:
        """Let a part of what is shown, a view, follow the part of a matte there; None: all of it stands still."""
        play = cv2.LUT(matte, self._play)
        if still is not None:
            cv2.multiply(play, still, dst=play, scale=1 / 255)
        cv2.max(shown, cv2.subtract(matte, play), dst=shown)
        cv2.min(shown, cv2.add(matte, play), dst=shown)

    def shown_copy(self) -> UInt8Array:
        """Return what is shown, uint8 [h, w], as the caller's own."""
        return self._planes.copy_of(self.shown)


def play_table(play_levels: int) -> UInt8Array:
    """Return how far a matte may turn before what is shown follows, by its level, uint8 [256]; most at one half."""
    share = np.arange(256) / 255
    return np.floor(4 * share * (1 - share) * play_levels).astype(np.uint8)
