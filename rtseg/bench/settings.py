"""What is to be compared: every combination of what was named."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rtseg.errors import ConfigError
from rtseg.pipeline.policy import check_policy

DEFAULT_SECONDS: Final = 3.0
DEFAULT_REPEATS: Final = 5
DEFAULT_P99_MS: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One combination, as it was asked for."""

    model: str
    source: str | None = None
    """None: a built-in scene that suits the model."""
    backend: str = "auto"
    precision: str = "auto"
    size_wh: tuple[int, int] | None = None
    """Network input; None: the model's own."""
    effect: str | None = None
    """None: the model's default."""
    sink: str = "null"

    def __str__(self) -> str:
        """Return the parts that were asked for, in one line."""
        size = None if self.size_wh is None else "{}x{}".format(*self.size_wh)
        source = None if self.source is None else Path(self.source).name
        words = (self.model, source, self.backend, self.precision, size, self.effect, self.sink)
        return " ".join(word for word in words if word not in (None, "auto"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """How everything is measured."""

    seconds: float = DEFAULT_SECONDS
    """How long a pipeline, or a bare engine, is measured at a time, warm-up left out."""
    repeats: int = DEFAULT_REPEATS
    """How many times, interleaved with everything that it is compared with."""
    sources: int = 1
    """How many pipelines run side by side through one engine, each with its own source."""
    pace_hz: float | None = None
    """Frames a second that each source hands out, as a camera does; None: as fast as they decode."""
    policy: str | None = None
    """"every", "freshest", or None: freshest where paced, else by the kind of source."""
    codec: str | None = None
    """Codec of video files; None: what suits the container."""
    quality: float | None = None
    """Quality of video files, 0 to 100; None: the sink's default."""
    glass: bool = False
    """Also measure from glass to glass, with a time code in the picture."""
    find_capacity: bool = False
    """Search how many paced sources run at once in time."""
    p99_limit_ms: float = DEFAULT_P99_MS
    """What p99 of the frame age must stay under for a number of cameras to count."""
    model_options: dict[str, Any] = field(default_factory=dict)
    """Facts about an ONNX file that has no card."""

    def __post_init__(self) -> None:
        """Check every value."""
        check_policy(self.policy)
        _check("--seconds", self.seconds, 0.05 <= self.seconds <= 3600, "0.05 to 3600")
        _check("--repeats", self.repeats, 1 <= self.repeats <= 1000, "1 to 1000")
        _check("--sources", self.sources, 1 <= self.sources <= 256, "1 to 256")
        _check("--pace", self.pace_hz, self.pace_hz is None or 0.1 <= self.pace_hz <= 1000, "0.1 to 1000 Hz")
        _check("--p99", self.p99_limit_ms, 0 < self.p99_limit_ms < 1e6, "milliseconds above 0")
        if self.find_capacity and self.pace_hz is None:
            raise ConfigError("--find-capacity: got no pace; expected the rate of the cameras. Add --pace 30.")
        if self.find_capacity and self.sources != 1:
            raise ConfigError("--find-capacity: got --sources too; expected one or the other. Drop --sources.")


def _check(option: str, value: object, right: bool, expected: str) -> None:
    if not right:
        raise ConfigError(f"{option}: got {value}; expected {expected}. Give another value.")


def combinations(
    models: Sequence[str],
    *,
    sources: Sequence[str] = (),
    backends: Sequence[str] = (),
    precisions: Sequence[str] = (),
    sizes: Sequence[tuple[int, int]] = (),
    effects: Sequence[str] = (),
    sinks: Sequence[str] = (),
) -> list[Setting]:
    """Return every combination, each once; an empty list of anything but models stands for its default."""
    axes = (
        models,
        sources or (None,),
        backends or ("auto",),
        precisions or ("auto",),
        sizes or (None,),
        effects or (None,),
        sinks or ("null",),
    )
    every = (
        Setting(
            model=model, source=source, backend=backend, precision=precision, size_wh=size, effect=effect, sink=sink
        )
        for model, source, backend, precision, size, effect, sink in itertools.product(*axes)
    )
    return list(dict.fromkeys(every))
