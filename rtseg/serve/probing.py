"""A first look at an uploaded video, within bounds, before anything else touches it.

Note [Playlists]: some of FFmpeg's formats are lists of other files and addresses. An upload that was one could make the
server read what it should not, so only formats that hold their own pictures are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

from rtseg.errors import ConfigError
from rtseg.serve.options import Limits

FORMATS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,h264,hevc,ivf,gif,mjpeg"
"""Names of the formats that are taken; see Note [Playlists]."""
_BOUNDS: Final = {
    "format_whitelist": FORMATS,
    "protocol_whitelist": "file",
    "probesize": "20000000",
    "analyzeduration": "10000000",
}
_PLAYS: Final = {"mov": ("h264", "av1"), "matroska": ("vp8", "vp9", "av1")}
"""Which codecs a browser plays, by the first name of the format."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What an upload says of itself."""

    format: str
    codec: str
    size_wh: tuple[int, int]
    duration_seconds: float | None
    """None: it does not say."""
    plays_as_it_is: bool
    """Whether a browser plays the file itself."""


def probe(path: Path, limits: Limits) -> Probe:
    """Look at an upload.

    Raises:
        ConfigError: it is no video, of a format that is not taken, too large or too long.
    """
    try:
        with av.open(str(path), options=dict(_BOUNDS)) as container:
            found = _facts(container)
    except (av.FFmpegError, ValueError, IndexError, OSError) as error:
        raise ConfigError(
            "video: got a file that cannot be read as one; expected MP4, WebM, MKV, AVI, MPEG or the like. "
            "Choose another file."
        ) from error
    width, height = found.size_wh
    if not 0 < width * height <= limits.video_pixels:
        raise ConfigError(
            f"video: got {width}x{height} pixels; expected 1 to {limits.video_pixels} of them. Make it smaller."
        )
    if found.duration_seconds is not None and found.duration_seconds > limits.video_seconds:
        raise ConfigError(
            f"video: got {found.duration_seconds:.0f} s; expected at most {limits.video_seconds:.0f} s. Cut it."
        )
    return found


def _facts(container: av.container.InputContainer) -> Probe:
    stream = container.streams.video[0]
    context = stream.codec_context
    seconds = container.duration / av.time_base if container.duration and container.duration > 0 else None
    family, codec = container.format.name.split(",")[0], context.name
    plain = context.pix_fmt in ("yuv420p", "yuvj420p", None)
    # a rotated file is turned alike by the browser and by the engine, so it may play as it is
    plays = plain and {"libdav1d": "av1"}.get(codec, codec) in _PLAYS.get(family, ())
    return Probe(container.format.name, codec, (context.width, context.height), seconds, plays)
