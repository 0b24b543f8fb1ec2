"""A file played again and again, as fast as it decodes or at the pace of a camera."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from rtseg.sources.base import Source, SourceInfo
from rtseg.stats import StageStats
from rtseg.types import Frame


class LoopedSource(Source):
    """Another source without its end: it is opened anew each time it ends, and the frames' times go on.

    With a pace it is live, as a camera is: frame n is due at n / pace, is never given before that, and its age counts
    from when it was due, however late the decoder was. Sound is left out. A source that is live itself is not looped.

    Args:
        make: returns a new, unopened source of the same frames.
        pace_hz: frames a second to hand out; None: as fast as they decode.
        phase: where in the first interval frame 0 is due, 0..1, so that several cameras do not tick together.
    """

    def __init__(self, make: Callable[[], Source], *, pace_hz: float | None = None, phase: float = 0.0) -> None:
        super().__init__()
        self.decode = StageStats()
        """Time of decoding alone, without the wait for the pace."""
        self._make = make
        self._source = make()
        self._pace_hz = pace_hz
        self._phase = phase
        self._info: SourceInfo | None = None

    @property
    def info(self) -> SourceInfo:
        """What is known of the source, without end and without sound. Raises SourceError before `open()`."""
        return self._info or self._source.info

    def open(self) -> None:
        """Open the source. Raises what it raises."""
        self._source.open()
        # Kept, because the pipeline asks at any time, also while the source is being opened anew.
        info = self._source.info
        endless = replace(info, frame_count=None, duration_seconds=None, has_audio=False, end_seconds=None)
        if self._pace_hz is not None:
            rate = Fraction(self._pace_hz).limit_denominator(1001)
            details = {**info.details, "paced": f"{self._pace_hz:g} frames a second"}
            endless = replace(endless, live=True, frame_rate=rate, details=details)
        self._info = endless

    def close(self) -> None:
        """Close the source; idempotent."""
        self._source.close()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames again and again, numbered through; pts rise strictly across the joints."""
        began_ns = time.monotonic_ns()
        for frame_index, (frame, pts) in enumerate(self._endless()):
            self.counters.decoded += 1
            captured_ns = frame.captured_ns
            if self._pace_hz is not None:
                captured_ns = began_ns + round((frame_index + self._phase) / self._pace_hz * 1e9)
                _wait_until(captured_ns)
            yield replace(frame, frame_index=frame_index, pts=pts, captured_ns=captured_ns)

    def _endless(self) -> Iterator[tuple[Frame, int]]:
        """Yield each frame with its pts moved behind the pass before."""
        shift = 0
        while True:
            first = last = None
            for frame in self._timed(self._source.frames()):
                first = frame if first is None else first
                last = frame
                yield frame, frame.pts + shift
            if first is None or last is None or self._source.info.live:
                return
            shift += last.pts - first.pts + self._ticks_of(last)
            self._source.close()
            self._source = self._make()
            self._source.open()

    def _timed(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        while True:
            began_ns = time.monotonic_ns()
            frame = next(frames, None)
            if frame is None:
                return
            self.decode.add(time.monotonic_ns() - began_ns)
            yield frame

    def _ticks_of(self, frame: Frame) -> int:
        rate = self._source.info.frame_rate
        return frame.duration or max(1, round(1 / (frame.time_base * (rate or 30))))


def _wait_until(due_ns: int) -> None:
    remaining_seconds = (due_ns - time.monotonic_ns()) / 1e9
    if remaining_seconds > 0:
        time.sleep(remaining_seconds)
