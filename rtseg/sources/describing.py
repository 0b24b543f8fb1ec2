"""What the header of an open video file and its first frame say, as a `SourceInfo`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.video.stream import VideoStream

from rtseg.sources.base import SourceInfo
from rtseg.sources.decoding import VideoPass, is_cover_art
from rtseg.sources.pixels import color_of, orientation_of, primaries_and_transfer_of

MOST_BELIEVED_FPS: Final = 1000
"""A header that promises more frames a second than this is not believed."""


def describe_file(video: VideoPass, first: av.VideoFrame, *, path: Path, source_id: str, whole: bool) -> SourceInfo:
    """Return the description of an open file from its header and its first decoded frame.

    Args:
        video: the open pass.
        first: its first frame.
        path: the file.
        source_id: name for stats.
        whole: True where the whole file is read, so that the header's frame count holds.
    """
    matrix, full_range = color_of(first)
    color_primaries, color_transfer = primaries_and_transfer_of(first)
    is_rgb = first.format.is_rgb or first.format.has_palette  # then the range is of no planes, and nobody's wish
    frame_rate = frame_rate_of(video.stream)
    duration_seconds = _span_seconds(video)
    frame_count = video.stream.frames if whole and video.stream.frames > 0 else None
    if frame_count is None and duration_seconds is not None and frame_rate is not None:
        frame_count = max(1, round(duration_seconds * frame_rate))
    return SourceInfo(
        source_id=source_id,
        kind="file",
        live=False,
        size_wh=orientation_of(first).size_wh((first.width, first.height)),
        time_base=video.time_base,
        frame_rate=frame_rate,
        frame_count=frame_count,
        duration_seconds=duration_seconds,
        start_seconds=video.start_seconds,
        end_seconds=video.end_seconds,
        matrix=matrix,
        full_range=full_range and not is_rgb,
        color_primaries=color_primaries,
        color_transfer=color_transfer,
        path=path,
        has_audio=bool(video.container.streams.audio),
        details=_details(video, first),
    )


def frame_rate_of(stream: VideoStream) -> Fraction | None:
    """Return the average frame rate that the header states, where it can be believed."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate is not None and 0 < rate <= MOST_BELIEVED_FPS:
            return rate
    return None


def _span_seconds(video: VideoPass) -> float | None:
    """Return how long the part to be read is, as far as the header says."""
    stream, container = video.stream, video.container
    if stream.duration:
        end_seconds = float(((stream.start_time or 0) + stream.duration) * video.time_base)
    elif container.duration:
        end_seconds = ((container.start_time or 0) + container.duration) / av.time_base
    else:
        return None
    if video.end_seconds is not None:
        end_seconds = min(end_seconds, video.end_seconds)
    start_seconds = video.start_seconds or max(0.0, (container.start_time or 0) / av.time_base)
    return max(0.0, end_seconds - start_seconds)


def _details(video: VideoPass, first: av.VideoFrame) -> dict[str, str]:
    stream = video.stream
    details = {
        "container": video.container.format.name,
        "codec": stream.codec_context.name,
        "pixel_format": first.format.name,
        "decoder_threads": f"{stream.codec_context.thread_type.name} x{stream.codec_context.thread_count}",
        "orientation": str(orientation_of(first)),
    }
    if len(video.container.streams.video) > 1:
        details["video_stream"] = f"#{stream.index} of {len(video.container.streams.video)}"
    if stream.sample_aspect_ratio not in (None, 0, 1):
        details["sample_aspect_ratio"] = f"{stream.sample_aspect_ratio} (pixels are left as they are)"
    if first.interlaced_frame:
        details["interlaced"] = "yes (left as it is)"
    if is_cover_art(stream):
        details["cover_art"] = "yes"
    return details
