"""Presentation times that always rise, whatever the file says."""

from __future__ import annotations

from fractions import Fraction


class PtsMender:
    """Passes presentation times through and mends those that are missing, repeated or run backwards.

    A short step back (a repeated or swapped time) moves the frame to one tick after the frame before it, so that the
    next good time is kept as it is. A long one (two recordings glued together, a clock that was reset) shifts
    everything that follows, so that the video goes on one frame duration later.
    """

    def __init__(self, *, time_base: Fraction, frame_rate: Fraction | None) -> None:
        rate = frame_rate or Fraction(25)
        self._step_ticks = max(1, round(1 / (rate * time_base)))
        self._longest_slip_ticks = max(round(1 / time_base), 10 * self._step_ticks)
        self._last: int | None = None
        self._shift_ticks = 0
        self.mended = 0
        """Frames whose time was changed so far."""

    def mend(self, raw_pts: int | None) -> int:
        """Return the time to use for the next frame, in ticks; greater than every one returned before."""
        pts = self._next(raw_pts)
        self.mended += pts != raw_pts
        self._last = pts
        return pts

    def _next(self, raw_pts: int | None) -> int:
        if self._last is None:
            return 0 if raw_pts is None else raw_pts
        if raw_pts is None:
            return self._last + self._step_ticks
        pts = raw_pts + self._shift_ticks
        if pts > self._last:
            return pts
        if self._last - pts <= self._longest_slip_ticks:
            return self._last + 1
        self._shift_ticks = self._last + self._step_ticks - raw_pts
        return self._last + self._step_ticks
