"""How far a run is, and what follows from it: the learning rate, the input size and the batch.

Everything is a function of the progress, 0 to 1. With a budget of steps that is exact and repeatable; with a budget of
minutes a run on a busy machine still ends annealed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rtseg.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of a run at one input size."""

    size_wh: tuple[int, int]
    """Width and height of the training pictures in pixels."""
    batch: int
    """Pictures a step."""
    start: float = 0.0
    """Progress at which it begins, 0..1."""
    mildness: float = 0.0
    """How much weaker the changes of the pictures are, 0..1; 1: none but mirroring and whole or cropped views."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """Budget, learning rate over it, phases."""

    phases: tuple[Phase, ...]
    """In order; the first begins at 0."""
    minutes: float | None = None
    """Wall-clock budget over all resumed parts; exactly one of the two is given."""
    steps: int | None = None
    """Budget in steps."""
    rate: float = 2e-3
    """Highest learning rate."""
    shape: Literal["cosine", "poly"] = "cosine"
    """How it falls after the warm-up."""
    power: float = 0.9
    """Of poly: (1 - progress) ** power."""
    warm_up: float = 0.03
    """Share of the budget over which the rate rises."""
    final_share: float = 0.01
    """What is left of the rate at the end."""

    def __post_init__(self) -> None:
        """Check what cannot be right."""
        if (self.minutes is None) == (self.steps is None):
            raise ConfigError(
                f"schedule: got minutes {self.minutes} and steps {self.steps}; expected exactly one budget. "
                "Give --minutes or --steps."
            )
        if (self.minutes or self.steps or 0) <= 0 or self.rate <= 0:
            raise ConfigError(
                f"schedule: got a budget of {self.minutes or self.steps} with a rate of {self.rate}; expected numbers "
                "above 0. Correct them."
            )
        if not 0 <= self.warm_up < 1 or not 0 <= self.final_share <= 1 or self.power <= 0:
            raise ConfigError(
                f"schedule: got warm_up {self.warm_up}, final_share {self.final_share}, power {self.power}; expected "
                "shares of 0 to 1 and a power above 0. Correct them."
            )
        self._check_phases()

    def _check_phases(self) -> None:
        starts = [phase.start for phase in self.phases]
        if not starts or starts[0] != 0 or starts != sorted(starts) or starts[-1] >= 1:
            raise ConfigError(f"schedule.phases: got starts {starts}; expected 0, then rising, under 1. Order it.")
        for phase in self.phases:
            if not 0 <= phase.mildness <= 1:
                raise ConfigError(f"schedule.phases: got mildness {phase.mildness}; expected 0 to 1. Correct it.")
            if phase.batch < 1 or any(side < 32 or side % 32 for side in phase.size_wh):
                raise ConfigError(
                    f"schedule.phases: got {phase.size_wh[0]}x{phase.size_wh[1]} with a batch of {phase.batch}; "
                    "expected sides that are multiples of 32 and at least one picture. Correct them."
                )

    def progress(self, step: int, seconds: float) -> float:
        """Return the share of the budget that is spent, 0..1."""
        spent = step / self.steps if self.steps is not None else seconds / (60 * (self.minutes or 1))
        return min(1.0, spent)

    def phase_index(self, progress: float) -> int:
        """Return which phase it is at some progress, counted from 0."""
        return sum(phase.start <= progress for phase in self.phases) - 1

    def rate_at(self, progress: float) -> float:
        """Return the learning rate at some progress: a straight warm-up from 2 %, then the chosen fall."""
        if progress < self.warm_up:
            return self.rate * (0.02 + 0.98 * progress / self.warm_up)
        left = (1 - progress) / (1 - self.warm_up)
        fall = left**self.power if self.shape == "poly" else 0.5 * (1 - math.cos(math.pi * left))
        return self.rate * (self.final_share + (1 - self.final_share) * fall)
