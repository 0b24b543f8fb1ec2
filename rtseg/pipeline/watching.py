"""Whether a live source is well: live, stalled, reconnecting, or sending the same picture again and again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from rtseg.errors import ConfigError
from rtseg.sources.base import Source, SourceState
from rtseg.types import Frame, UInt8Array, Yuv420

STALL_SECONDS: Final = 2.0
"""No frame for so long, or for two frame intervals where that is longer, and the source counts as stalled."""
KEYFRAME_SECONDS: Final = 15.0
"""How long packets may come without a picture: a key frame may be that far away."""
FIRST_WAIT_SECONDS: Final = 1.0
"""The wait before the first try to reconnect that follows a failed one; it doubles with each."""
FROZEN_SECONDS: Final = 5.0
"""The same picture for so long, and the source is said to be frozen."""
SAME_MEAN_LEVELS: Final = 0.3
SAME_MOST_LEVELS: Final = 6
"""Pictures that differ by no more are the same one, coded again: key frames look a little unlike the others."""
MOST_BELIEVED_INTERVAL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How a live source is treated."""

    reconnect_max_seconds: float = 30.0
    """The longest wait between two tries to reconnect; 0: a lost source ends the run."""
    staleness_seconds: float = 0.1
    """How long a frame may wait between decoding and inference before it counts as stale."""
    waits_for_source: bool = False
    """True: a source that is not there at the start is waited for; False: that is an error."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.reconnect_max_seconds <= 86_400:
            raise ConfigError(
                f"reconnect-max: got {self.reconnect_max_seconds} s; expected 0 (never) to 86400 s. Change it."
            )
        if not 0 <= self.staleness_seconds <= 60:
            raise ConfigError(
                f"staleness: got {self.staleness_seconds * 1000:g} ms; expected 0 to 60000 ms. Change it."
            )


class SourceWatch:
    """Keeps the state of one source. Threading: `saw_frame` and `now` from the capture thread, the rest from any."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._state: SourceState = "connecting"
        self._detail = ""
        self._last_frame_ns = time.monotonic_ns()
        self._interval_seconds = 0.0
        self._seen_since_connect = 0
        self._repeats = RepeatedPictures(source)

    @property
    def state(self) -> SourceState:
        """What the source is doing."""
        if self._state != "live":
            return self._state
        if self._source.info.live and self.silent_seconds > self.limit_seconds:
            return "stalled"
        return "frozen" if self._repeats.is_frozen else self._source.state

    @property
    def detail(self) -> str:
        """One line about the state, without credentials."""
        state = self.state
        if state == "stalled":
            return f"no frame for {self.silent_seconds:.1f} s"
        if state == "frozen":
            return f"the same picture for {self._repeats.seconds:.0f} s"
        return self._detail or self._source.state_detail

    @property
    def silent_seconds(self) -> float:
        """Time since the last frame, or since the connection."""
        return (time.monotonic_ns() - self._last_frame_ns) / 1e9

    @property
    def limit_seconds(self) -> float:
        """How long a silence may be: 2 s, two frame intervals, or what is usual for the kind of source."""
        return max(STALL_SECONDS, 2 * self._interval_seconds, self._source.usual_gap_seconds)

    @property
    def has_frames(self) -> bool:
        """True once the present connection has given a frame."""
        return self._seen_since_connect > 0

    @property
    def is_held(self) -> bool:
        """True while the last frame stands in for a source that is silent."""
        return self.state in ("stalled", "reconnecting", "connecting")

    def now(self, state: SourceState, detail: str = "") -> None:
        """Say what the source is doing from now on."""
        with self._lock:
            self._state, self._detail = state, detail
            if state == "live":
                self._last_frame_ns = time.monotonic_ns()
                self._seen_since_connect = 0
                rate = self._source.info.frame_rate
                self._interval_seconds = float(1 / rate) if rate else 0.0

    def saw_frame(self, frame: Frame) -> None:
        """Take note of a frame that was decoded."""
        now_ns = time.monotonic_ns()
        gap_seconds = (now_ns - self._last_frame_ns) / 1e9
        with self._lock:
            if self._seen_since_connect and gap_seconds < MOST_BELIEVED_INTERVAL_SECONDS:
                self._interval_seconds += (gap_seconds - self._interval_seconds) / 8
            self._seen_since_connect += 1
            self._last_frame_ns = now_ns
        self._repeats.saw(frame)


class RepeatedPictures:
    """Notices a camera or stream that sends one picture again and again, the same but for what coding changes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._last: UInt8Array | None = None
        self._since_ns = 0
        self._run = 0
        self._noted = False

    @property
    def seconds(self) -> float:
        """How long the present picture has been the same."""
        return (time.monotonic_ns() - self._since_ns) / 1e9 if self._run else 0.0

    @property
    def is_frozen(self) -> bool:
        """True where the same picture has come for FROZEN_SECONDS."""
        return self._run > 2 and self.seconds > FROZEN_SECONDS

    def saw(self, frame: Frame) -> None:
        """Compare a frame with the one before it."""
        if self._source.info.kind not in ("camera", "stream"):
            return
        pixels = frame.picture.y if type(frame.picture) is Yuv420 else frame.picture  # not one that lies on a device
        same = isinstance(pixels, np.ndarray) and self._last is not None and _is_same(pixels, self._last)
        self._last = pixels if isinstance(pixels, np.ndarray) else None
        if not same:
            self._run, self._since_ns = 0, time.monotonic_ns()
            return
        self._run += 1
        self._source.counters.repeated += 1
        if self.is_frozen and not self._noted:
            self._noted = True
            self._source.counters.notes.append(
                f"The source sent the same picture for more than {FROZEN_SECONDS:.0f} s."
            )


def _is_same(first: UInt8Array, second: UInt8Array) -> bool:
    """Compare two pictures: a few pixels, which differ enough when anything moves, before many of them."""
    return first.shape == second.shape and all(
        _is_near(first[::stride, ::stride], second[::stride, ::stride]) for stride in (16, 3)
    )


def _is_near(first: UInt8Array, second: UInt8Array) -> bool:
    apart = np.abs(first.astype(np.int16) - second)
    return bool(apart.max() <= SAME_MOST_LEVELS and apart.mean() <= SAME_MEAN_LEVELS)
