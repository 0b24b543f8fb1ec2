"""The sound of a live source on its way to the sinks: encoded packets in a bounded buffer.

A live source puts packets in as it demuxes them; a sink takes those up to the time of the picture that it has just
written, so that sound waits exactly as long as the picture it belongs to.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

DEFAULT_SECONDS: Final = 10.0
"""How much sound is kept for a reader that does not take it; older packets are dropped and counted."""

DEFAULT_BYTES: Final = 4 << 20
"""The same in bytes, whatever the times of the packets say."""


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """One encoded packet of sound."""

    data: bytes
    """What the encoder of the source made."""
    pts_seconds: float
    """When it is to be heard, on the timeline of the frames of the same source."""
    duration_seconds: float
    """How long it lasts; 0 where the source does not say."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What a muxer has to know of the packets."""

    codec: str
    """FFmpeg's name of the codec: "aac", "opus", "pcm_mulaw" …"""
    sample_rate: int
    """Samples a second."""
    layout: str
    """FFmpeg's name of the channel layout: "mono", "stereo" …"""
    channels: int
    """Number of channels."""
    extradata: bytes = b""
    """Headers of the codec that are not in the packets; empty where there are none."""
    time_base: Fraction = Fraction(1, 90_000)
    """The unit of the packets' times at the source, in seconds."""


class AudioFeed:
    """A bounded buffer of encoded sound between one live source and any number of readers.

    Threading: `put` and `end` from the thread of the source; `reader` and the readers from any other, one thread a
    reader. Nothing ever waits for anything: a reader that does not take loses the oldest, counted in its `dropped`.
    """

    def __init__(
        self, sound: AudioFormat, *, most_seconds: float = DEFAULT_SECONDS, most_bytes: int = DEFAULT_BYTES
    ) -> None:
        """Describe the sound.

        Args:
            sound: what the packets hold.
            most_seconds: sound kept for a reader that lags.
            most_bytes: bytes kept for a reader that lags.
        """
        self.format = sound
        self._most_seconds = most_seconds
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._readers: weakref.WeakSet[AudioReader] = weakref.WeakSet()
        self._ended = False

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return self.format.codec

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return self.format.sample_rate

    @property
    def layout(self) -> str:
        """FFmpeg's name of the channel layout."""
        return self.format.layout

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.format.channels

    @property
    def extradata(self) -> bytes:
        """Headers of the codec that are not in the packets."""
        return self.format.extradata

    @property
    def time_base(self) -> Fraction:
        """The unit of the packets' times at the source, in seconds."""
        return self.format.time_base

    @property
    def ended(self) -> bool:
        """True once no more packets will come."""
        return self._ended

    def put(self, data: bytes, pts_seconds: float, duration_seconds: float = 0.0) -> None:
        """Give one packet to every reader that is open now; never waits."""
        packet = AudioPacket(bytes(data), pts_seconds, duration_seconds)
        with self._lock:
            for reader in self._readers:
                reader._take_in(packet)

    def end(self) -> None:
        """Say that no more packets will come; what the readers still have can be taken."""
        self._ended = True

    def reader(self) -> AudioReader:
        """Return a handle that gets every packet from now on."""
        reader = AudioReader(self, most_seconds=self._most_seconds, most_bytes=self._most_bytes)
        with self._lock:
            self._readers.add(reader)
        return reader


class AudioReader:
    """One sink's place in an `AudioFeed`. Threading: one thread; the feed's `put` may run meanwhile."""

    def __init__(self, feed: AudioFeed, *, most_seconds: float, most_bytes: int) -> None:
        self.feed = feed
        self.dropped = 0
        """Packets that were lost because they were not taken in time."""
        self._most_seconds = most_seconds
        self._most_bytes = most_bytes
        self._packets: deque[AudioPacket] = deque()
        self._bytes = 0

    def take_until(self, pts_seconds: float) -> list[AudioPacket]:
        """Return, oldest first, the packets that are to be heard no later than this; they are gone from the buffer."""
        taken: list[AudioPacket] = []
        with self.feed._lock:
            while self._packets and self._packets[0].pts_seconds <= pts_seconds:
                taken.append(self._pop())
        return taken

    def close(self) -> None:
        """Take no more packets and let go of those that wait; idempotent."""
        with self.feed._lock:
            self.feed._readers.discard(self)
            self._packets.clear()
            self._bytes = 0

    def _take_in(self, packet: AudioPacket) -> None:
        """Keep a packet, dropping the oldest beyond the bounds. The caller holds the feed's lock."""
        self._packets.append(packet)
        self._bytes += len(packet.data)
        while len(self._packets) > 1 and (
            self._bytes > self._most_bytes or packet.pts_seconds - self._packets[0].pts_seconds > self._most_seconds
        ):
            self._pop()
            self.dropped += 1

    def _pop(self) -> AudioPacket:
        packet = self._packets.popleft()
        self._bytes -= len(packet.data)
        return packet
