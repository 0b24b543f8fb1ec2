"""Documents' parts and settings with the fake backend, small and quick."""

from __future__ import annotations

from pathlib import Path

from rtseg.backends.fake import FakeBackend
from rtseg.bench.footage import footage_of
from rtseg.bench.parts import Job
from rtseg.bench.settings import BenchOptions
from rtseg.bench.window import Usage, WarmUp
from rtseg.render.effects import parse_effects
from rtseg.segmenter import Segmenter, load
from rtseg.stats import Stats


def fake_segmenter(*, delay_seconds: float = 0.0, model: str = "person") -> Segmenter:
    return load(model, backend=FakeBackend(delay_seconds), edges=False, smoothing=False)


def job_of(
    clip: Path, segmenter: Segmenter, *, sink="null", policy="every", effect="tint", options: BenchOptions | None = None
) -> Job:
    effects = tuple(parse_effects([effect], classes=segmenter.classes))
    return Job(
        footage_of(str(clip), clip.parent), segmenter, effects, sink, policy, options or BenchOptions(seconds=0.3)
    )


def usage(
    *, frames=100, seconds=2.0, cpu_seconds=3.0, steady=True, stats: tuple[Stats, ...] = (), others=None, joules=None
) -> Usage:
    return Usage(frames, seconds, cpu_seconds, others, joules, WarmUp(20, 0.5, steady), stats)


def stats_with(*, ages_ms=(), latencies_ms=(), drops=0) -> Stats:
    stats = Stats()
    for age_ms in ages_ms:
        stats.frame_age.add(round(age_ms * 1e6))
    for latency_ms in latencies_ms:
        stats.latency.add(round(latency_ms * 1e6))
    if drops:
        stats.frames.dropped["newer_frame"] = drops
    return stats
