"""The sink of the live picture: codes each frame once a codec and hands it to everybody who watches."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from rtseg.serve.encoding import LiveEncoder, LivePainter, jpeg_of
from rtseg.serve.mailbox import Coded, Mailbox, deliver
from rtseg.serve.push import with_strip
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.stats import RateMeter
from rtseg.types import Frame, Picture, Segmentation

JPEG: Final = "JPEG"
"""The codec of those who show the stream as an `<img>`."""
RECENT_FRAMES: Final = 300
"""How many ages the percentiles are taken of: ten seconds at thirty a second."""
AGE_BOUNDS_MS: Final = (10.0, 20.0, 33.0, 50.0, 67.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0, 2000.0, 5000.0)
"""Upper bounds of the buckets of the age histogram."""


@dataclass(slots=True)
class _Outlet:
    """One coding of the picture and those who want it."""

    boxes: tuple[Mailbox, ...] = ()
    encoder: LiveEncoder | None = None
    wants_keyframe: bool = True


class FrameAges:
    """How old frames were when they were handed over. Threading: one writer, any readers."""

    def __init__(self) -> None:
        self.rate = RateMeter()
        self.recent_ms: deque[float] = deque(maxlen=RECENT_FRAMES)
        self.bucket_counts = [0] * (len(AGE_BOUNDS_MS) + 1)
        self.count = 0
        self.total_ms = 0.0
        self.last_ns = 0

    def add(self, age_ns: int, now_ns: int) -> None:
        """Count one frame."""
        age_ms = max(0, age_ns) / 1e6
        self.rate.tick(now_ns)
        self.recent_ms.append(age_ms)
        self.bucket_counts[sum(bound < age_ms for bound in AGE_BOUNDS_MS)] += 1
        self.count += 1
        self.total_ms += age_ms
        self.last_ns = now_ns

    @property
    def fps(self) -> float:
        """Frames a second at the moment; 0 where the last one is long ago."""
        if time.monotonic_ns() - self.last_ns > 2e9:
            return 0.0
        return self.rate.hz or 0.0

    def to_json(self) -> dict[str, float]:
        """Return the age of the last frame and the percentiles of the recent ones, in milliseconds."""
        ages = sorted(self.recent_ms.copy())
        if not ages:
            return {}
        at = {f"p{percent}": ages[min(len(ages) - 1, len(ages) * percent // 100)] for percent in (50, 99)}
        return {name: round(value, 2) for name, value in {"last": self.recent_ms[-1], **at}.items()}


class LiveSink(Sink):
    """Codes and hands over.

    Threading: `write` in the pipeline's thread; `add`, `remove` and `want_keyframe` in the event loop's.
    """

    name = "viewers"
    takes_held = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        strip_of: Callable[[int], Picture | None] | None = None,
        has_command: Callable[[], bool] = lambda: False,
    ) -> None:
        """Describe it.

        Args:
            loop: where the mailboxes live.
            strip_of: returns the rows of a frame that go over its picture unaltered.
            has_command: whether something is to be changed in the pipeline.
        """
        self.ages = FrameAges()
        self.not_coded = 0
        """Frames that nobody wanted."""
        self.size_wh = (0, 0)
        self._loop = loop
        self._strip_of = strip_of
        self.has_command = has_command
        self._painter = LivePainter()
        self._lock = threading.Lock()
        self._outlets: dict[str, _Outlet] = {}

    def add(self, codec: str, box: Mailbox) -> None:
        """Hand pictures to a mailbox too, from the next keyframe on."""
        with self._lock:
            outlet = self._outlets.setdefault(codec, _Outlet())
            outlet.boxes = (*outlet.boxes, box)
            outlet.wants_keyframe = True

    def remove(self, codec: str, box: Mailbox) -> None:
        """Hand it no more; idempotent. The encoder that nobody needs is forgotten."""
        with self._lock:
            outlet = self._outlets.get(codec)
            if outlet is None:
                return
            outlet.boxes = tuple(other for other in outlet.boxes if other is not box)
            if not outlet.boxes:
                del self._outlets[codec]

    def want_keyframe(self, codec: str) -> None:
        """Make the next picture one that needs no other."""
        with self._lock:
            if outlet := self._outlets.get(codec):
                outlet.wants_keyframe = True

    @property
    def watched(self) -> bool:
        """Whether anybody takes pictures."""
        return bool(self._outlets)

    def open(self, stream: StreamFormat) -> None:
        """Take what the stream's size is."""
        self.size_wh = stream.size_wh

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Code one picture for everybody. Raises SinkError where an encoder fails."""
        del result
        with self._lock:
            outlets = dict(self._outlets)
        self.size_wh = frame.size_wh
        picture = self._with_strip(frame)
        if JPEG in outlets:
            coded = jpeg_of(frame.with_picture(picture).rgb)
            self._hand_over(outlets.pop(JPEG).boxes, coded, keyframe=True)
        if outlets:
            self._write_video(outlets, picture)
        if not frame.held:
            now_ns = time.monotonic_ns()
            self.ages.add(now_ns - frame.captured_ns, now_ns)

    def _write_video(self, outlets: dict[str, _Outlet], picture: Picture) -> None:
        for codec, outlet in outlets.items():
            # a frame of its own each: an encoder may keep it, and its picture type and time are the encoder's
            video_frame = self._painter.video_frame(picture)
            if outlet.encoder is None:
                outlet.encoder = LiveEncoder(codec)
            with self._lock:
                wanted, outlet.wants_keyframe = outlet.wants_keyframe, False
            for packet in outlet.encoder.encode(video_frame, sent_ns=time.monotonic_ns(), keyframe=wanted):
                self._hand_over(outlet.boxes, packet, keyframe=packet.is_keyframe)

    def _with_strip(self, frame: Frame) -> Picture:
        strip = None if self._strip_of is None or frame.held else self._strip_of(frame.frame_index)
        return frame.picture if strip is None else with_strip(frame.picture, strip)

    def _hand_over(self, boxes: Sequence[Mailbox], item: Coded, *, keyframe: bool) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it everybody who watched
            self._loop.call_soon_threadsafe(lambda: deliver(boxes, item, keyframe=keyframe))

    def take_commands(self) -> Sequence[str]:
        """Return "change" where something is to be changed in the pipeline."""
        return ("change",) if self.has_command() else ()

    def close(self) -> None:
        """Do nothing: who watches may go on to watch the next run."""

    def to_json(self) -> dict[str, Any]:
        """Return what the sink measured."""
        return {"fps": round(self.ages.fps, 2), "frame_age_ms": self.ages.to_json(), "frames": self.ages.count}
