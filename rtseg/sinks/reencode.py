"""Sound into another codec: decoded frames in, encoded packets out, on an unbroken clock of samples.

Note [Sample clock]: encoders take frames of one size, whatever size the decoder gives, so the pts of the input do not
survive. Samples are counted instead from the first pts; a hole in the source becomes silence, so that what comes
after it stays in sync.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

AAC_RATES_HZ: Final = (
    96000,
    88200,
    64000,
    48000,
    44100,
    32000,
    24000,
    22050,
    16000,
    12000,
    11025,
    8000,
    7350,
)
HOLE_SECONDS: Final = 0.05
MOST_SILENCE_SECONDS: Final = 600
PCM_FRAME_SAMPLES: Final = 1024


def add_encoder(container: OutputContainer, *, rate_hz: int, channels: int) -> AudioStream:
    """Add the encoder that the container is at home with: Opus in WebM, AAC elsewhere; at most two channels."""
    layout = "mono" if channels == 1 else "stereo"
    if container.format.name == "webm":
        target = container.add_stream("libopus", rate=48000, layout=layout)
    else:
        target = container.add_stream("aac", rate=rate_hz if rate_hz in AAC_RATES_HZ else 48000, layout=layout)
    if not isinstance(target, AudioStream):
        raise ValueError("the audio encoder is missing")
    target.codec_context.bit_rate = 80_000 if layout == "mono" else 160_000
    return target


class SoundEncoder:
    """Encodes decoded sound for an output stream."""

    def __init__(self, encoder: AudioCodecContext, *, most_silence_seconds: float = MOST_SILENCE_SECONDS) -> None:
        """Take the opened encoder and the longest hole that is filled; after a longer one the clock jumps."""
        self._encoder = encoder
        self._most_silence = int(most_silence_seconds * encoder.sample_rate)
        self._resampler = av.AudioResampler(format=encoder.format, layout=encoder.layout, rate=encoder.sample_rate)
        self._fifo = av.AudioFifo()
        self._queued_until: int | None = None
        self._next_pts = 0

    def packets(self, frames: Iterable[AudioFrame]) -> Iterator[av.Packet[Any]]:
        """Yield the encoded packets, their pts in samples of the source's time, and those of the end."""
        for frame in frames:
            yield from self.encode(frame)
        yield from self.flush()

    def encode(self, frame: AudioFrame) -> Iterator[av.Packet[Any]]:
        """Yield the packets that this decoded frame completes, their pts in samples of the source's time."""
        yield from self._fill_hole(frame)
        self._queue(self._resampler.resample(frame))
        yield from self._encode_queued(flush=False)

    def flush(self) -> Iterator[av.Packet[Any]]:
        """Yield the packets of what is still inside; the encoder takes nothing more."""
        self._queue(self._resampler.resample(None))
        yield from self._encode_queued(flush=True)
        yield from self._encoder.encode(None)

    def ahead_seconds(self, begins_seconds: Fraction) -> float:
        """Return by how much the samples taken so far reach beyond a time of the source; negative: a hole."""
        if self._queued_until is None:
            return 0.0
        return float(Fraction(self._queued_until, self._encoder.sample_rate) - begins_seconds)

    def _fill_hole(self, frame: AudioFrame) -> Iterator[av.Packet[Any]]:
        """Start the clock at the first frame; put silence where the source has a hole before this one."""
        if frame.pts is None or frame.time_base is None:
            self._queued_until = self._queued_until or 0
            return
        begins = round(frame.pts * frame.time_base * self._encoder.sample_rate)
        if self._queued_until is None:
            self._queued_until = self._next_pts = begins
        missing = begins - self._queued_until
        if missing > self._most_silence:
            yield from self._encode_queued(flush=False)
            self._next_pts += begins - self._queued_until
            self._queued_until = begins
        elif missing > HOLE_SECONDS * self._encoder.sample_rate:
            self._queue_silence(missing)

    def _queue_silence(self, samples: int) -> None:
        layout, kind = self._encoder.layout, self._encoder.format
        channels = layout.nb_channels
        shape = (channels, samples) if kind.is_planar else (1, samples * channels)
        dtype = np.float32 if kind.name.startswith("flt") else np.int16
        silence = AudioFrame.from_ndarray(np.zeros(shape, dtype=dtype), format=kind.name, layout=layout.name)
        silence.sample_rate = self._encoder.sample_rate
        self._queue([silence])

    def _queue(self, frames: Iterable[AudioFrame]) -> None:
        for frame in frames:
            frame.pts = None
            self._fifo.write(frame)
            self._queued_until = (self._queued_until or 0) + frame.samples

    def _encode_queued(self, *, flush: bool) -> Iterator[av.Packet[Any]]:
        size = self._encoder.frame_size or PCM_FRAME_SAMPLES
        while (frame := self._fifo.read(size, partial=flush)) is not None:
            frame.pts = self._next_pts
            frame.time_base = Fraction(1, self._encoder.sample_rate)
            self._next_pts += frame.samples
            yield from self._encoder.encode(frame)
