"""One result of the document: a setting with everything that was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rtseg.bench.glass import GlassMeasurement
from rtseg.bench.parts import Job
from rtseg.bench.scores import score_notes, score_of
from rtseg.bench.settings import Setting
from rtseg.bench.summary import (
    Repetition,
    drops_of,
    durations_json,
    faults_of,
    limit_json,
    merged_durations,
    rounded,
    stages_json,
    values_of,
    warm_up_json,
)
from rtseg.errors import RtsegError

MEASURED = (
    "model_sha256",
    "policy", "pace_hz", "sources", "repeats", "values", "fps", "bare_fps", "efficiency", "limit_fps", "limit_share",
    "work_share", "core_ms", "spread", "limit", "latency_ms", "frame_age_ms", "stages", "histogram", "drops", "frames",
    "warm_up", "cpu_cores", "others_cores", "memory_peak_mib", "gpu", "energy_j_per_frame", "glass_ms", "capacity",
    "score",
)  # fmt: skip
"""What a setting that could not run has no value for."""
MEDIANS = ("fps", "bare_fps", "efficiency", "limit_fps", "limit_share", "work_share", "core_ms")


def result_json(
    job: Job,
    repetitions: Sequence[Repetition],
    *,
    sources: int,
    capacity: dict[str, Any] | None,
    glass: GlassMeasurement | None,
    cores: int,
    effect: str | None,
) -> dict[str, Any]:
    """Return one setting's measurements as plain values."""
    values = values_of(repetitions, cores=cores, paced=job.options.pace_hz is not None)
    segmenter = job.segmenter
    score = score_of(segmenter.bundle, segmenter.info.precision)
    latency, age = merged_durations(repetitions, "latency"), merged_durations(repetitions, "frame_age")
    return {
        **_identity(job, effect=effect),
        "sources": sources,
        "repeats": len(repetitions),
        "values": values.lists,
        **{name: values.median(name) for name in MEDIANS},
        "spread": values.spreads(),
        "limit": limit_json(repetitions, cores=cores),
        "faults": faults_of(values),
        "latency_ms": durations_json(latency),
        "frame_age_ms": durations_json(age),
        "stages": stages_json(repetitions),
        "histogram": {
            "latency_ms": dict(zip(("edges", "counts"), latency.bins_ms(), strict=True)),
            "frame_age_ms": dict(zip(("edges", "counts"), age.bins_ms(), strict=True)),
        },
        "drops": drops_of(repetitions),
        "frames": sum(one.pipeline.frames for one in repetitions),
        "warm_up": warm_up_json(repetitions),
        "cpu_cores": rounded(median(one.pipeline.cpu_cores for one in repetitions)),
        "others_cores": _others(repetitions),
        "memory_peak_mib": _most([one.memory_peak_mib for one in repetitions]),
        "gpu": _gpu(repetitions),
        "energy_j_per_frame": _energy(repetitions),
        "glass_ms": None if glass is None else glass.glass_ms,
        "capacity": capacity,
        "reasons": _reasons(job),
        "notes": [*score_notes(score, segmenter.info.precision), *([] if glass is None else glass.notes())],
        "score": score,
        "error": None,
    }


def error_json(setting: Setting, error: RtsegError) -> dict[str, Any]:
    """Return a setting that could not run, as it was asked for, with the reason."""
    return {
        **dict.fromkeys(MEASURED),
        "faults": [],
        "reasons": [],
        "notes": [],
        "model": Path(setting.model).stem,
        "backend": setting.backend,
        "precision": setting.precision,
        "size": None if setting.size_wh is None else list(setting.size_wh),
        "source": None if setting.source is None else {"name": Path(setting.source).name},
        "effect": setting.effect,
        "sink": setting.sink,
        "error": str(error),
    }


def _identity(job: Job, *, effect: str | None) -> dict[str, Any]:
    segmenter = job.segmenter
    return {
        "model": segmenter.bundle.name,
        "model_sha256": segmenter.bundle.sha256_for(segmenter.info.precision),
        "backend": segmenter.info.name,
        "precision": segmenter.info.precision,
        "size": list(segmenter.size_wh),
        "source": job.footage.to_json(),
        "effect": effect or segmenter.bundle.default_effect,
        "sink": job.sink,
        "policy": job.policy,
        "pace_hz": job.options.pace_hz,
    }


def _reasons(job: Job) -> list[str]:
    segmenter = job.segmenter
    asked = "as asked" if job.options.policy else ("a live source" if job.policy == "freshest" else "a finite source")
    return [*segmenter.backend_reasons, *segmenter.info.reasons, f"Policy {job.policy}, {asked}."]


def _others(repetitions: Sequence[Repetition]) -> float | None:
    """Return how many cores were kept busy by others while the pipeline was measured."""
    pipelines = [one.pipeline for one in repetitions]
    known = [one.others_cpu_seconds / one.seconds for one in pipelines if one.others_cpu_seconds is not None]
    return round(median(known), 3) if known else None


def _most(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known), 1) if known else None


def _energy(repetitions: Sequence[Repetition]) -> float | None:
    joules = [one.pipeline.joules / one.pipeline.frames for one in repetitions if one.pipeline.joules is not None]
    return rounded(median(joules)) if joules else None


def _gpu(repetitions: Sequence[Repetition]) -> dict[str, float] | None:
    readings = [one.gpu for one in repetitions if one.gpu]
    names = dict.fromkeys(name for reading in readings for name in reading)
    return {name: rounded(median(one[name] for one in readings if name in one)) for name in names} or None
