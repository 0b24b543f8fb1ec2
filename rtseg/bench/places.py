"""Where composited frames go while measuring: what was named, in a temporary folder that is emptied each time."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from rtseg.bench.settings import BenchOptions
from rtseg.errors import ConfigError
from rtseg.sinks import open_sink
from rtseg.sinks.base import Sink
from rtseg.sinks.codecs import CONTAINERS

_FOLDERS: Final = ("masks", "frames")
_NO_FILE: Final = ("null", "window")
_LOOPBACK: Final = ("127.0.0.1", "localhost")


def sink_in(folder: Path, spec: str, number: int, options: BenchOptions) -> Sink:
    """Return a new sink of the kind that `spec` names, writing into `folder` only.

    Args:
        folder: where files may go; nothing is ever written where the user's own files are.
        spec: null, window, masks, frames, a video file of which the suffix counts (.mp4, mp4 or seen.mp4), or udp: a
            stream to this machine (udp://127.0.0.1:PORT names the port).
        number: tells the outputs of several streams apart.
        options: codec and quality of video files.

    Raises:
        ConfigError: the specification, codec or quality is none that rtseg knows.
    """
    if spec in _NO_FILE:
        return open_sink(spec)
    kind = spec.partition(":")[0]
    if kind == "udp":
        return open_sink(udp_url(spec))
    if kind in _FOLDERS:
        return open_sink(f"{kind}:{folder / str(number)}")
    suffix = Path(spec).suffix.lower() or f".{spec.lower().removeprefix('.')}"
    if kind != spec or suffix not in CONTAINERS:
        raise ConfigError(
            f"--sink: got {spec!r}; expected null, {', '.join(CONTAINERS)}, masks, frames, udp or window. Give one."
        )
    return open_sink(folder / f"{number}{suffix}", codec=options.codec, quality=options.quality)


def writes_video(spec: str) -> bool:
    """Return whether the sink encodes."""
    return spec not in _NO_FILE and spec.partition(":")[0] not in (*_FOLDERS, "udp")


def udp_url(spec: str) -> str:
    """Return the URL of a UDP sink that can be read back: on this machine, on a free port where none is named.

    Raises:
        ConfigError: it leads to another machine.
    """
    if spec == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            return f"udp://127.0.0.1:{probe.getsockname()[1]}"
    host = spec.removeprefix("udp://").partition(":")[0]
    if host not in _LOOPBACK:
        raise ConfigError(f"--sink udp: got the host {host}; expected this machine. Give udp or udp://127.0.0.1:PORT.")
    return spec
