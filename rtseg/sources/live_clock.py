"""One timeline for a live source, whatever its own clock does and however often it is lost and found."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

TIME_BASE: Final = Fraction(1, 90_000)
"""Seconds a tick of the frames of a live source."""

JUMP_SECONDS: Final = 5.0
"""A source whose time leaps this far forward, or a tenth of it back, has a new clock: time goes on as it passed."""


class LiveClock:
    """Turns the times of a source into seconds since its first frame; they rise, and go on over a reconnection.

    While connected, the source's own clock counts, so that sound and picture keep their distance. After a new
    connection or a jump, it is set by the time that really passed.
    Threading: one thread at a time.
    """

    def __init__(self, *, jump_seconds: float = JUMP_SECONDS) -> None:
        """Take what counts as a jump; `math.inf`: a step forward never does."""
        self._jump_seconds = jump_seconds
        self._started_ns: int | None = None
        self._shift_seconds: float | None = None
        self._last_raw_seconds = 0.0
        self._last_ticks = -1
        self.jumps = 0
        """Times that the clock of the source jumped while it was connected."""

    def reconnected(self) -> None:
        """Say that the next time comes from a new connection."""
        self._shift_seconds = None

    def frame_ticks(self, raw_seconds: float | None, arrived_ns: int) -> int:
        """Return the time of a frame in ticks of TIME_BASE, greater than every one before.

        Args:
            raw_seconds: what the source says; None: nothing, or nothing to be trusted: then the arrival counts.
            arrived_ns: time.monotonic_ns() at which it arrived.
        """
        if self._started_ns is None:
            self._started_ns = arrived_ns
        passed_seconds = (arrived_ns - self._started_ns) / 1e9
        seconds = passed_seconds if raw_seconds is None else self._on_timeline(raw_seconds, passed_seconds)
        ticks = max(round(seconds / TIME_BASE), self._last_ticks + 1)
        self._last_ticks = ticks
        return ticks

    def sound_seconds(self, raw_seconds: float) -> float | None:
        """Return the time of sound on the same timeline; None before the first picture of a connection."""
        return None if self._shift_seconds is None else raw_seconds + self._shift_seconds

    def _on_timeline(self, raw_seconds: float, passed_seconds: float) -> float:
        step_seconds = raw_seconds - self._last_raw_seconds
        if self._shift_seconds is not None and not -JUMP_SECONDS / 10 < step_seconds < self._jump_seconds:
            self.jumps += 1
            self._shift_seconds = None
        if self._shift_seconds is None:
            begin_seconds = max(passed_seconds, float((self._last_ticks + 1) * TIME_BASE))
            self._shift_seconds = begin_seconds - raw_seconds
        self._last_raw_seconds = raw_seconds
        return raw_seconds + self._shift_seconds
