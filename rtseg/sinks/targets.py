"""What must hold of all outputs of a run together, checked before any work is spent: none twice, none a source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rtseg.errors import ConfigError
from rtseg.sinks.base import Sink


def check_targets(sinks: Sequence[Sink]) -> None:
    """Raise ConfigError where two sinks would write the same file or folder."""
    seen: set[Path] = set()
    for sink in sinks:
        if sink.target is None:
            continue
        place = sink.target.resolve()
        if place in seen:
            raise ConfigError(
                f"out: got {sink.target} for two outputs; expected each place once. "
                "Name another, or rename one of two sources with the same name."
            )
        seen.add(place)


def check_sources_stay(sources: Sequence[Path], sinks: Sequence[Sink]) -> None:
    """Raise ConfigError where a sink would write over one of the files that the run reads."""
    for path in sources:
        for sink in sinks:
            if sink.would_replace(path):
                raise ConfigError(
                    f"out: got {sink.target}, which would replace the source {path}; expected another place. "
                    "Name another file or folder."
                )
