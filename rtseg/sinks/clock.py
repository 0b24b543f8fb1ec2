"""The clock of a file sink: source times in, output ticks out.

What each container can say about time (Note [Output time]):

- mp4, m4v, mov: ticks of the source's own time base (up to a millionth of a second), so every pts is kept exactly. A
  first pts above 0 becomes an empty edit, written in the same ticks.
- mkv, webm: ticks of 1/1000 s, so a pts is kept to within half a tick.
- None can show a frame before time 0: where the first pts is negative (after `start_seconds` has been taken off),
  picture and sound are moved together so that the first frame is at 0, and a note says so.

Note [Decode times]: where B-frames are reordered, an mp4 stores the gaps between decode times, and readers take their
sum for the length. x264 runs them two frames behind the pictures, so after a long gap near the end the sum falls short
by that gap, and before a long gap at the beginning it runs over. The first decode times are therefore no further ahead
of the first picture than at the nominal rate, and the last packet is moved and stretched to where the sum comes out
right. At a steady rate this changes nothing. Where a video has one or two frames, x265 gives whatever was in memory for
a decode time; the same limits make it a right one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import av

from rtseg.types import Frame

FINEST_TICKS_A_SECOND: Final = 1_000_000
GUESSED_RATE: Final = Fraction(30)
"""Frames a second where nobody knows; only the length of a single frame hangs on it."""

REORDERED_FRAMES: Final = 2
"""By how many frames x264 and x265 start their decode times early; the other encoders do not reorder."""


def tick_seconds_of(time_base: Fraction) -> Fraction:
    """Return the output's tick: the source's time base, in units of 1/n, no finer than a millionth of a second."""
    return Fraction(1, min(time_base.denominator, FINEST_TICKS_A_SECOND))


class DecodeTimes:
    """Mends the encoder's decode times for one stream; see Note [Decode times]."""

    def __init__(self, *, frame_ticks: int) -> None:
        """Take how many ticks a frame lasts at the nominal rate."""
        self._frame_ticks = frame_ticks
        self._first_pts: int | None = None
        self._lead_ticks = 0
        self._seen = 0

    def mend_first(self, packet: av.Packet[Any]) -> None:
        """Bring the decode time of a stream's first packets close to the first picture; others stay as they are."""
        if packet.pts is None or packet.dts is None:
            return
        if self._first_pts is None:
            self._first_pts = packet.pts
        ahead = REORDERED_FRAMES - self._seen
        if ahead > 0:
            earliest = self._first_pts - ahead * self._frame_ticks
            packet.dts = min(max(packet.dts, earliest), packet.pts)
        if self._seen == 0:
            self._lead_ticks = packet.pts - packet.dts
        self._seen += 1

    def mend_last(self, packet: av.Packet[Any], end_ticks: int) -> None:
        """Make the decode times end, with the stream's last packet, as long after the first as the pictures do."""
        if packet.pts is None or packet.dts is None:
            return
        packet.dts = max(packet.dts, packet.pts - self._lead_ticks)
        packet.duration = max(packet.duration or 1, end_ticks - self._lead_ticks - packet.dts)


class OutputClock:
    """Turns source times into output ticks: strictly rising, `start_seconds` at 0, never negative."""

    def __init__(self, tick_seconds: Fraction, *, start_seconds: float, frame_rate: Fraction | None) -> None:
        self.tick_seconds = tick_seconds
        self.last_ticks = -1
        self.notes: list[str] = []
        self._shift_ticks = round(Fraction(start_seconds) / tick_seconds)
        self._nominal_ticks = max(1, round(1 / (frame_rate * tick_seconds))) if frame_rate else None
        self._last_duration = self.frame_ticks
        self._started = False
        self._mended = 0

    @property
    def shift_seconds(self) -> Fraction:
        """How much earlier everything is written than the source's pts says."""
        return self._shift_ticks * self.tick_seconds

    @property
    def end_seconds(self) -> float:
        """Output time at which the last frame ends."""
        return float(self.end_ticks * self.tick_seconds)

    @property
    def end_ticks(self) -> int:
        """Output time at which the last frame ends, in ticks."""
        return self.last_ticks + self._last_duration if self._started else 0

    @property
    def frame_ticks(self) -> int:
        """How long a frame lasts at the nominal rate, in ticks; a guess where no rate is known."""
        return self._nominal_ticks or max(1, round(1 / (GUESSED_RATE * self.tick_seconds)))

    def stamp(self, frame: Frame) -> tuple[int, int]:
        """Return (pts, duration) of the frame in output ticks."""
        ticks = round(frame.pts * frame.time_base / self.tick_seconds) - self._shift_ticks
        if not self._started and ticks < 0:
            self._move_start(ticks)
            ticks = 0
        if self._started and ticks <= self.last_ticks:
            ticks = self.last_ticks + 1
            self._mend()
        self._last_duration = self._duration_ticks(frame, ticks)
        self.last_ticks = ticks
        self._started = True
        return ticks, self._last_duration

    def _duration_ticks(self, frame: Frame, ticks: int) -> int:
        if frame.duration is not None and frame.duration > 0:
            return max(1, round(frame.duration * frame.time_base / self.tick_seconds))
        if self._nominal_ticks is not None:
            return self._nominal_ticks
        return ticks - self.last_ticks if self._started else self._last_duration

    def _move_start(self, ticks: int) -> None:
        self._shift_ticks += ticks
        seconds = float(-ticks * self.tick_seconds)
        self.notes.append(f"times start {seconds:.3f} s before 0, so picture and sound were moved by that much")

    def _mend(self) -> None:
        if not self._mended:
            self.notes.append("some frames came with a time that did not rise; they were put one tick after the last")
        self._mended += 1
