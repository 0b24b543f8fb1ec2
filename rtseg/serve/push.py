"""A source into which a connection pushes the frames that its decoder gives: live, and never more than one waiting."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

import av
import numpy as np

from rtseg.errors import SourceError
from rtseg.sources.base import Source, SourceInfo, SourceState
from rtseg.sources.pixels import PictureReader, color_of
from rtseg.types import Frame, Picture, UInt8Array, Yuv420, picture_size_wh

FIRST_FRAME_SECONDS: Final = 15.0
"""How long a connection may take until its first picture."""
STALLED_SECONDS: Final = 2.0
"""A connection that gives no picture for so long is called stalled."""
STRIPS_KEPT: Final = 16
"""Strips of frames that are still being worked on; more are never under way."""
STRIP_PX: Final = 16
"""Height of the time strip in the picture as the page drew it."""
TIME_BASE: Final = Fraction(1, 90_000)


class Arrival(NamedTuple):
    """A decoded frame and when it came."""

    frame: av.VideoFrame
    arrived_ns: int


class PushSource(Source):
    """Frames of one connection.

    Threading: `put` and `finish` from any thread (they never wait); the rest belongs to the pipeline.
    """

    def __init__(self, source_id: str, *, keeps_strip: bool = False) -> None:
        """Take a name for the stats, and whether the rows of the time strip are kept for the sink."""
        super().__init__()
        self._source_id = source_id
        self._keeps_strip = keeps_strip
        self._changed = threading.Condition()
        self._waiting: Arrival | None = None
        self._finished = False
        self._arrived_ns = 0
        self._reader = PictureReader()
        self._info: SourceInfo | None = None
        self._tallest_px = 0
        self._strips: deque[tuple[int, Picture]] = deque(maxlen=STRIPS_KEPT)
        self.overtaken = 0
        """Frames that were replaced by a newer one before the pipeline took them."""

    def put(self, frame: av.VideoFrame) -> None:
        """Give the newest frame; one that still waits is dropped and counted."""
        with self._changed:
            if self._waiting is not None:
                self.overtaken += 1
            self._arrived_ns = time.monotonic_ns()
            self._waiting = Arrival(frame, self._arrived_ns)
            self._changed.notify_all()

    def finish(self) -> None:
        """Say that no more frames will come; idempotent."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def interrupt(self) -> None:
        """End the wait for a frame, and with it the frames."""
        self.finish()

    @property
    def state(self) -> SourceState:
        """What the connection is doing at the moment."""
        if self._finished:
            return "ended"
        if self._arrived_ns == 0:
            return "connecting"
        return "stalled" if time.monotonic_ns() - self._arrived_ns > STALLED_SECONDS * 1e9 else "live"

    @property
    def info(self) -> SourceInfo:
        """What is known of the connection. Raises SourceError before `open()`."""
        if self._info is None:
            raise SourceError(f"{self._source_id}: got one that is not open; expected open() first. Open it.")
        return self._info

    def open(self) -> None:
        """Wait for the first frame, which tells the size.

        Raises:
            SourceError: none came in time, or the connection ended before.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finished, FIRST_FRAME_SECONDS)
            first = self._waiting
        if first is None:
            why = "the end of the connection" if self._finished else f"no picture in {FIRST_FRAME_SECONDS:.0f} s"
            raise SourceError(f"{self._source_id}: got {why}; expected a first picture. Start the camera again.")
        matrix, full_range = color_of(first.frame)
        self._info = SourceInfo(
            source_id=self._source_id,
            kind="camera",
            live=True,
            size_wh=(first.frame.width, first.frame.height),
            time_base=TIME_BASE,
            frame_rate=Fraction(30),
            matrix=matrix,
            full_range=full_range,
        )

    def frames(self) -> Iterator[Frame]:
        """Yield frames as they come, until the connection ends."""
        frame_index = 0
        first_ns, last_pts = 0, -1
        while (arrival := self._take()) is not None:
            picture = self._reader.read(arrival.frame)
            if self._keeps_strip:
                self._strips.append((frame_index, self._strip_of(picture)))
            first_ns = first_ns or arrival.arrived_ns
            last_pts = max(last_pts + 1, (arrival.arrived_ns - first_ns) * 9 // 100_000)
            self.counters.decoded += 1
            yield Frame(picture, frame_index, last_pts, TIME_BASE, arrival.arrived_ns, self._source_id)
            frame_index += 1

    def strip(self, frame_index: int) -> Picture | None:
        """Return the bottom rows of a frame as they came, and forget those of older ones; None: not kept."""
        while self._strips and self._strips[0][0] < frame_index:
            self._strips.popleft()
        if self._strips and self._strips[0][0] == frame_index:
            return self._strips[0][1]
        return None

    def close(self) -> None:
        """Forget what waits; idempotent."""
        self.finish()
        with self._changed:
            self._waiting = None

    def _take(self) -> Arrival | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finished)
            arrival, self._waiting = self._waiting, None
            return None if self._finished else arrival

    def _strip_of(self, picture: Picture) -> Picture:
        """Return a copy of the rows with the strip: 16 of them at the camera's own size, fewer where it was shrunk."""
        height_px = picture_size_wh(picture)[1]
        self._tallest_px = max(self._tallest_px, height_px)
        rows = 2 * max(1, round(STRIP_PX * height_px / self._tallest_px / 2))
        if not isinstance(picture, Yuv420):
            return np.array(picture[-rows:])
        y, u, v = (
            np.array(plane[-count:])
            for plane, count in zip(_planes(picture), (rows, rows // 2, rows // 2), strict=True)
        )
        return Yuv420(y, u, v, matrix=picture.matrix, full_range=picture.full_range)


def _planes(picture: Yuv420) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    return picture.y, picture.u, picture.v


def with_strip(picture: Picture, strip: Picture) -> Picture:
    """Return the picture with other bottom rows; a picture of another form or width is returned as it is."""
    if isinstance(picture, Yuv420) and isinstance(strip, Yuv420) and picture.size_wh[0] == strip.size_wh[0]:
        y, u, v = (_mended(*pair) for pair in zip(_planes(picture), _planes(strip), strict=True))
        return Yuv420(y, u, v, matrix=picture.matrix, full_range=picture.full_range)
    if isinstance(picture, Yuv420) or isinstance(strip, Yuv420) or picture.shape[1:] != strip.shape[1:]:
        return picture
    return _mended(picture, strip)


def _mended(plane: UInt8Array, rows: UInt8Array) -> UInt8Array:
    mended = np.array(plane)
    mended[-rows.shape[0] :] = rows
    return mended
