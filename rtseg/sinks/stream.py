"""A live output in the network: encoder, sound and a carrier that takes both to a peer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from rtseg.errors import SinkError
from rtseg.sinks.address import Address
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.live_sound import EncodedSound, LiveSound
from rtseg.sinks.live_video import EncodedPicture, LiveVideo
from rtseg.types import Frame, Segmentation


@dataclass(frozen=True, slots=True)
class Carried:
    """What a carrier must know before the first packet."""

    size_wh: tuple[int, int]
    frame_rate: Fraction
    bitrate: int
    """Most bits a second of the picture."""
    headers: bytes
    """SPS and PPS of the picture, in Annex B form."""
    sound_config: bytes = b""
    """AudioSpecificConfig of the AAC; empty: there is no sound."""
    sound_rate_hz: int = 0
    sound_channels: int = 0

    @property
    def has_sound(self) -> bool:
        """True where sound goes along."""
        return bool(self.sound_config)


class Carrier(ABC):
    """One connection to a peer: opened, fed in the order of time, closed. Threading: one thread; `cut` from any."""

    @abstractmethod
    def open(self, carried: Carried) -> None:
        """Connect and announce the stream.

        Raises:
            SinkError: refused, not found, not authorised, no answer in time or a codec that is not taken.
        """

    @abstractmethod
    def picture(self, picture: EncodedPicture) -> None:
        """Send one picture. Raises SinkError where the peer is gone or takes nothing."""

    @abstractmethod
    def sound(self, sound: EncodedSound) -> None:
        """Send one packet of sound. Raises SinkError where the peer is gone or takes nothing."""

    @abstractmethod
    def close(self, *, politely: bool) -> None:
        """Say goodbye where that is asked for and possible, and let go of everything; idempotent, never raises."""

    def cut(self) -> None:  # noqa: B027  what never waits needs none
        """Make whatever waits give up at once."""


class StreamSink(Sink):
    """Sends the composited frames, and the sound that belongs to them, to a URL.

    It may be opened again after `abort`, and then starts a new connection at time 0.

    Threading: one thread; `cut` from any. It may wait for its peer, so the pipeline gives it a thread of its own.
    """

    live: ClassVar[bool] = True

    def __init__(self, address: Address, carrier: Callable[[Address], Carrier]) -> None:
        """Take the address and what connects to it."""
        self.name = address.scheme
        self.address = address
        self._make_carrier = carrier
        self._carrier: Carrier | None = None
        self._video: LiveVideo | None = None
        self._sound: LiveSound | None = None
        self._stream: StreamFormat | None = None
        self._notes: list[str] = []

    @property
    def notes(self) -> Sequence[str]:
        """What was done otherwise than asked."""
        return tuple(dict.fromkeys([*self._notes, *self._current_notes()]))

    def open(self, stream: StreamFormat) -> None:
        """Open the encoder and connect.

        Raises:
            SinkError: the peer cannot be reached, does not want the stream, or the encoder refuses the size.
            ConfigError: the pictures are transparent.
        """
        if self._carrier is not None:
            raise SinkError(f"output {self.address}: got a second open; expected one. Close it first.")
        options = self.address.options
        video = LiveVideo(stream, options, shown=str(self.address))
        carrier = self._make_carrier(self.address)
        self._carrier = carrier
        try:
            self._sound, notes = LiveSound.of(stream, str(self.address)) if options.audio else (None, [])
            self._notes += notes
            self._video = video
            carrier.open(_carried(video, self._sound))
        except BaseException:
            self._release(politely=False)
            raise

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Send the sound up to this picture, then the picture.

        Raises:
            SinkError: the peer is gone or takes nothing.
        """
        del result
        if self._carrier is None or self._video is None:
            raise SinkError(f"output {self.address}: got a frame while not open; expected open() first. Open the sink.")
        pictures = self._video.encode(frame)
        self._send_sound(self._carrier, frame.pts * frame.time_base, self._video.start_seconds)
        for picture in pictures:
            self._carrier.picture(picture)

    def close(self) -> None:
        """End the stream and tell the peer; idempotent."""
        self._release(politely=True)

    def abort(self) -> None:
        """Let go of the connection at once; idempotent. The sink may be opened again."""
        self._release(politely=False)

    def cut(self) -> None:
        """Give up, at once, whatever waits for the peer; may be called from any thread."""
        carrier = self._carrier
        if carrier is not None:
            carrier.cut()

    def _send_sound(self, carrier: Carrier, until: Fraction, start: Fraction) -> None:
        if self._sound is None:
            return
        for packet in self._sound.until(until):
            if packet.seconds >= start:
                carrier.sound(EncodedSound(packet.content, packet.seconds - start, packet.samples))

    def _release(self, *, politely: bool) -> None:
        self._notes = list(self.notes)
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.close(politely=politely)
        if self._sound is not None:
            self._sound.close()
        self._sound = self._video = None

    def _current_notes(self) -> list[str]:
        sound = self._sound.notes if self._sound is not None else []
        return [*(self._video.notes if self._video is not None else []), *(f"{self.address}: {note}" for note in sound)]


def _carried(video: LiveVideo, sound: LiveSound | None) -> Carried:
    facts = Carried(video.size_wh, video.frame_rate, video.bitrate, video.headers)
    if sound is None:
        return facts
    return Carried(
        facts.size_wh,
        facts.frame_rate,
        facts.bitrate,
        facts.headers,
        sound_config=sound.config,
        sound_rate_hz=sound.rate_hz,
        sound_channels=sound.channels,
    )
