"""What an open network stream says of itself, as a `SourceInfo`."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from rtseg.audio_feed import AudioFormat
from rtseg.sources.base import SourceCounters, SourceInfo
from rtseg.sources.live_clock import TIME_BASE
from rtseg.sources.naming import count_of, was_or_were
from rtseg.sources.pixels import color_of, orientation_of, primaries_and_transfer_of
from rtseg.sources.stream_address import StreamAddress

MOST_BELIEVED_FPS: Final = 240
"""Live streams whose header promises more are not believed: many state the ticks of their clock instead."""

_UNTIMED: Final = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "image2"})
"""Formats without times of their own; FFmpeg makes some up from a guessed rate."""


def describe_stream(
    container: InputContainer,
    video: VideoStream,
    first: av.VideoFrame,
    *,
    source_id: str,
    live: bool,
    address: StreamAddress,
) -> SourceInfo:
    """Return the description of an open stream from its header and its first decoded frame."""
    matrix, full_range = color_of(first)
    color_primaries, color_transfer = primaries_and_transfer_of(first)
    rate = _rate_of(container, video)
    length = length_seconds(container)
    return SourceInfo(
        source_id=source_id,
        kind="stream",
        live=live,
        size_wh=orientation_of(first).size_wh((first.width, first.height)),
        time_base=TIME_BASE,
        frame_rate=rate,
        frame_count=max(1, round(length * rate)) if length and rate and not live else None,
        duration_seconds=length if not live else None,
        matrix=matrix,
        full_range=full_range and not first.format.is_rgb,
        color_primaries=color_primaries,
        color_transfer=color_transfer,
        has_audio=bool(container.streams.audio),
        details={
            "address": str(address),
            "container": container.format.name,
            "codec": video.codec_context.name,
            "pixel_format": first.format.name,
            "decoder_threads": f"{video.codec_context.thread_type.name} x{video.codec_context.thread_count}",
        },
    )


def changes_between(before: SourceInfo, now: SourceInfo) -> list[str]:
    """Return one sentence for each thing that is another after a reconnection."""
    size = f"{before.size_wh[0]}x{before.size_wh[1]}", f"{now.size_wh[0]}x{now.size_wh[1]}"
    pairs = {
        "size": size,
        "codec": (before.details.get("codec"), now.details.get("codec")),
        "frame rate": (str(before.frame_rate), str(now.frame_rate)),
    }
    return [
        f"The {what} of the stream changed from {old} to {new}; outputs keep what they began with."
        for what, (old, new) in pairs.items()
        if old != new
    ]


def note_broken(counters: SourceCounters) -> None:
    """Say, in one note that replaces the one before, how many packets could not be decoded."""
    if broken := counters.decode_errors:
        kept = [note for note in counters.notes if "could not be decoded" not in note]
        sentence = f"{count_of(broken, 'packet')} {was_or_were(broken)} broken on the way and could not be decoded."
        counters.notes[:] = [*kept, sentence]


def sound_format(sound: AudioStream) -> AudioFormat:
    """Return what a muxer has to know of a stream of sound."""
    context = sound.codec_context
    name = context.codec.name
    return AudioFormat(
        codec={"mp3float": "mp3"}.get(name, name),
        sample_rate=context.sample_rate,
        layout=context.layout.name,
        channels=context.layout.nb_channels,
        extradata=bytes(context.extradata or b""),
        time_base=sound.time_base or TIME_BASE,
    )


def length_seconds(container: InputContainer) -> float | None:
    """Return how long a stream is that has an end; None for one that goes on."""
    return container.duration / av.time_base if container.duration and container.duration > 0 else None


def is_timed_by_arrival(container: InputContainer) -> bool:
    """Return whether a stream has no times of its own, so that a picture's time is when it arrived."""
    return container.format.name in _UNTIMED


def is_paced_by_its_times(container: InputContainer) -> bool:
    """Return whether pictures arrive in bursts long before they are due."""
    return container.format.name in ("hls", "dash")


def _rate_of(container: InputContainer, video: VideoStream) -> Fraction | None:
    if is_timed_by_arrival(container):
        return None
    for rate in (video.average_rate, video.guessed_rate):
        if rate is not None and 0 < rate <= MOST_BELIEVED_FPS:
            return Fraction(rate)
    return None


def missing_protocols() -> list[str]:
    """Return which of the protocols for network streams this FFmpeg was built without."""
    return [name for name in ("rtmp", "http", "https", "udp", "srt") if not _has_protocol(name)]


def _has_protocol(name: str) -> bool:
    """Try an address that is refused for what is wrong with it, or for the protocol: nothing is connected."""
    try:
        av.open(f"{name}://", timeout=(0.05, 0.05)).close()
    except av.error.ProtocolNotFoundError:
        return False
    except (av.error.FFmpegError, OSError, ValueError):
        return True
    return True
