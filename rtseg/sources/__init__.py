"""Where frames come from: files, folders of images, cameras, network streams, the screen and synthetic scenes.

Importing this package loads no decoder; `open_source` loads the one that a source needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from rtseg.errors import ConfigError
from rtseg.redaction import redact
from rtseg.sources.base import Source, SourceCounters, SourceInfo, SourceKind
from rtseg.sources.naming import IMAGE_SUFFIXES, check_exists
from rtseg.sources.options import check_options, gather_ffmpeg_options, parse_options
from rtseg.sources.stream_address import is_stream_address

__all__ = ["Source", "SourceCounters", "SourceInfo", "SourceKind", "open_source"]

_PREFIXES: Final[dict[str, SourceKind]] = {"synthetic": "synthetic", "camera": "camera", "screen": "screen"}
_CAMERA: Final = re.compile(r"^(\d{1,3}|/dev/video\d+)$")


def open_source(spec: str | Path | int | Source, **options: object) -> Source:
    """Return the source that `spec` names, described but not yet opened.

    Args:
        spec: a video file, a picture, a folder or a glob of pictures; `0`, `/dev/video0` or `camera:NAME`;
            `rtsp://…`, `rtmp://…`, `http(s)://…`, `udp://…` or `srt://…`; `screen:` or `screen:WxH+X+Y`;
            `synthetic:street` or `synthetic:desk`, with options such as `?size=640x360&fps=30&seed=1&seconds=5`;
            or a source, which is returned as it is.
        options: keyword arguments of the source, such as `start_seconds` of a file or `size_wh` of a camera; they win
            over those written in the spec.

    Raises:
        ConfigError: a spec or an option that cannot be right.
        SourceError: nothing is there.
    """
    if isinstance(spec, Source):
        if options:
            raise ConfigError(
                f"source: got a source object and options {', '.join(sorted(options))}; expected one or the other. "
                "Give the options when the source is made."
            )
        return spec
    text = str(spec)
    if not text.strip():
        raise ConfigError(
            "source: got an empty name; expected a file, a folder, a camera, an address or a scene. Name one."
        )
    kind, argument, written = _kind_of(text, is_path=not isinstance(spec, str))
    maker, what = _maker_of(kind), redact(text)
    asked = {**parse_options(written, what=what), **parse_options(options, what=what)}
    asked = gather_ffmpeg_options(asked)
    check_options(maker, asked, what=what)
    return maker(argument, **asked)


def _kind_of(text: str, *, is_path: bool) -> tuple[SourceKind, str, dict[str, str]]:
    """Return kind, what to open, and the options written behind a question mark."""
    if not is_path and is_stream_address(text):
        return "stream", text, {}
    prefix, colon, rest = text.partition(":")
    if colon and prefix in _PREFIXES:
        name, _, query = rest.partition("?")
        return _PREFIXES[prefix], name, dict(parse_qsl(query, keep_blank_values=True))
    path = Path(text)
    if _CAMERA.match(text) and not path.is_file():
        return "camera", text, {}
    if not path.exists() and any(mark in text for mark in "*?["):
        return "images", text, {}
    check_exists(path)
    return ("images" if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES else "file"), text, {}


def _maker_of(kind: SourceKind) -> Callable[..., Source]:
    if kind == "camera":
        from rtseg.sources.camera import CameraSource

        return CameraSource
    if kind == "stream":
        from rtseg.sources.stream import StreamSource

        return StreamSource
    if kind == "screen":
        from rtseg.sources.screen import ScreenSource

        return ScreenSource
    if kind == "images":
        from rtseg.sources.images import ImagesSource

        return ImagesSource
    if kind == "synthetic":
        from rtseg.sources.synthetic import SyntheticSource

        return SyntheticSource
    from rtseg.sources.file import FileSource

    return FileSource
