"""Where in a video file the bytes of each picture are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError

from rtseg.errors import DecodeError
from rtseg.sources.decoding import choose_stream, open_container


def picture_ends(path: Path) -> dict[Fraction, int]:
    """Return, by presentation time in seconds, at which byte of the file the coded picture ends.

    A reader of a growing file can decode a picture no sooner than the file is that long. Pictures whose place the
    container does not tell are left out. Nothing is decoded.

    Raises:
        SourceError: it is no media file or has no video stream.
        DecodeError: it breaks off in the middle of a packet.
    """
    container = open_container(path)
    try:
        stream = choose_stream(container, path.name)
        time_base = stream.time_base or Fraction(1, 90_000)
        return {
            packet.pts * time_base: packet.pos + packet.size
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and packet.pos is not None and packet.pos >= 0
        }
    except FFmpegError as error:
        raise DecodeError(
            f"reading {path.name}: got {(error.strerror or str(error)).lower()}; expected whole packets. "
            "Check that the file is complete."
        ) from error
    finally:
        container.close()
