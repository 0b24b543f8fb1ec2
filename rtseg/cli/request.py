"""The words of `rtseg run`, and the engine that is loaded while the rest of the program is still being imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rtseg.backends.registry import create_backend
from rtseg.builder.engine_on_demand import EnginesOnDemand
from rtseg.cli.model_options import read_model_options
from rtseg.errors import ConfigError, RtsegError
from rtseg.pipeline.ahead import Ahead
from rtseg.redaction import redact
from rtseg.segmenter import Segmenter, hint_for, load
from rtseg.sources.naming import is_live_name


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The words of the command line, as typed."""

    sources: tuple[str, ...]
    model: str
    effects: tuple[str, ...] | None
    outs: tuple[str, ...] | None
    backend: str
    precision: str
    policy: str | None
    together: bool | None = None
    mosaic: bool = False
    reconnect_max_seconds: float = 30.0
    staleness_ms: float = 100.0
    stats_path: Path | None
    max_frames: int | None
    start: str | None
    duration: str | None
    classes: str | None
    codec: str | None
    quality: int | None
    overwrite: bool
    smoothing: bool | None
    edges: bool | None
    source_options: tuple[str, ...]
    model_options: tuple[str, ...]
    quiet: bool


def begin_loading(request: RunRequest) -> Ahead[Segmenter]:
    """Begin to load the model of a request, for one frame as early as possible if a source is live.

    OpenVINO works on its own threads meanwhile: importing the decoder and the compositor costs no time on top.

    Raises:
        ConfigError: options of the model that cannot be right.
    """
    live = any(is_live_name(source, request.policy) for source in request.sources)
    facts = read_model_options(key_values(request.model_options, what="--model-option"))

    def loaded() -> Segmenter:
        return load(
            request.model,
            hint=hint_for(live=live),
            backend=request.backend,
            precision=request.precision,
            smoothing=request.smoothing,
            edges=request.edges,
            supply=EnginesOnDemand(None if request.quiet else _note),
            **facts,
        )

    # Importing a runtime holds the interpreter, compiling for it does not: with the imports behind it, the loading
    # thread leaves the interpreter to this one.
    with suppress(RtsegError):  # told by `load`, with what else there is to say
        create_backend(request.backend)
    return Ahead(loaded, name="load", unwanted=Segmenter.close)


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def key_values(words: Sequence[str], *, what: str) -> dict[str, str]:
    """Return the options of KEY=VALUE words."""
    pairs: dict[str, str] = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark or not key:
            raise ConfigError(f"{what}: got {redact(word)!r}; expected KEY=VALUE.")
        key = key.strip()
        pairs[key if key.startswith("ffmpeg.") else key.replace("-", "_")] = value.strip()
    return pairs
