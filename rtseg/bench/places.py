"""Where composited frames go while measuring: what was named, in a temporary folder that is emptied each time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rtseg.bench.settings import BenchOptions
from rtseg.errors import ConfigError
from rtseg.sinks import open_sink
from rtseg.sinks.base import Sink
from rtseg.sinks.codecs import CONTAINERS

_FOLDERS: Final = ("masks", "frames")
_NO_FILE: Final = ("null", "window")


def sink_in(folder: Path, spec: str, number: int, options: BenchOptions) -> Sink:
    """Return a new sink of the kind that `spec` names, writing into `folder` only.

    Args:
        folder: where files may go; nothing is ever written where the user's own files are.
        spec: null, window, masks, frames, or a video file of which the suffix counts (.mp4, mp4 or seen.mp4).
        number: tells the outputs of several streams apart.
        options: codec and quality of video files.

    Raises:
        ConfigError: the specification, codec or quality is none that rtseg knows.
    """
    if spec in _NO_FILE:
        return open_sink(spec)
    kind = spec.partition(":")[0]
    if kind in _FOLDERS:
        return open_sink(f"{kind}:{folder / str(number)}")
    suffix = Path(spec).suffix.lower() or f".{spec.lower().removeprefix('.')}"
    if kind != spec or suffix not in CONTAINERS:
        raise ConfigError(
            f"--sink: got {spec!r}; expected null, {', '.join(CONTAINERS)}, masks, frames or window. Give one of these."
        )
    return open_sink(folder / f"{number}{suffix}", codec=options.codec, quality=options.quality)


def writes_video(spec: str) -> bool:
    """Return whether the sink encodes."""
    return spec not in _NO_FILE and spec.partition(":")[0] not in _FOLDERS
