"""The far glass at the other end of a network: the pictures that FFmpeg decodes out of the stream.

Note [The network's far glass]
    The sink sends MPEG-TS to a port of this machine; a receiver, a source of rtseg's own on a thread of its own, takes
    it there, and each picture counts from the moment it left the receiver's decoder. So encoder, multiplexer, network,
    demultiplexer and decoder are in the number. FFmpeg gives a picture of a transport stream only once the next one
    begins, so one frame period of it is the receiver's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from rtseg.bench.glass import WARM_UP_FRAMES, GlassSink, StampLog
from rtseg.bench.timecode import read_code
from rtseg.errors import SourceError
from rtseg.pipeline.sink_thread import isolate
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sources import open_source
from rtseg.types import Frame, Segmentation

DRAIN_SECONDS: Final = 0.5
"""How long after the last frame pictures may still arrive."""

JOIN_SECONDS: Final = 2.0


class NetworkGlassSink(GlassSink):
    """A UDP sink to this machine whose pictures are read where they arrive; see Note [The network's far glass]."""

    until = "until it is decoded by a receiver at the other end of the network (FFmpeg, on this machine)"

    def __init__(self, inner: Sink, log: StampLog, *, warm_up_frames: int = WARM_UP_FRAMES) -> None:
        """Take the live sink to watch, the log of the source, and how many pictures at the start are not counted."""
        (isolated,) = isolate([inner])
        super().__init__(isolated, log, warm_up_frames=warm_up_frames)
        self._source = open_source(str(getattr(inner, "address", "")))
        self._receiver = threading.Thread(target=self._receive, name="rtseg-bench-receiver", daemon=True)
        self._problem = ""
        self._ending = False
        self._sent = self._arrived = 0

    @property
    def notes(self) -> Sequence[str]:
        """What the sink has to say, what was measured, and what did not arrive."""
        told = [*super().notes, f"{self._arrived} of {self._sent} pictures arrived at the receiver"]
        return (*told, f"the receiver ended early: {self._problem}") if self._problem else tuple(told)

    def open(self, stream: StreamFormat) -> None:
        """Begin to receive, then open the sink."""
        self._receiver.start()
        super().open(stream)

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Send the frame on; its code is read at the other end."""
        self._sent += 1
        self._inner.write(self._with_code(frame), result)

    def close(self) -> None:
        """Close the sink, wait for what is on its way, and end the receiver."""
        super().close()
        time.sleep(DRAIN_SECONDS)
        self._end_receiver()

    def abort(self) -> None:
        """Abort the sink and end the receiver."""
        super().abort()
        self._end_receiver()

    def _receive(self) -> None:
        try:
            with self._source as source:
                for frame in source.frames():
                    self._arrived += 1
                    if not self._is_warming_up():
                        self.times.add(self._log.moment_ns(read_code(frame.picture)), frame.captured_ns)
        except SourceError as error:
            if not self._ending:
                self._problem = str(error)

    def _end_receiver(self) -> None:
        self._ending = True
        self._source.interrupt()
        if self._receiver.ident is not None:
            self._receiver.join(JOIN_SECONDS)
