"""Measurements of several repetitions as the plain values of one result."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rtseg.bench.meter import METER_STAGE
from rtseg.bench.window import Usage
from rtseg.stats import DurationHistogram, StageStats

LIFE_OF_A_FRAME: Final = ("decode", "preprocess", "infer", "postprocess", "render")
"""Stages in the order in which a frame meets them; others, the sinks, come behind."""
LEAST_BUSY_ENGINE: Final = 0.6
"""A bare engine that keeps fewer than this share of the cores busy is bound by something else than their time."""


@dataclass(slots=True)
class Repetition:
    """One pass over one setting. Times of decoding and encoding are None where there is no limit to speak of."""

    pipeline: Usage
    bare: Usage
    decode: Usage | None = None
    encode: Usage | None = None
    gpu: Mapping[str, float] | None = None
    memory_peak_mib: float | None = None
    memory_restarted: bool = False
    """Whether that peak is this repetition's own, not that of the process since its start."""

    def encode_core_ms(self) -> float:
        """Return core-milliseconds a frame of encoding; 0 where the sink encodes nothing."""
        return 0.0 if self.encode is None else self.encode.core_ms


@dataclass(slots=True)
class Values:
    """One value a repetition, by name; a name without values is not measurable in this setting."""

    lists: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float | None:
        """Return the median, rounded to five digits; None where there is none."""
        values = self.lists.get(name)
        return rounded(statistics.median(values)) if values else None

    def spreads(self) -> dict[str, float]:
        """Return (most - least) / median of every list."""
        return {name: rounded(spread_of(values)) for name, values in self.lists.items() if values}


def spread_of(values: Sequence[float]) -> float:
    """Return (most - least) / median; 0 for one value."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def rounded(value: float) -> float:
    """Return the value with five significant digits."""
    return float(f"{value:.5g}")


def machine_limit_fps(cores: int, *, needed_core_ms: float) -> float:
    """Return what a perfect pipeline with a free compositor would reach: cores x 1000 / core-milliseconds a frame."""
    return cores * 1000 / needed_core_ms


def values_of(repetitions: Sequence[Repetition], *, cores: int, paced: bool) -> Values:
    """Return one value a repetition of everything that is compared.

    A paced source decides the rate itself: then there is neither efficiency nor share of the limit.
    """
    values = Values(
        {
            "fps": [one.pipeline.fps for one in repetitions],
            "bare_fps": [one.bare.fps for one in repetitions],
            "core_ms": [one.pipeline.core_ms for one in repetitions],
        }
    )
    if not paced:
        values.lists["efficiency"] = [one.pipeline.fps / one.bare.fps for one in repetitions]
        values.lists |= _limits(repetitions, cores)
    values.lists |= _latencies(repetitions) | _memory(repetitions)
    return Values({name: [rounded(value) for value in found] for name, found in values.lists.items()})


def _latencies(repetitions: Sequence[Repetition]) -> dict[str, list[float]]:
    """Return percentiles of the latency by repetition; nothing where one of them has seen no frame."""
    found = [merged_durations([one], "latency") for one in repetitions]
    if not all(latency.count for latency in found):
        return {}
    return {f"latency_p{point}_ms": [latency.percentile_ms(point) for latency in found] for point in (50, 99)}


def _memory(repetitions: Sequence[Repetition]) -> dict[str, list[float]]:
    """Return the memory peak by repetition; nothing where the system does not restart it."""
    peaks = [one.memory_peak_mib for one in repetitions if one.memory_restarted and one.memory_peak_mib is not None]
    return {"memory_peak_mib": peaks} if len(peaks) == len(repetitions) else {}


def _limits(repetitions: Sequence[Repetition], cores: int) -> dict[str, list[float]]:
    """Return limit, share of it and share of needed work; nothing where core-milliseconds are not what bounds."""
    busy_cores = statistics.median(one.bare.cpu_cores for one in repetitions)
    decodes = [one.decode for one in repetitions if one.decode is not None]
    if len(decodes) < len(repetitions) or busy_cores < LEAST_BUSY_ENGINE * cores:
        return {}
    needed_ms = [
        decode.core_ms + one.bare.core_ms + one.encode_core_ms()
        for one, decode in zip(repetitions, decodes, strict=True)
    ]
    limits = [machine_limit_fps(cores, needed_core_ms=needed) for needed in needed_ms]
    return {
        "limit_fps": limits,
        "limit_share": [one.pipeline.fps / limit for one, limit in zip(repetitions, limits, strict=True)],
        "work_share": [needed / one.pipeline.core_ms for one, needed in zip(repetitions, needed_ms, strict=True)],
    }


def limit_json(repetitions: Sequence[Repetition], *, cores: int) -> dict[str, Any] | None:
    """Return the parts of the machine limit, medians; None where decoding was not measured alone."""
    decodes = [one.decode for one in repetitions if one.decode is not None]
    if len(decodes) != len(repetitions) or not decodes:
        return None
    return {
        "cores": cores,
        "decode_core_ms": rounded(statistics.median(one.core_ms for one in decodes)),
        "infer_core_ms": rounded(statistics.median(one.bare.core_ms for one in repetitions)),
        "encode_core_ms": rounded(statistics.median(one.encode_core_ms() for one in repetitions)),
        "busy_cores": {
            "decode": rounded(statistics.median(one.cpu_cores for one in decodes)),
            "infer": rounded(statistics.median(one.bare.cpu_cores for one in repetitions)),
            "encode": rounded(
                statistics.median(0.0 if one.encode is None else one.encode.cpu_cores for one in repetitions)
            ),
        },
    }


def faults_of(values: Values) -> list[str]:
    """Return what cannot be true of these values, one sentence each."""
    faults = []
    for name, what in (("limit_share", "the machine limit"), ("efficiency", "the bare engine")):
        share = values.median(name)
        if share is not None and share > 1:
            faults.append(f"{name} {share:.3f} is above 1, more than {what} gives: a measuring fault")
    return faults


def stages_json(repetitions: Sequence[Repetition]) -> dict[str, dict[str, float]]:
    """Return every stage over all repetitions, in the order of a frame's life, with the share of time it was busy."""
    merged: dict[str, StageStats] = {}
    seconds = sum(one.pipeline.seconds * len(one.pipeline.stats) for one in repetitions)
    for one in repetitions:
        for stats in one.pipeline.stats:
            for name, stage in stats.stages.items():
                merged.setdefault(name, StageStats()).merge(stage)
    merged.pop(METER_STAGE, None)
    order = {name: place for place, name in enumerate(LIFE_OF_A_FRAME)}
    names = sorted(merged, key=lambda name: order.get(name, len(order)))
    return {
        name: {**durations_json(merged[name].durations), "busy_share": round(merged[name].busy_ns / 1e9 / seconds, 4)}
        for name in names
    }


def durations_json(durations: DurationHistogram) -> dict[str, float]:
    """Return count, mean, percentiles and maximum in milliseconds."""
    return {"count": durations.count, "mean": round(durations.mean_ms, 3), **durations.summary_ms()}


def merged_durations(repetitions: Sequence[Repetition], name: str) -> DurationHistogram:
    """Return the durations `name` ("latency", "frame_age") of all repetitions together."""
    merged = DurationHistogram()
    for one in repetitions:
        for stats in one.pipeline.stats:
            merged.merge(getattr(stats, name))
    return merged


def drops_of(repetitions: Sequence[Repetition]) -> dict[str, int]:
    """Return the dropped frames of all repetitions by cause."""
    total: Counter[str] = Counter()
    for one in repetitions:
        for stats in one.pipeline.stats:
            total.update(stats.frames.dropped)
    return dict(total)


def warm_up_json(repetitions: Sequence[Repetition]) -> dict[str, Any]:
    """Return what was left out before the windows opened, over all repetitions."""
    warm_ups = [one.pipeline.warm_up for one in repetitions]
    return {
        "frames": sum(one.frames for one in warm_ups),
        "seconds": round(sum(one.seconds for one in warm_ups), 3),
        "steady": all(one.steady for one in warm_ups),
    }
