"""Where composited frames go to: video files, label masks, PNG sequences, a window, or nowhere."""

from __future__ import annotations

from pathlib import Path

from rtseg.errors import ConfigError
from rtseg.sinks.base import Sink, StreamFormat

__all__ = ["Sink", "StreamFormat", "open_sink"]

SPECS = "a video path (.mp4, .mov, .mkv, .webm), masks:DIR, frames:DIR, window or null"
STREAM_SCHEMES = ("rtmp", "rtmps", "rtsp", "rtp", "udp", "tcp", "srt", "http", "https", "whip")


def open_sink(
    spec: str | Path | Sink,
    *,
    overwrite: bool = False,
    codec: str | None = None,
    quality: float | None = None,
    encode_threads: int | None = None,
    paced: bool = False,
) -> Sink:
    """Return the sink that a specification names; the pipeline opens it.

    Args:
        spec: a video path, `masks:DIR`, `frames:DIR`, a PNG pattern such as `seen_%05d.png`, `window`, `null`, or a
            sink, which is returned as it is.
        overwrite: replace outputs that exist.
        codec: codec of video files; None: the container's default.
        quality: quality of video files, 0..100; None: the default.
        encode_threads: threads of the video encoder; None: as many as there are usable cores.
        paced: a window shows frames at the distance of their pts, as a player does, instead of as they come.

    Raises:
        ConfigError: the specification, codec or quality is none that rtseg knows.
    """
    if isinstance(spec, Sink):
        return spec
    text = str(spec)
    scheme, colon, rest = text.partition(":")
    if isinstance(spec, str):
        if text == "null":
            from rtseg.sinks.null import NullSink

            return NullSink()
        if text == "window":
            from rtseg.sinks.window import WindowSink

            return WindowSink(paced=paced)
        _refuse_unsupported(text, scheme)
    if isinstance(spec, str) and colon and scheme in ("masks", "frames"):
        return _folder_sink(scheme, rest, overwrite=overwrite)
    path = Path(spec)
    if path.suffix.lower() == ".png":
        from rtseg.sinks.frames import FramesSink

        return FramesSink.from_pattern(path, overwrite=overwrite)
    from rtseg.sinks.file import FileSink

    return FileSink(path, codec=codec, quality=quality, overwrite=overwrite, encode_threads=encode_threads)


def _folder_sink(scheme: str, folder: str, *, overwrite: bool) -> Sink:
    if not folder:
        raise ConfigError(f"sink {scheme}: got no folder; expected {scheme}:DIR. Name a folder.")
    if scheme == "masks":
        from rtseg.sinks.masks import MasksSink

        return MasksSink(folder, overwrite=overwrite)
    from rtseg.sinks.frames import FramesSink

    return FramesSink(folder, overwrite=overwrite)


def _refuse_unsupported(text: str, scheme: str) -> None:
    if not text:
        raise ConfigError(f"sink: got an empty name; expected {SPECS}. Name one.")
    if text.partition(":")[0] == "virtualcam":
        raise ConfigError(f"sink virtualcam: got a virtual camera, not supported yet; expected {SPECS}. Use window.")
    if "://" in text and scheme.lower() in STREAM_SCHEMES:
        raise ConfigError(f"sink {scheme}://…: got a streaming URL, not supported yet; expected {SPECS}. Write a file.")
