"""What was measured over all runs of a stream: counters that only rise, as Prometheus wants them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rtseg.serve.runner import Runner
from rtseg.stats import DurationHistogram, StageStats, Stats

STAGE_BOUNDS_MS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 33.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Upper bounds of the buckets of a stage's time."""


@dataclass(slots=True)
class Tally:
    """The sum of ended runs, with what the running one has so far added when it is asked for."""

    stats: Stats = field(default_factory=Stats)
    dropped: Counter[str] = field(default_factory=Counter)
    decoded: int = 0
    reconnects: int = 0
    runs: int = 0

    def add(self, runner: Runner) -> None:
        """Add a run that has ended."""
        for name, stage in list(runner.stats.stages.items()):
            self.stats.stage(name).merge(_copied(stage))
        self.dropped.update(runner.dropped)
        self.decoded += runner.stats.frames.decoded
        self.reconnects += runner.source.counters.reconnects
        self.runs += 1

    def with_run(self, runner: Runner | None) -> Tally:
        """Return the sum with a run that goes on."""
        total = Tally(runs=self.runs, reconnects=self.reconnects, decoded=self.decoded, dropped=Counter(self.dropped))
        for name, stage in self.stats.stages.items():
            total.stats.stage(name).merge(stage)
        if runner is not None:
            total.add(runner)
        return total


def _copied(stage: StageStats) -> StageStats:
    """Return a copy of what a running stage may be adding to at this very moment."""
    while True:
        copied = StageStats()
        try:
            copied.merge(stage)
        except RuntimeError:  # a bucket was added while the others were read
            continue
        return copied


def stage_buckets(durations: DurationHistogram) -> Iterator[tuple[float, int]]:
    """Yield (upper bound in milliseconds, durations up to it), for STAGE_BOUNDS_MS."""
    edges, counts = durations.bins_ms(most=1_000_000)
    for bound in STAGE_BOUNDS_MS:
        yield bound, sum(count for upper, count in zip(edges[1:], counts, strict=True) if upper <= bound)
