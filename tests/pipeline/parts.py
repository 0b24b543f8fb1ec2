"""Sources, sinks and segmenters that fail, stall or count on demand, for the pipeline tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from types import SimpleNamespace

import numpy as np

from rtseg.backends.base import BackendInfo
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sources.base import Source, SourceInfo
from rtseg.types import Frame, Segmentation


class Boom(Exception):
    """The failure that a test plants."""


class CountingSource(Source):
    """`count` small frames whose top left pixel is their index; fails or stalls at a frame on demand."""

    def __init__(self, count=10, *, fail_at=None, live=False, interval_seconds=0.0, size_wh=(64, 48)):
        super().__init__()
        self.count = count
        self.fail_at = fail_at
        self.live = live
        self.interval_seconds = interval_seconds
        self.size_wh = size_wh
        self.opened = 0
        self.closed = 0

    @property
    def info(self) -> SourceInfo:
        return SourceInfo(
            source_id="counting",
            kind="camera" if self.live else "file",
            live=self.live,
            size_wh=self.size_wh,
            time_base=Fraction(1, 30),
            frame_rate=Fraction(30),
            frame_count=self.count,
        )

    def open(self) -> None:
        self.opened += 1

    def frames(self) -> Iterator[Frame]:
        width, height = self.size_wh
        for index in range(self.count):
            if index == self.fail_at:
                raise Boom("source")
            if self.interval_seconds:
                time.sleep(self.interval_seconds)
            picture = np.full((height, width, 3), 40, np.uint8)
            picture[0, 0] = index % 256
            picture.flags.writeable = False
            self.counters.decoded += 1
            yield Frame(picture, index, index, Fraction(1, 30), time.monotonic_ns(), "counting")

    def close(self) -> None:
        self.closed += 1


class CountingSink(Sink):
    """Keeps the indices that arrive; fails, sleeps or asks for a stop at a frame on demand."""

    name = "counting"

    def __init__(self, *, fail_at=None, sleep_seconds=0.0, stop_at=None, fail_open=False, fail_close=False):
        self.fail_at = fail_at
        self.sleep_seconds = sleep_seconds
        self.stop_at = stop_at
        self.fail_open = fail_open
        self.fail_close = fail_close
        self.indices: list[int] = []
        self.pictures: list[object] = []
        self.stream: StreamFormat | None = None
        self.closed = 0
        self.aborted = 0

    def open(self, stream: StreamFormat) -> None:
        if self.fail_open:
            raise Boom("sink open")
        self.stream = stream

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        assert result is not None
        if frame.frame_index == self.fail_at:
            raise Boom("sink")
        if self.sleep_seconds:
            time.sleep(self.sleep_seconds)
        self.indices.append(frame.frame_index)
        self.pictures.append(frame.picture)

    @property
    def wants_stop(self) -> bool:
        return self.stop_at is not None and bool(self.indices) and self.indices[-1] >= self.stop_at

    def close(self) -> None:
        if self.fail_close:
            raise Boom("sink close")
        self.closed += 1

    def abort(self) -> None:
        self.aborted += 1


def our_threads() -> list[str]:
    """Names of living threads that rtseg started."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rtseg-")]


class StubTicket:
    """A result that is ready, after a delay, or a failure."""

    def __init__(self, segmenter, frame):
        self.preprocess_ns = 1000
        self.infer_ns = 2000
        self.postprocess_ns = 500
        self._segmenter = segmenter
        self._frame = frame

    def result(self) -> Segmentation:
        self._segmenter.outstanding -= 1
        if self._frame.frame_index == self._segmenter.fail_infer_at:
            raise Boom("infer")
        if self._segmenter.sleep_seconds:
            time.sleep(self._segmenter.sleep_seconds)
        width, height = self._frame.size_wh
        labels = np.full((height, width), self._segmenter.label, np.uint8)
        return Segmentation(self._segmenter.classes, self._frame.size_wh, network_labels=labels)


class StubSession:
    """Checks that frames come in order and that no more are in flight than allowed."""

    def __init__(self, segmenter):
        self._segmenter = segmenter
        self._last = -1

    def submit(self, frame: Frame) -> StubTicket:
        if frame.frame_index == self._segmenter.fail_preprocess_at:
            raise Boom("preprocess")
        if frame.frame_index <= self._last:
            raise Boom("order")
        self._last = frame.frame_index
        self._segmenter.outstanding += 1
        self._segmenter.most_outstanding = max(self._segmenter.most_outstanding, self._segmenter.outstanding)
        return StubTicket(self._segmenter, frame)


class StubSegmenter:
    """A segmenter without a model: one label everywhere."""

    def __init__(self, *, in_flight=2, fail_preprocess_at=None, fail_infer_at=None, sleep_seconds=0.0, label=1):
        self.classes = ("background", "person")
        self.palette = ((0, 0, 0), (220, 20, 60))
        self.fail_preprocess_at = fail_preprocess_at
        self.fail_infer_at = fail_infer_at
        self.sleep_seconds = sleep_seconds
        self.label = label
        self.outstanding = 0
        self.most_outstanding = 0
        self.info = BackendInfo("stub", "1", "none", "none", in_flight)
        self.backend_reasons = ("a stub, as asked.",)
        self.bundle = SimpleNamespace(name="stub")

    def session(self) -> StubSession:
        return StubSession(self)
