"""What is decoded while measuring: a file of the user's, or a built-in scene written to a real H.264 file first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rtseg.bench.looped import LoopedSource
from rtseg.errors import ConfigError
from rtseg.sinks import open_sink
from rtseg.sinks.base import StreamFormat
from rtseg.sources import open_source
from rtseg.sources.base import Source, SourceInfo

SCENE_PREFIX: Final = "synthetic:"
SCENE_SECONDS: Final = 2
"""Length of a scene where none is asked for; it is played again and again."""
MOST_SCENE_FRAMES: Final = 600


@dataclass(frozen=True, slots=True)
class Footage:
    """Frames that can be opened as often as wanted."""

    name: str
    """How it is called in results: the scene, or the name of the file without its folder."""
    spec: str | int
    """What `open_source` opens."""
    info: SourceInfo
    """What is known of it once open."""
    note: str | None = None
    """What was done to it before, for the results."""

    def open_as(self, *, pace_hz: float | None = None, phase: float = 0.0) -> LoopedSource:
        """Return it as a source without end, unopened."""
        return LoopedSource(self._source, pace_hz=pace_hz, phase=phase)

    def to_json(self) -> dict[str, Any]:
        """Return what it is, as plain values."""
        info = self.info
        return {
            "name": self.name,
            "kind": info.kind,
            "size_wh": list(info.size_wh),
            "frame_rate": None if info.frame_rate is None else round(float(info.frame_rate), 3),
            "codec": info.details.get("codec"),
            "note": self.note,
        }

    def _source(self) -> Source:
        return open_source(self.spec)


def footage_of(spec: str, folder: Path) -> Footage:
    """Return the footage that a source's name stands for; a scene is rendered and encoded into `folder` now.

    Raises:
        RtsegError: there is no such source, or it cannot be opened.
    """
    if spec.startswith(SCENE_PREFIX):
        path = written_scene(spec, folder)
        return Footage(spec, str(path), _info_of(str(path)), "rendered before and read from an H.264 file")
    name = Path(spec).name if Path(spec).exists() else spec
    return Footage(name, spec, _info_of(spec))


def written_scene(spec: str, folder: Path) -> Path:
    """Render a scene into an H.264 file in `folder`, so that it has to be decoded as any footage has.

    Raises:
        ConfigError: there is no such scene or option.
    """
    _, mark, query = spec.partition("?")
    if not any(name in query for name in ("seconds=", "frames=", "duration=", "frame_count=")):
        spec = f"{spec}{'&' if mark else '?'}seconds={SCENE_SECONDS}"
    path = folder / f"scene-{abs(hash(spec)):x}.mp4"
    with open_source(spec) as scene, open_sink(path, overwrite=True) as sink:
        sink.open(_plain_stream(scene.info))
        for frame in scene.frames():
            if frame.frame_index >= MOST_SCENE_FRAMES:
                raise ConfigError(
                    f"{spec}: got more than {MOST_SCENE_FRAMES} frames to render before measuring; expected fewer. "
                    "Ask for fewer seconds: the scene is played again and again."
                )
            sink.write(frame, None)
    return path


def _plain_stream(info: SourceInfo) -> StreamFormat:
    return StreamFormat(
        source_id=info.source_id,
        size_wh=info.size_wh,
        time_base=info.time_base,
        frame_rate=info.frame_rate,
        classes=(),
        palette=(),
        matrix=info.matrix,
        full_range=info.full_range,
    )


def _info_of(spec: str) -> SourceInfo:
    with open_source(spec) as source:
        return source.info
