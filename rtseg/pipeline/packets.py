"""Coded packets between reading and decoding, and what is done when decoding falls behind.

Note [Decoding that falls behind]
    As long as decoding keeps up, every packet is decoded, so that the chain of references stays whole, and frames are
    dropped after it. When packets wait longer than SKIP_SECONDS, the pictures that no other one refers to are left out.
    When they wait longer than JUMP_SECONDS all the same, everything up to the next key frame is left out, the newest of
    them if several wait already: between two key frames nothing can be left out without breaking pictures.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from rtseg.sources.base import CodedPacket, PacketSource

SKIP_SECONDS: Final = 0.2
"""Lag at which pictures that no other refers to are left out."""
CALM_SECONDS: Final = 0.05
"""Lag at which they are decoded again."""
JUMP_SECONDS: Final = 1.0
"""Lag at which decoding jumps to a key frame."""
MOST_PACKETS: Final = 2000
MOST_BYTES: Final = 64 << 20
"""Bounds of the queue: a minute of video, whatever decoding does."""


class PacketsEnded(Exception):
    """No more packets will come; `error` says why, None where the stream ended by itself."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error


class PacketQueue:
    """Packets that were read and not decoded yet. Threading: one thread puts, one takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._packets: deque[CodedPacket] = deque()
        self._bytes = 0
        self._keyframes = 0
        self._ended: PacketsEnded | None = None
        self._lost = 0

    def put(self, packet: CodedPacket) -> None:
        """Add a packet; never waits. Beyond the bounds everything that waits is given up, see `take_lost`."""
        with self._changed:
            if len(self._packets) >= MOST_PACKETS or self._bytes >= MOST_BYTES:
                self._lost += len(self._packets)
                self._packets.clear()
                self._bytes = self._keyframes = 0
            self._packets.append(packet)
            self._bytes += packet.size_bytes
            self._keyframes += packet.is_keyframe
            self._changed.notify()

    def end(self, error: Exception | None) -> None:
        """Say that no more will come; what waits can still be taken."""
        with self._changed:
            self._ended = self._ended or PacketsEnded(error)
            self._changed.notify()

    def get(self, timeout_seconds: float) -> CodedPacket | None:
        """Return the oldest packet; None when none comes in time.

        Raises:
            PacketsEnded: there are none and none will come.
        """
        with self._changed:
            if not self._packets and self._ended is None:
                self._changed.wait(timeout_seconds)
            if self._packets:
                packet = self._packets.popleft()
                self._bytes -= packet.size_bytes
                self._keyframes -= packet.is_keyframe
                return packet
            if self._ended is not None:
                raise self._ended
            return None

    def take_lost(self) -> int:
        """Return, once, how many packets were given up because the queue was full."""
        with self._changed:
            lost, self._lost = self._lost, 0
            return lost

    @property
    def keyframes(self) -> int:
        """How many of those that wait are key frames."""
        return self._keyframes

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._packets)


class CatchUp:
    """Decides for each packet whether it is decoded; see Note [Decoding that falls behind]."""

    def __init__(self, source: PacketSource, queue: PacketQueue, *, never: bool = False) -> None:
        """Take the source and its queue; `never`: leave nothing out but what the queue had no room for."""
        self._source = source
        self._never = never
        self._queue = queue
        self._lean = False
        self._jumping = False

    @property
    def is_jumping(self) -> bool:
        """True while a key frame is waited for."""
        return self._jumping

    def wants(self, packet: CodedPacket) -> bool:
        """Return whether to decode the packet; what is left out is counted."""
        lost = self._queue.take_lost()
        self._source.counters.dropped_decode += lost
        lag_seconds = (time.monotonic_ns() - packet.arrived_ns) / 1e9
        if lost or (lag_seconds > JUMP_SECONDS and not self._never):
            self._jumping = True
        if self._jumping:
            if not packet.is_keyframe or self._queue.keyframes:
                self._source.counters.dropped_decode += 1
                return False
            self._source.restart_decoder()
            self._jumping = False
        self._lean = not self._never and lag_seconds > (CALM_SECONDS if self._lean else SKIP_SECONDS)
        self._source.skip_disposable(self._lean)
        return True

    def count(self, frame_count: int) -> None:
        """Count a packet of which no picture came while some are left out."""
        if self._lean and not frame_count:
            self._source.counters.dropped_decode += 1
