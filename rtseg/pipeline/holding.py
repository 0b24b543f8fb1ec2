"""The last frame, shown again a few times a second while its source is silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rtseg.pipeline.channel import Channel, ChannelClosed
from rtseg.pipeline.segmenting import Segmented
from rtseg.pipeline.watching import SourceWatch
from rtseg.render.held import mark_held
from rtseg.types import Frame, Segmentation

HOLD_SECONDS: Final = 0.25
"""How often the last frame is shown again."""


def arrivals(segmented: Channel[Segmented], watch: SourceWatch) -> Iterator[Segmented | None]:
    """Yield what comes out of the segment stage; None now and then while a live source is silent."""
    while True:
        try:
            item = segmented.get(timeout_seconds=HOLD_SECONDS)
        except ChannelClosed:
            return
        if item is not None or watch.is_held:
            yield item


class HeldFrames:
    """Keeps what was shown last and makes it again, marked. Threading: the delivering thread."""

    def __init__(self) -> None:
        self._shown: Frame | None = None
        self._result: Segmentation | None = None
        self._marked: Frame | None = None
        self._shown_ns = 0
        self._last_seconds = 0.0
        self.count = 0
        """Held frames made so far."""

    def keep(self, shown: Frame, result: Segmentation) -> Frame:
        """Remember what is shown now; return it, its time moved where held frames have gone past it already."""
        if self._marked is not None and shown.pts_seconds <= self._last_seconds:
            pts = int(self._last_seconds / shown.time_base) + 1
            shown = replace(shown, pts=pts)
        else:
            self._marked = None
        self._shown, self._result, self._shown_ns = shown, result, time.monotonic_ns()
        self._last_seconds = shown.pts_seconds
        return shown

    def again(self) -> tuple[Frame, Segmentation] | None:
        """Return the last frame once more, marked, at the present time; None where nothing was shown yet."""
        if self._shown is None or self._result is None:
            return None
        if self._marked is None or self._marked.frame_index != self._shown.frame_index:
            self._marked = replace(self._shown, picture=mark_held(self._shown.picture), held="reconnecting")
        passed_seconds = (time.monotonic_ns() - self._shown_ns) / 1e9
        ticks = max(1, round(passed_seconds / self._shown.time_base))
        held = replace(self._marked, pts=self._shown.pts + ticks, captured_ns=time.monotonic_ns(), duration=None)
        self._last_seconds = max(self._last_seconds, held.pts_seconds)
        self.count += 1
        return held, self._result
