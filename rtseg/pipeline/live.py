"""Capture: decode and hand over; of a live source also notice when it falls silent, and find it again.

    read     source.packets()  ->  [packets]       thread rtseg-read, of sources that tell packets from frames
    decode   catch up, decode  ->  hand over       the capture thread of the pipeline

A source that is silent for too long, breaks off or ends is closed and opened again, after 1, 2, 4 … seconds, for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from rtseg.errors import ConfigError, SourceError
from rtseg.pipeline.ahead import Ahead
from rtseg.pipeline.packets import CatchUp, PacketQueue, PacketsEnded
from rtseg.pipeline.stage import JOIN_SECONDS, Place, Stopwatch
from rtseg.pipeline.watching import FIRST_WAIT_SECONDS, KEYFRAME_SECONDS, LiveOptions, SourceWatch
from rtseg.sources.base import PacketSource, Source
from rtseg.stats import Stats
from rtseg.types import Frame

TICK_SECONDS: Final = 0.1
"""How often a silent source is looked at."""


MOST_BROKEN: Final = 10
"""So many broken packets without a picture between them, in a silence, and the stream is another than it was."""


class LiveCapture:
    """The body of the capture thread for one source; what is not live is read to its end.

    Args:
        source: open already.
        options: how it is treated.
        watch: its state, kept here.
        hand_over: takes each decoded frame; returns True when no more are wanted.
        stats: of the run.
        stopping: set when the run is to end.
        catches_up: leave packets out when decoding falls behind; False: decode every one.
    """

    def __init__(
        self,
        source: Source,
        *,
        options: LiveOptions,
        watch: SourceWatch,
        hand_over: Callable[[Frame], bool],
        stats: Stats,
        stopping: threading.Event,
        catches_up: bool = True,
    ) -> None:
        self._source = source
        self._catches_up = catches_up
        self._options = options
        self._watch = watch
        self._hand_over = hand_over
        self._stats = stats
        self._stopping = stopping
        self._queue: PacketQueue | None = None
        self.is_stuck = False
        """True where the reading thread did not end in time: then the source must not be closed under it."""
        self._wait_seconds = 0.0
        self._errors_at_frame = 0

    @property
    def waiting_packets(self) -> int:
        """Packets that were read and not decoded yet."""
        return 0 if self._queue is None else len(self._queue)

    def run(self, place: Place) -> None:
        """Capture until the source ends by itself, enough frames were had, or the run is stopped.

        Raises:
            SourceError: the source was lost and cannot, or shall not, be found again.
        """
        while True:
            self._watch.now("live")
            try:
                self._one_connection(place)
                self._watch.now("ended")
                return
            except SourceError as error:
                if self._stopping.is_set():
                    return
                if self.is_stuck or not self._source.can_reopen or not self._options.reconnect_max_seconds:
                    raise
                self._find_again(error)
            if self._stopping.is_set():
                return

    # ---- one connection ---------------------------------------------------------------------------------------

    def _one_connection(self, place: Place) -> None:
        if isinstance(self._source, PacketSource) and self._source.info.live:
            self._read_and_decode(self._source, place)
            return
        watch = Stopwatch()
        for frame in self._source.frames():
            if self._take(frame, watch.lap(), place):
                return
            watch.lap()

    def _take(self, frame: Frame, decode_ns: int, place: Place) -> bool:
        """Hand a frame on; return True when no more are wanted."""
        self._stats.stage("decode").add(decode_ns)
        self._watch.saw_frame(frame)
        self._errors_at_frame = self._source.counters.decode_errors
        self._wait_seconds = 0.0
        place.frame_index = frame.frame_index + 1
        return self._hand_over(frame)

    def _read_and_decode(self, source: PacketSource, place: Place) -> None:
        queue = self._queue = PacketQueue()
        reading = threading.Thread(target=_read, args=(source, queue), name="rtseg-read", daemon=True)
        reading.start()
        try:
            self._decode_all(source, queue, place)
        finally:
            deadline = time.monotonic() + JOIN_SECONDS
            while reading.is_alive() and time.monotonic() < deadline:
                source.interrupt()
                reading.join(TICK_SECONDS)
            self.is_stuck = reading.is_alive()

    def _decode_all(self, source: PacketSource, queue: PacketQueue, place: Place) -> None:
        catching_up = CatchUp(source, queue, never=not self._catches_up)
        packet_ns = time.monotonic_ns()
        while not self._stopping.is_set():
            try:
                packet = queue.get(TICK_SECONDS)
            except PacketsEnded as ended:
                if ended.error is not None:
                    raise ended.error from None
                return
            if packet is not None:
                packet_ns = time.monotonic_ns()
                self._stats.stage("packet wait").add(packet_ns - packet.arrived_ns)
            self._check_silence((time.monotonic_ns() - packet_ns) / 1e9)
            if packet is None or not catching_up.wants(packet):
                continue
            watch = Stopwatch()
            frames = source.decode(packet)
            catching_up.count(len(frames))
            decode_ns = watch.lap() // max(1, len(frames))
            for frame in frames:
                if self._take(frame, decode_ns, place):
                    return

    def _check_silence(self, since_packet_seconds: float) -> None:
        """Give a connection up that is silent, or that sends packets without pictures for too long."""
        limit_seconds = self._watch.limit_seconds
        silent_seconds = self._watch.silent_seconds
        if min(since_packet_seconds, silent_seconds) > limit_seconds:
            raise SourceError(
                f"source {self._source.info.source_id}: got no frame for {silent_seconds:.1f} s; "
                f"expected one within {limit_seconds:.1f} s. Is the sender still there?"
            )
        broken = self._source.counters.decode_errors - self._errors_at_frame
        if silent_seconds > limit_seconds and broken >= MOST_BROKEN:
            raise SourceError(
                f"source {self._source.info.source_id}: got {broken} packets that cannot be decoded and no picture for "
                f"{silent_seconds:.1f} s; expected pictures. Has the codec changed? It is opened anew."
            )
        if silent_seconds > limit_seconds + KEYFRAME_SECONDS:
            raise SourceError(
                f"source {self._source.info.source_id}: got packets but no picture for {silent_seconds:.0f} s; "
                "expected a key frame. Let the camera send key frames more often."
            )

    # ---- finding it again -------------------------------------------------------------------------------------

    def _find_again(self, error: SourceError) -> None:
        """Close the source and open it again, as often as it takes; returns at a stop."""
        note = f"lost: {error}"
        while not self._stopping.is_set():
            self._watch.now("reconnecting", note)
            self._source.close()
            if self._stopping.wait(self._wait_seconds):
                return
            self._wait_seconds = next_wait_seconds(self._wait_seconds, self._options.reconnect_max_seconds)
            try:
                self._source.open()
                return
            except ConfigError:
                raise
            except SourceError as failed:
                note = str(failed)


def open_live(source: Source, *, options: LiveOptions, watch: SourceWatch, stopping: threading.Event) -> bool:
    """Open a source; return False when the run was stopped meanwhile.

    One that can hang (it can be reopened) is opened in a thread of its own, so that Ctrl-C and a stop get through.

    Raises:
        SourceError: it cannot be opened, and is not to be waited for.
    """
    if not source.can_reopen:
        source.open()
        return True
    wait_seconds = 0.0
    while not stopping.wait(wait_seconds):
        try:
            _open_interruptibly(source)
            return True
        except SourceError as error:
            if stopping.is_set():
                return False
            if not options.waits_for_source:
                raise
            watch.now("connecting", str(error))
            source.close()
        wait_seconds = next_wait_seconds(wait_seconds, options.reconnect_max_seconds or FIRST_WAIT_SECONDS)
    return False


def _open_interruptibly(source: Source) -> None:
    with Ahead(source.open, name="open") as opening:
        try:
            opening.result()
        except BaseException:
            source.interrupt()
            raise


def next_wait_seconds(wait_seconds: float, most_seconds: float) -> float:
    """Return the wait before the next try: 1, 2, 4 … up to the most."""
    return min(most_seconds, max(FIRST_WAIT_SECONDS, 2 * wait_seconds))


def _read(source: PacketSource, queue: PacketQueue) -> None:
    try:
        for packet in source.packets():
            queue.put(packet)
    except Exception as error:  # noqa: BLE001  nothing may escape a thread unseen; the capture thread raises it
        queue.end(error)
    else:
        queue.end(None)
