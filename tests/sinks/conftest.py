"""Streams, frames and small source files for the sinks' tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtseg.sinks import open_sink
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import Frame, Picture

PALETTE = ((128, 64, 128), (220, 20, 60), (0, 0, 142))


def stream_format(size_wh: tuple[int, int] = (64, 48), **changes: Any) -> StreamFormat:
    facts: dict[str, Any] = {
        "source_id": "clip.mp4",
        "size_wh": size_wh,
        "time_base": Fraction(1, 12800),
        "frame_rate": Fraction(25),
        "classes": ("road", "person", "car"),
        "palette": PALETTE,
    }
    return StreamFormat(**{**facts, **changes})


def picture_of(index: int, size_wh: tuple[int, int], channels: int = 3) -> np.ndarray:
    """A smooth ramp with a bar that moves, so that frames differ and codecs have it easy."""
    width, height = size_wh
    x = np.linspace(30, 220, width, dtype=np.float32)[None, :]
    y = np.linspace(30, 220, height, dtype=np.float32)[:, None]
    planes = [np.broadcast_to(x, (height, width)), np.broadcast_to(y, (height, width)), (x + y) / 2]
    picture = np.stack(planes, axis=2).astype(np.uint8)
    start = index * 4 % max(1, width - 8)
    picture[:, start : start + 8] = (200, 60, 60)
    if channels == 4:
        alpha = np.broadcast_to(np.linspace(0, 255, width), (height, width)).astype(np.uint8)
        picture = np.dstack([picture, alpha])
    return np.ascontiguousarray(picture)


def frame_of(picture: Picture, pts: int, *, index: int = 0, time_base: Fraction = Fraction(1, 12800)) -> Frame:
    return Frame(picture, frame_index=index, pts=pts, time_base=time_base, captured_ns=0, source_id="clip.mp4")


def write_all(sink: Sink, stream: StreamFormat, ptss: Sequence[int], *, close: bool = True) -> Sink:
    """Open the sink, write one made picture for every pts, and close it."""
    sink.open(stream)
    channels = 4 if stream.has_alpha else 3
    for index, pts in enumerate(ptss):
        picture = picture_of(index, stream.size_wh, channels)
        sink.write(frame_of(picture, pts, index=index, time_base=stream.time_base), None)
    if close:
        sink.close()
    return sink


@dataclass(frozen=True)
class Readback:
    """What a file holds, as PyAV reads it."""

    seconds: list[Fraction]
    tick: Fraction
    pictures: list[av.VideoFrame]
    codec: str
    duration_seconds: float
    has_b_frames: bool


def read_back(path: Path) -> Readback:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        codec = video.codec_context.name
        pictures = list(container.decode(video))
        seconds = [picture.pts * picture.time_base for picture in pictures]
        reordered = video.codec_context.reorder_depth > 0
        return Readback(seconds, video.time_base, pictures, codec, (container.duration or 0) / 1e6, reordered)


def sound_packets(path: Path) -> list[tuple[bytes, float]]:
    """Bytes and pts in seconds of every packet of the first audio stream."""
    with av.open(str(path)) as container:
        return [(bytes(p), float(p.pts * p.time_base)) for p in container.demux(audio=0) if p.size]


def sound_codec(path: Path) -> str | None:
    with av.open(str(path)) as container:
        audio = container.streams.audio
        return audio[0].codec_context.codec.canonical_name if audio else None


def make_clip(
    path: Path,
    *,
    sound: str | None = "aac",
    seconds: float = 2.0,
    sound_seconds: float | None = None,
    first_pts: int = 0,
    size_wh: tuple[int, int] = (64, 48),
    rate_hz: int = 48000,
) -> Path:
    """Write a source: 25 frames a second at 1/12800, and a tone with a click at 1 s."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, time_base=Fraction(1, 12800))
        video.width, video.height = size_wh
        video.pix_fmt = "yuv420p"
        packets = _video_packets(video, round(seconds * 25), first_pts)
        if sound is not None:
            options = {"strict": "experimental"} if sound == "vorbis" else {}  # FFmpeg's own encoder asks for it
            audio = container.add_stream(sound, rate=rate_hz, layout="stereo", options=options)
            audio.codec_context.open()
            packets += _sound_packets(audio, sound_seconds or seconds, first_pts / 12800)
        packets.sort(key=lambda packet: float(packet.dts * packet.time_base))
        for packet in packets:
            container.mux(packet)
    return path


def click_signal(seconds: float, rate_hz: int) -> np.ndarray:
    """A faint tone with one loud click at 1 s, float32 [n]."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.02 * np.sin(2 * np.pi * 330 * t) + 0.9 * (np.abs(t - 1.0) < 0.001)).astype(np.float32)


def click_seconds(path: Path) -> float:
    """When the loudest sample of the file's sound is heard."""
    with av.open(str(path)) as container:
        loudest, when = -1.0, 0.0
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(np.float64))
            samples = samples.reshape(-1, 2).max(1) if not frame.format.is_planar else samples.max(0)
            if samples.max() > loudest:
                loudest = float(samples.max())
                when = float(frame.pts * frame.time_base) + int(samples.argmax()) / frame.sample_rate
        return when


def _video_packets(video: Any, count: int, first_pts: int) -> list[Any]:
    packets = []
    for index in range(count):
        picture = av.VideoFrame.from_ndarray(picture_of(index, (video.width, video.height)), format="rgb24")
        picture = picture.reformat(format="yuv420p")
        picture.pts, picture.time_base = first_pts + index * 512, Fraction(1, 12800)
        packets += video.encode(picture)
    return packets + video.encode(None)


def _sound_packets(audio: Any, seconds: float, first_seconds: float) -> list[Any]:
    encoder = audio.codec_context
    rate_hz, size = encoder.sample_rate, encoder.frame_size or 1024
    signal = click_signal(seconds, rate_hz)
    resampler = av.AudioResampler(format=encoder.format.name, layout="stereo", rate=rate_hz)
    packets = []
    for start in range(0, len(signal) - size + 1, size):
        block = np.stack([signal[start : start + size]] * 2)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
        frame.pts = start + round(first_seconds * rate_hz)
        for piece in resampler.resample(frame):
            packets += audio.encode(piece)
    return packets + audio.encode(None)


class Tools:
    """The functions above, for the tests."""

    stream_format = staticmethod(stream_format)
    picture_of = staticmethod(picture_of)
    frame_of = staticmethod(frame_of)
    write_all = staticmethod(write_all)
    read_back = staticmethod(read_back)
    make_clip = staticmethod(make_clip)
    sound_packets = staticmethod(sound_packets)
    sound_codec = staticmethod(sound_codec)
    click_seconds = staticmethod(click_seconds)

    def run(self, source: Path, out: Path, *, stop_after: int | None = None, **changes: Any) -> Sink:
        """Send a source file through a file sink, as the pipeline does."""
        with av.open(str(source)) as container:
            video = container.streams.video[0]
            stream = stream_format((video.width, video.height), time_base=video.time_base, audio_path=source, **changes)
            sink = open_sink(out)
            sink.open(stream)
            index = 0
            for picture in container.decode(video):
                seconds = float(picture.pts * video.time_base)
                if seconds < stream.start_seconds or (stream.end_seconds and seconds >= stream.end_seconds):
                    continue
                if index == stop_after:
                    break
                rgb = picture.to_ndarray(format="rgb24")
                sink.write(frame_of(rgb, picture.pts, index=index, time_base=video.time_base), None)
                index += 1
        sink.close()
        return sink


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools()
