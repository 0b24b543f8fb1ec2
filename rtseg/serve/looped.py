"""A file that plays like a camera: at its own speed, over and over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from rtseg.errors import SourceError
from rtseg.sources.base import Source, SourceInfo
from rtseg.types import Frame

LONGEST_WAIT_SECONDS: Final = 0.5
"""No gap between two frames of a file is kept up for longer."""


class LoopedSource(Source):
    """Another source, finite, begun anew whenever it ends; frames come at the distance of their times."""

    def __init__(self, make: Callable[[], Source]) -> None:
        """Take what makes the source, once for every round."""
        super().__init__()
        self._make = make
        self._inner: Source | None = None
        self._info: SourceInfo | None = None

    @property
    def info(self) -> SourceInfo:
        """What is known of the file, as a live source. Raises SourceError before `open()`."""
        if self._info is None:
            raise SourceError("looped file: got one that is not open; expected open() first. Open it.")
        return self._info

    def open(self) -> None:
        """Open the file. Raises SourceError where it cannot be."""
        self._inner = self._make()
        self._inner.open()
        self._info = replace(
            self._inner.info, live=True, frame_count=None, duration_seconds=None, path=None, has_audio=False
        )

    def frames(self) -> Iterator[Frame]:
        """Yield the frames of round after round, in one rising time."""
        frame_index, start_pts = 0, 0
        while True:
            base_pts, last = None, None
            for frame in self._one_round():
                base_pts = frame.pts if base_pts is None else base_pts
                pts = start_pts + frame.pts - base_pts
                self.counters.decoded += 1
                yield replace(
                    frame, frame_index=frame_index, pts=pts, captured_ns=time.monotonic_ns(), duration=frame.duration
                )
                frame_index += 1
                last = pts
            if last is None:
                raise SourceError("looped file: got no frame in a round; expected at least one. Check the file.")
            start_pts = last + max(1, round(self._frame_seconds / self.info.time_base))

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._inner is not None:
            self._inner.close()

    @property
    def _frame_seconds(self) -> float:
        rate = self.info.frame_rate
        return 1 / float(rate) if rate else 1 / 30

    def _one_round(self) -> Iterator[Frame]:
        """Yield the frames of one round, each no sooner than its time; the file is opened again at its end."""
        if self._inner is None:
            raise SourceError("looped file: got one that is not open; expected open() first. Open it.")
        began, first_seconds = time.monotonic(), None
        for frame in self._inner.frames():
            first_seconds = frame.pts_seconds if first_seconds is None else first_seconds
            due = began + frame.pts_seconds - first_seconds - time.monotonic()
            if due > LONGEST_WAIT_SECONDS:
                began -= due - LONGEST_WAIT_SECONDS
                due = LONGEST_WAIT_SECONDS
            if due > 0:
                time.sleep(due)
            yield frame
        self._inner.close()
        self._inner = self._make()
        self._inner.open()
