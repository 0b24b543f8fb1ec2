"""What is measured while frames travel: rates, latency distributions, drops by cause, and the machine it was on.

Memory is bounded whatever the length of a run: durations go into geometric buckets of 1 %, so a percentile is right
to within half a percent and the maximum is exact.
"""

from __future__ import annotations

import math
import os
import platform
from collections import Counter, deque
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

_BUCKET: Final = math.log(1.01)
_SUMMARY_DIGITS: Final = 3


class DurationHistogram:
    """Durations in nanoseconds, summarised as milliseconds. Not thread-safe: one writer."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.total_ns = 0
        self.max_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration; a negative one (clocks of two devices) counts as zero."""
        duration_ns = max(0, duration_ns)
        self._buckets[int(math.log(duration_ns + 1) / _BUCKET)] += 1
        self.count += 1
        self.total_ns += duration_ns
        self.max_ns = max(self.max_ns, duration_ns)

    def merge(self, other: DurationHistogram) -> None:
        """Add all durations of another histogram."""
        self._buckets.update(other._buckets)
        self.count += other.count
        self.total_ns += other.total_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def percentile_ms(self, percent: float) -> float:
        """Return the duration that `percent` of all durations do not exceed, in ms; 0 when there is none."""
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= max(1, wanted):
                middle_ns = math.exp((bucket + 0.5) * _BUCKET) - 1
                return min(middle_ns, self.max_ns) / 1e6
        return 0.0

    @property
    def mean_ms(self) -> float:
        """The mean in milliseconds, exact; 0 when there is none."""
        return self.total_ns / self.count / 1e6 if self.count else 0.0

    def bins_ms(self, most: int = 48) -> tuple[list[float], list[int]]:
        """Return at most `most` bins of equal ratio that hold everything: n + 1 edges in milliseconds and n counts."""
        buckets = dict(self._buckets)
        if not buckets:
            return [], []
        first, last = min(buckets), max(buckets)
        width = -(-(last - first + 1) // most)
        counts = [0] * -(-(last - first + 1) // width)
        for bucket, count in buckets.items():
            counts[(bucket - first) // width] += count
        edges = [(math.exp((first + width * index) * _BUCKET) - 1) / 1e6 for index in range(len(counts) + 1)]
        return [round(edge, _SUMMARY_DIGITS + 1) for edge in edges], counts

    def summary_ms(self) -> dict[str, float]:
        """Return p50, p95, p99 and max in milliseconds."""
        values = {f"p{p}": self.percentile_ms(p) for p in (50, 95, 99)} | {"max": self.max_ns / 1e6}
        return {name: round(value, _SUMMARY_DIGITS) for name, value in values.items()}


def rate_hz(count: int, span_seconds: float) -> float | None:
    """Return the rate of `count` stamps over the span from first to last: (n - 1) / span; None below two stamps."""
    return (count - 1) / span_seconds if count >= 2 and span_seconds > 0 else None


class RateMeter:
    """The rate of the last moments, for HUD and progress bar."""

    def __init__(self, window_seconds: float = 1.0) -> None:
        self._window_ns = int(window_seconds * 1e9)
        self._stamps: deque[int] = deque()

    def tick(self, now_ns: int) -> None:
        """Count one event at a monotonic time."""
        self._stamps.append(now_ns)
        while len(self._stamps) > 2 and now_ns - self._stamps[0] > self._window_ns:
            self._stamps.popleft()

    @property
    def hz(self) -> float | None:
        """Events a second over the window; None below two events."""
        if len(self._stamps) < 2:
            return None
        return rate_hz(len(self._stamps), (self._stamps[-1] - self._stamps[0]) / 1e9)


@dataclass(slots=True)
class StageStats:
    """What one stage did."""

    durations: DurationHistogram = field(default_factory=DurationHistogram)
    """Time per frame inside the stage, waiting for other stages left out."""
    busy_ns: int = 0
    """Time the stage kept its thread, waiting for other stages left out."""
    _lapped_busy_ns: int = 0

    def add(self, duration_ns: int, *, busy_ns: int | None = None) -> None:
        """Count one frame; `busy_ns` differs from the duration where several frames overlap."""
        self.durations.add(duration_ns)
        self.busy_ns += duration_ns if busy_ns is None else busy_ns

    def lap(self) -> StageStats:
        """Return what was added since the last lap and begin the next; `busy_ns` here keeps the sum of all laps."""
        durations, self.durations = self.durations, DurationHistogram()
        busy_ns = self.busy_ns
        lapped_ns, self._lapped_busy_ns = self._lapped_busy_ns, busy_ns
        return StageStats(durations, busy_ns - lapped_ns)

    def merge(self, other: StageStats) -> None:
        """Add what the same stage did in another run."""
        self.durations.merge(other.durations)
        self.busy_ns += other.busy_ns


@dataclass(slots=True)
class FrameCounts:
    """Frames by fate. In policy `every`, decoded == processed == written."""

    decoded: int = 0
    processed: int = 0
    written: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Dropped frames by cause. Under "decode": frames that were left out undecoded, not among `decoded`."""
    held: int = 0
    """Times that the last frame was shown again, marked, while a live source was silent; not among `written`."""

    @property
    def dropped_decoded(self) -> int:
        """Dropped frames that had been decoded."""
        return self.dropped.total() - self.dropped["decode"]

    def copy(self) -> FrameCounts:
        """Return the counts as they are now."""
        return FrameCounts(self.decoded, self.processed, self.written, Counter(self.dropped), self.held)

    def since(self, before: FrameCounts) -> FrameCounts:
        """Return what was counted since an earlier copy."""
        return FrameCounts(
            self.decoded - before.decoded,
            self.processed - before.processed,
            self.written - before.written,
            Counter(self.dropped) - before.dropped,
            self.held - before.held,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "decoded": self.decoded,
            "processed": self.processed,
            "written": self.written,
            "dropped": dict(self.dropped),
            **({"held": self.held} if self.held else {}),
        }


class Stats:
    """Everything measured in one run.

    `latency_ms` counts from the moment a frame leaves the decoder until it is composited, `frame_age_ms` until the
    last sink has taken it. Both contain the time a frame waits in channels; the stages do not.

    Threading: each stage is written by one thread; read it when the pipeline has ended, or for display only.
    """

    def __init__(self, *, source_id: str = "") -> None:
        self.source_id = source_id
        self.frames = FrameCounts()
        self.latency = DurationHistogram()
        self.frame_age = DurationHistogram()
        self.stages: dict[str, StageStats] = {}
        self.wall_seconds = 0.0
        self.first_output_ns: int | None = None
        self.last_output_ns: int | None = None
        self.outputs = 0
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []
        self.output_paths: list[Path] = []
        self.sources: list[Stats] = []
        self._lapped = FrameCounts()

    def lap(self) -> Stats:
        """Return frames, latencies and stages since the last lap (or the start) and begin the next.

        For measuring a stretch of a run without its warm-up. The histograms kept here begin anew; counts go on.
        Threading: any thread; a frame that a stage counts at that very moment is on one side or the other.
        """
        done = Stats(source_id=self.source_id)
        counts = self.frames.copy()
        done.frames, self._lapped = counts.since(self._lapped), counts
        done.latency, self.latency = self.latency, DurationHistogram()
        done.frame_age, self.frame_age = self.frame_age, DurationHistogram()
        done.stages = {name: stage.lap() for name, stage in list(self.stages.items())}
        return done

    def stage(self, name: str) -> StageStats:
        """Return the stage of that name, made at first use."""
        return self.stages.setdefault(name, StageStats())

    def count_output(self, now_ns: int) -> None:
        """Count a frame that has left the last stage."""
        if self.first_output_ns is None:
            self.first_output_ns = now_ns
        self.last_output_ns = now_ns
        self.outputs += 1

    @property
    def fps(self) -> float | None:
        """Frames a second between the first and the last frame that came out; None below two frames."""
        if self.sources:
            active = [(s.outputs - 1, (s.outputs - 1) / s.fps) for s in self.sources if s.fps]
            seconds = sum(span for _, span in active)
            return sum(count for count, _ in active) / seconds if seconds else None
        if self.first_output_ns is None or self.last_output_ns is None:
            return None
        return rate_hz(self.outputs, (self.last_output_ns - self.first_output_ns) / 1e9)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, for `--stats`."""
        fps = self.fps
        result: dict[str, Any] = {
            "source": self.source_id,
            "frames": self.frames.to_json(),
            "fps": None if fps is None else round(fps, 3),
            "wall_seconds": round(self.wall_seconds, 3),
            "latency_ms": self.latency.summary_ms(),
            "frame_age_ms": self.frame_age.summary_ms(),
            "stages": {name: self._stage_json(stage) for name, stage in self.stages.items()},
            "notes": list(self.notes),
            "outputs": [str(path) for path in self.output_paths],
            **self.facts,
        }
        if self.sources:
            result["sources"] = [source.to_json() for source in self.sources]
        return result

    def _stage_json(self, stage: StageStats) -> dict[str, float]:
        busy = stage.busy_ns / 1e9 / self.wall_seconds if self.wall_seconds > 0 else 0.0
        return stage.durations.summary_ms() | {"busy_share": round(busy, 4)}


def merged(runs: list[Stats]) -> Stats:
    """Return the sum of several runs, one after the other, each kept under `sources`; one run is returned as it is."""
    if len(runs) == 1:
        return runs[0]
    total = Stats(source_id=", ".join(run.source_id for run in runs))
    for run in runs:
        total.frames.decoded += run.frames.decoded
        total.frames.processed += run.frames.processed
        total.frames.written += run.frames.written
        total.frames.held += run.frames.held
        total.frames.dropped.update(run.frames.dropped)
        total.latency.merge(run.latency)
        total.frame_age.merge(run.frame_age)
        for name, stage in run.stages.items():
            total.stage(name).merge(stage)
        total.wall_seconds += run.wall_seconds
        total.outputs += run.outputs
        total.notes += [f"{run.source_id}: {note}" for note in run.notes]
        total.output_paths += run.output_paths
    # What differs from source to source (the input, for one) is only said there.
    total.facts = {
        name: fact for name, fact in runs[0].facts.items() if all(run.facts.get(name) == fact for run in runs)
    }
    if any(run.facts.get("interrupted") for run in runs):
        total.facts["interrupted"] = True
    total.sources = list(runs)
    return total


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def package_version(distribution: str) -> str | None:
    """Return the installed version of a distribution, without importing it; None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def machine_facts() -> dict[str, Any]:
    """Return processor, cores, system and versions, for stats and benchmark results; no user name, no host name."""
    packages = ("rtseg", "numpy", "opencv-python", "av", "openvino", "torch", "tensorrt", "tensorrt-rtx-cu13")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu_name(),
        "cores": cores,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version for name in packages if (version := package_version(name))},
    }
