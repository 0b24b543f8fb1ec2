"""The sound of a live output: decoded, put on an unbroken clock and encoded as AAC, up to the picture being sent.

Note [Live sound]: sound of a live source is always encoded anew. A copy could not be mended: packets get lost, clocks
jump at a reconnect, cameras send G.711 that neither RTMP nor mp4 players hear. What decides which sound goes out is
the time of the picture that has just been composited, not the clock on the wall: sound waits in the feed exactly as
long as its picture waits for the engine, so lips stay in step however late the picture is. Holes become silence; where
the sender's clock runs slow, so that samples pile up ahead of their times, a frame of them is left out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import Flags

from rtseg.audio_feed import AudioFeed
from rtseg.sinks.base import StreamFormat
from rtseg.sinks.reencode import AAC_RATES_HZ, HOLE_SECONDS, SoundEncoder

SOUND_ERRORS: Final = (av.FFmpegError, ValueError, OSError)
LEAD_SECONDS: Final = Fraction(1, 20)
"""How much further than its picture sound is taken, so that what the encoder holds back is there in time."""

MOST_SILENCE_SECONDS: Final = 2.0
MOST_RATE_HZ: Final = 48_000
TIMES: Final = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class EncodedSound:
    """One AAC packet, raw (no ADTS header)."""

    content: bytes
    seconds: Fraction
    """When it is heard, on the source's own timeline."""
    samples: int
    """How many it holds."""


class SoundSource(ABC):
    """Decoded sound of a source, on the timeline of its frames. Threading: one thread."""

    rate_hz: int
    channels: int
    what: str
    """Name of the codec that comes in."""

    @abstractmethod
    def until(self, seconds: float) -> Iterator[AudioFrame]:
        """Yield the decoded frames that begin no later than this. Raises what FFmpeg raises."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; idempotent."""


class FeedSound(SoundSource):
    """The sound of a live source. It is heard from now on: make it when the sink is opened."""

    def __init__(self, feed: AudioFeed) -> None:
        decoder = av.CodecContext.create(feed.codec, "r")
        if not isinstance(decoder, AudioCodecContext):
            raise ValueError(f"{feed.codec} is no audio codec")
        decoder.sample_rate = feed.sample_rate
        decoder.layout = feed.layout
        if feed.extradata:
            decoder.extradata = feed.extradata
        self.rate_hz, self.channels, self.what = feed.sample_rate, feed.channels, feed.codec
        self._decoder = decoder
        self._reader = feed.reader()

    def until(self, seconds: float) -> Iterator[AudioFrame]:
        """Yield what the feed has, up to this time; broken packets are left out, and become silence."""
        for packet in self._reader.take_until(seconds):
            parcel: av.Packet[Any] = av.Packet(packet.data)
            parcel.time_base = TIMES
            parcel.pts = parcel.dts = round(packet.pts_seconds / TIMES)
            try:
                yield from self._decoder.decode(parcel)
            except av.FFmpegError:
                continue

    def close(self) -> None:
        """Take nothing more from the feed."""
        self._reader.close()


class FileSound(SoundSource):
    """The first sound of a file, for a file that is sent at its own pace."""

    def __init__(self, path: Path, start_seconds: float) -> None:
        self._container = av.open(str(path.absolute()))
        sound = self._container.streams.audio[0]
        self.rate_hz, self.channels = sound.codec_context.sample_rate, sound.codec_context.layout.nb_channels
        self.what = sound.codec_context.codec.canonical_name
        if start_seconds > 0:
            self._container.seek(int(start_seconds * 1_000_000), backward=True)
        self._frames: Iterator[AudioFrame] = self._container.decode(sound)
        self._next: AudioFrame | None = None

    def until(self, seconds: float) -> Iterator[AudioFrame]:
        """Yield the frames of the file up to this time."""
        while True:
            if self._next is None:
                self._next = next(self._frames, None)
            if self._next is None or (self._next.time or 0.0) > seconds:
                return
            frame, self._next = self._next, None
            yield frame

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def sound_of(stream: StreamFormat) -> SoundSource | None:
    """Return the sound that belongs to the frames; None: there is none. Raises what FFmpeg raises."""
    if stream.audio_feed is not None:
        return FeedSound(stream.audio_feed)
    if stream.audio_path is not None:
        return FileSound(stream.audio_path, stream.start_seconds)
    return None


class LiveSound:
    """The sound of a source, encoded. Faults end the sound, never the picture; see `notes`.

    Threading: one thread.
    """

    def __init__(
        self, source: SoundSource, encoder: AudioCodecContext | None = None, *, lead_seconds: Fraction = LEAD_SECONDS
    ) -> None:
        """Take the opened encoder of a file, or open one for AAC. Raises what FFmpeg raises.

        Args:
            source: decoded sound.
            encoder: where it goes; None: a new AAC encoder, at most stereo and 48 kHz.
            lead_seconds: how much further than its picture sound is taken.
        """
        self.notes: list[str] = []
        self._source: SoundSource | None = source
        self._lead_seconds = lead_seconds
        context = _aac_encoder(source) if encoder is None else encoder
        self.rate_hz = context.sample_rate
        self.channels = context.layout.nb_channels
        self.config = bytes(context.extradata or b"")
        self._encoder = SoundEncoder(context, most_silence_seconds=MOST_SILENCE_SECONDS)

    @classmethod
    def of(cls, stream: StreamFormat, shown: str) -> tuple[LiveSound | None, list[str]]:
        """Return the sound that goes along and notes; None: there is none, or it cannot be used."""
        source: SoundSource | None = None
        try:
            source = sound_of(stream)
            return (None if source is None else cls(source)), []
        except (*SOUND_ERRORS, IndexError) as error:
            if source is not None:
                source.close()
            return None, [f"{shown}: the audio was left out ({reason_of(error)})"]

    def until(self, seconds: Fraction) -> Iterator[EncodedSound]:
        """Yield the packets that belong before a picture of this source time, and those of the lead."""
        if self._source is None:
            return
        try:
            for frame in self._source.until(float(seconds + self._lead_seconds)):
                if not self._is_ahead(frame):
                    yield from map(self._packed, self._encoder.encode(frame))
        except SOUND_ERRORS as error:
            self.end(error)

    def flush(self) -> Iterator[EncodedSound]:
        """Yield what the encoder has held back; nothing more can be encoded after that."""
        if self._source is None:
            return
        try:
            yield from map(self._packed, self._encoder.flush())
        except SOUND_ERRORS as error:
            self.end(error)

    def end(self, error: BaseException) -> None:
        """Give the sound up, with a note."""
        self.notes.append(f"the audio ends early: {reason_of(error)}")
        self.close()

    def close(self) -> None:
        """Let go of the source; idempotent."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _packed(self, packet: av.Packet[Any]) -> EncodedSound:
        return EncodedSound(bytes(packet), Fraction(packet.pts or 0, self.rate_hz), packet.duration or 0)

    def _is_ahead(self, frame: AudioFrame) -> bool:
        """Find out whether samples have piled up so far that this frame has to be left out to keep in step."""
        if frame.pts is None or frame.time_base is None:
            return False
        return self._encoder.ahead_seconds(frame.pts * frame.time_base) > HOLE_SECONDS


def _aac_encoder(source: SoundSource) -> AudioCodecContext:
    encoder = av.CodecContext.create("aac", "w")
    if not isinstance(encoder, AudioCodecContext):
        raise ValueError("the AAC encoder is missing")
    fits = source.rate_hz in AAC_RATES_HZ and source.rate_hz <= MOST_RATE_HZ
    encoder.sample_rate = source.rate_hz if fits else MOST_RATE_HZ
    encoder.layout = "mono" if source.channels == 1 else "stereo"
    encoder.format = "fltp"
    encoder.bit_rate = 80_000 if source.channels == 1 else 160_000
    encoder.time_base = Fraction(1, encoder.sample_rate)
    encoder.flags |= Flags.global_header
    encoder.open()
    return encoder


def reason_of(error: BaseException) -> str:
    """Return what FFmpeg or the system says, in a few words."""
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
