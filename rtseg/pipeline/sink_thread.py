"""A thread and a bounded queue of its own for every live sink, so that no peer can slow the run or another sink.

Note [Isolated sinks]: `write` copies the picture, puts it into a queue of a few frames and returns; a full queue loses
its oldest frame. The sink's own thread encodes and sends. When the peer is gone, the sink is opened again after a pause
that doubles from 1 s to 30 s; frames meanwhile are dropped without being copied. Every dropped frame is counted under
"sink NAME". Only the first connection's failure ends the run, since what is wrong then (a name, a port, a key) is wrong
for good and its user is there to mend it. A stop lets the sink finish what it has for a second, then cuts it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from rtseg.errors import RtsegError
from rtseg.pipeline.channel import Channel, ChannelClosed
from rtseg.pipeline.stage import Failure, Place, Worker
from rtseg.recycling import Recycler
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import Frame, Picture, Segmentation, Yuv420

QUEUE_FRAMES: Final = 8
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 10.0
"""After that long a connection the next pause is the shortest again."""

FINISH_SECONDS: Final = 1.0
"""How long after a stop a sink may still send what it has; several sinks share that time."""

LEAST_FINISH_SECONDS: Final = 0.1
CUT_SECONDS: Final = 0.8
LATE_SECONDS: Final = 0.5
SinkState = Literal["connecting", "live", "reconnecting", "ended"]


def isolate(sinks: Sequence[Sink], *, paced: bool = False) -> tuple[Sink, ...]:
    """Return the sinks, each live one on a thread of its own; the others, and those isolated already, as they are.

    Args:
        sinks: of one run.
        paced: hold frames back until they are due by their pts, for sources that are faster than real time.
    """
    return tuple(IsolatedSink(sink, paced=paced) if sink.live else sink for sink in sinks)


class IsolatedSink(Sink):
    """A live sink behind a queue. See Note [Isolated sinks].

    Threading: as any sink; `interrupt`, and reading `state`, `dropped`, `reconnects`, `waiting`, from any thread.
    """

    live: ClassVar[bool] = False  # the isolation has been done

    def __init__(self, sink: Sink, *, queue_frames: int = QUEUE_FRAMES, paced: bool = False) -> None:
        """Take the live sink, how many frames may wait for it, and whether frames are held back until due."""
        self.name = sink.name
        self.inner = sink
        self.dropped: Counter[str] = Counter()
        """Frames that did not reach the sink, by cause."""
        self.reconnects = 0
        """Times that the peer was lost and found again."""
        self.sent = 0
        """Frames that the sink has taken."""
        self.state: SinkState = "connecting"
        self.state_detail = ""
        """Why it is not live, in one line without secrets; empty where there is nothing to say."""
        self._capacity = queue_frames
        self._pace = _Pace() if paced else None
        self._queue: Channel[Frame] = Channel(queue_frames)
        self._changed = threading.Condition()
        self._stopping = False
        self._finish_until = 0.0
        self._recycler = Recycler()
        self._failure = Failure()
        self._worker: Worker | None = None
        self._stream: StreamFormat | None = None
        self._losses = 0
        self._last_loss = ""
        self._notes: list[str] = []

    @property
    def waiting(self) -> int:
        """Frames in the queue."""
        return len(self._queue)

    @property
    def notes(self) -> Sequence[str]:
        """What the sink says, and how often its peer was lost."""
        told = [*self.inner.notes, *self._notes]
        if self._losses:
            times = "once" if self._losses == 1 else f"{self._losses} times"
            told.append(f"sink {self.name}: the connection was lost {times}; the last time: {self._last_loss}")
        if lost := self.dropped.total():
            why = "as the peer was away, or it or this machine too slow"
            told.append(f"sink {self.name}: {lost} frames were not sent, {why}")
        return tuple(told)

    @property
    def outputs(self) -> Sequence[Path]:
        """Those of the sink."""
        return self.inner.outputs

    @property
    def target(self) -> Path | None:
        """That of the sink."""
        return self.inner.target

    @property
    def live_facts(self) -> Mapping[str, Any]:
        """State, frames sent, dropped by cause and waiting, and reconnects, as plain values."""
        return {
            "state": self.state,
            "detail": self.state_detail,
            "sent": self.sent,
            "dropped": dict(self.dropped),
            "waiting": self.waiting,
            "reconnects": self.reconnects,
        }

    def open(self, stream: StreamFormat) -> None:
        """Start the thread and wait for the first connection.

        Raises:
            RtsegError: the sink could not be opened.
        """
        self._stream = stream
        self._worker = Worker(self._serve, stage=f"sink-{self.name}", failure=self._failure, on_end=self._ended)
        self._worker.start()
        with self._changed:
            while self.state == "connecting" and not self._stopping:
                self._changed.wait(0.1)
        if self._failure:
            self._join()
            self._failure.raise_first()

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Put a copy of the frame into the queue, or drop it; never waits for the peer.

        Raises:
            RtsegError: the sink has failed in a way that no new connection can mend.
        """
        del result  # live sinks have pictures only
        self._failure.raise_first()
        if self._pace is not None:
            self._wait_until_due(self._pace, frame.pts_seconds)
        if self.state != "live":
            self._count_dropped(1)
            return
        try:
            self._count_dropped(self._queue.put_freshest(frame.with_picture(self._copied(frame.picture))))
        except ChannelClosed:
            self._count_dropped(1)

    def interrupt(self) -> None:
        """End pauses and attempts to connect; a sink that is connected goes on until `close`."""
        with self._changed:
            if not self._stopping:
                self._finish_until = time.monotonic() + FINISH_SECONDS
            self._stopping = True
            self._changed.notify_all()
        if self.state != "live":
            self.inner.cut()

    def close(self) -> None:
        """Let the sink send what it has, for a second at most, and end its thread; idempotent."""
        self.interrupt()
        self._queue.finish()
        left_seconds = max(LEAST_FINISH_SECONDS, self._finish_until - time.monotonic())
        if self._worker is not None and not self._worker.join(left_seconds):
            self._cut()

    def abort(self) -> None:
        """End the sink's thread at once; idempotent."""
        self.interrupt()
        self._queue.abandon()
        self._cut()

    # ---- the sink's own thread --------------------------------------------------------------------------------

    def _serve(self, place: Place) -> None:
        stream = self._stream
        pause_seconds = FIRST_PAUSE_SECONDS
        while stream is not None:
            connected_seconds = time.monotonic()
            if self._connect(stream, place):
                if self._send_all(place):
                    return
                if time.monotonic() - connected_seconds > STEADY_SECONDS:
                    pause_seconds = FIRST_PAUSE_SECONDS
            if self._pause(pause_seconds):
                return
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    def _connect(self, stream: StreamFormat, place: Place) -> bool:
        """Open the sink; return whether that worked. The first time, a failure is the run's."""
        place.stage = f"open {self.name}"
        is_first = self.state == "connecting"
        try:
            self.inner.open(stream)
        except RtsegError as error:
            if is_first and not self._stopping:
                raise
            self._set_state("reconnecting", str(error))
            return False
        self.reconnects += not is_first
        self._set_state("live", "")
        return True

    def _send_all(self, place: Place) -> bool:
        """Send until there is no more; return False where the peer is gone."""
        place.stage = f"sink {self.name}"
        try:
            for frame in self._queue:
                place.frame_index = frame.frame_index
                self.inner.write(frame, None)
                self.sent += 1
            self.inner.close()
        except RtsegError as error:
            self._set_state("reconnecting", str(error))
            self._losses, self._last_loss = self._losses + 1, str(error)
            self.inner.abort()
            self._count_dropped(1)
            self._drop_waiting()
            return False
        return True

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; return True where the run ends instead."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._stopping and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._stopping

    def _drop_waiting(self) -> None:
        try:
            while self._queue.get(wait=False) is not None:
                self._count_dropped(1)
        except ChannelClosed:
            return

    def _ended(self, failed: bool) -> None:
        if failed:
            self.inner.abort()
        self._set_state("ended", "")

    # ---- small things -----------------------------------------------------------------------------------------

    @property
    def _cause(self) -> str:
        return f"sink {self.name}"

    def _count_dropped(self, frames: int) -> None:
        if frames:
            with self._changed:
                self.dropped[self._cause] += frames

    def _set_state(self, state: SinkState, detail: str) -> None:
        with self._changed:
            self.state, self.state_detail = state, detail
            self._changed.notify_all()

    def _copied(self, picture: Picture) -> Picture:
        """Return a copy of the pixels, which the caller may draw on again; see Note [Recycled planes]."""
        copy = self._recycler.copy_of
        if isinstance(picture, Yuv420):
            return Yuv420(copy(picture.y), copy(picture.u), copy(picture.v), picture.matrix, picture.full_range)
        return copy(picture)

    def _wait_until_due(self, pace: _Pace, pts_seconds: float) -> None:
        with self._changed:
            while not self._stopping and (left := pace.seconds_until(pts_seconds)) > 0:
                self._changed.wait(left)

    def _cut(self) -> None:
        self.inner.cut()
        self._join()

    def _join(self) -> None:
        if self._worker is not None and not self._worker.join(CUT_SECONDS):
            note = f"sink {self.name}: it did not answer in time and was left behind"
            if note not in self._notes:
                self._notes.append(note)


class _Pace:
    """Says when a frame is due: at the distance of its pts from the first; late frames move the start."""

    def __init__(self) -> None:
        self._start: float | None = None

    def seconds_until(self, pts_seconds: float) -> float:
        now = time.monotonic()
        if self._start is None or now - self._start - pts_seconds > LATE_SECONDS:
            self._start = now - pts_seconds
        return min(self._start + pts_seconds - now, 1.0)
