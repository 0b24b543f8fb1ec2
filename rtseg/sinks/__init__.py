"""Where composited frames go to: files, segments, masks, PNGs, a window, the network, a virtual camera, or nowhere."""

from __future__ import annotations

from pathlib import Path

from rtseg.errors import ConfigError
from rtseg.sinks.base import Sink, StreamFormat

__all__ = ["Sink", "StreamFormat", "is_url", "open_sink"]

SPECS = (
    "a video path (.mp4, .mov, .mkv, .webm), segments:DIR, masks:DIR, frames:DIR, window, virtualcam, null, or a "
    "rtmp(s)://, rtsp(s)://, udp:// or srt:// URL"
)
STREAM_SCHEMES = ("rtmp", "rtmps", "rtsp", "rtsps", "udp", "srt")


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
        spec: a video path, `segments:DIR?seconds=60&keep=10`, `masks:DIR`, `frames:DIR`, a PNG pattern such as
            `seen_%05d.png`, `window`, `virtualcam` or `virtualcam:DEVICE`, `null`, a URL (`rtmp://…`, `rtsp://…`,
            `udp://…`, `srt://…`; options after a `#`), or a sink, which is returned as it is.
        overwrite: replace outputs that exist.
        codec: codec of video files; None: the container's default.
        quality: quality of video files, 0..100; None: the default.
        encode_threads: threads of the video encoder; None: as many as there are usable cores.
        paced: a window shows frames at the distance of their pts, as a player does, instead of as they come.

    Raises:
        ConfigError: the specification, codec or quality is none that rtseg knows.
        BackendUnavailable: the package that a virtual camera needs is not installed.
    """
    if isinstance(spec, Sink):
        return spec
    text = str(spec)
    scheme, colon, rest = text.partition(":")
    if isinstance(spec, str):
        _refuse_empty(text)
        if (sink := _simple_sink(text, paced=paced)) is not None:
            return sink
        if is_url(text):
            return _stream_sink(text)
        if colon and scheme == "segments":
            from rtseg.sinks.segments import SegmentsSink, parse_segments

            plan = parse_segments(rest)
            return SegmentsSink(plan, codec=codec, quality=quality, overwrite=overwrite, encode_threads=encode_threads)
        if colon and scheme in ("masks", "frames"):
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


def is_url(text: str) -> bool:
    """Find out whether an output is named by a URL rather than by a path."""
    return "://" in text


def _simple_sink(text: str, *, paced: bool) -> Sink | None:
    """Return the sink that is a single word; None: it is none of these."""
    name, colon, device = text.partition(":")
    if text == "null":
        from rtseg.sinks.null import NullSink

        return NullSink()
    if text == "window":
        from rtseg.sinks.window import WindowSink

        return WindowSink(paced=paced)
    if name == "virtualcam" and (device or not colon):
        from rtseg.sinks.virtualcam import VirtualCameraSink

        return VirtualCameraSink(device or None)
    return None


def _stream_sink(url: str) -> Sink:
    scheme = url.partition(":")[0].lower()
    if scheme not in STREAM_SCHEMES:
        raise ConfigError(f"sink {scheme}://…: got a URL of a kind that nothing is sent to; expected {SPECS}.")
    from rtseg.sinks.streams import stream_sink

    return stream_sink(url)


def _refuse_empty(text: str) -> None:
    if not text:
        raise ConfigError(f"sink: got an empty name; expected {SPECS}. Name one.")
