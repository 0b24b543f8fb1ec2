"""What a run says of itself while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where a run is."""

    step: int
    """Steps done."""
    samples: int
    """Pictures seen."""
    share: float
    """Share of the budget spent, 0..1."""
    seconds: float
    """Wall-clock seconds spent over all resumed parts."""
    left_seconds: float | None
    """Seconds that are left, by the pace so far; None: not known yet."""
    loss: float
    """Mean over the last steps."""
    rate: float
    """Learning rate."""
    samples_a_second: float
    """Pace of the last steps."""


class Listener(Protocol):
    """Somewhere to show a run."""

    def on_progress(self, progress: TrainingProgress) -> None:
        """Show where it is; called every few steps."""

    def on_scores(self, step: int, scores: Mapping[str, float], *, best: bool) -> None:
        """Show the scores of a validation."""

    def on_note(self, text: str) -> None:
        """Show one line."""


@dataclass
class Silent:
    """Shows nothing; keeps the notes."""

    notes: list[str] = field(default_factory=list)

    def on_progress(self, progress: TrainingProgress) -> None:
        """Show nothing."""

    def on_scores(self, step: int, scores: Mapping[str, float], *, best: bool) -> None:
        """Show nothing."""

    def on_note(self, text: str) -> None:
        """Keep the line."""
        self.notes.append(text)


def left_seconds(share: float, share_before: float, seconds_since: float) -> float | None:
    """Return the seconds that are left when the share of the budget rose so far in so many seconds."""
    gained = share - share_before
    return (1 - share) * seconds_since / gained if gained > 0 else None
