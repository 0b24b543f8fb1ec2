"""The tables of a report: which columns, and what is in their cells; shared by page, PNG and Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rtseg.bench.compare import within_run
from rtseg.bench.plots_scores import score_of
from rtseg.bench.report_values import PARTS, UNKNOWN, Entry, digits, mapping, number, percent, sentences, whole

MOST_OTHERS_CORES: Final = 0.2
"""Cores that other programs may keep busy before the report says so at its top."""
VALUE_NAMES: Final = ("fps", "bare_fps", "efficiency", "limit_fps", "limit_share", "core_ms")


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table shows in one place."""

    text: str
    value: float | None = None
    """What the column is sorted by; None: unknown, sorted last."""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table of results."""

    title: str
    meaning: str
    cell: Callable[[Entry], Cell]
    always: bool = True
    """False: only shown where any result has it."""


def columns_for(entries: Sequence[Entry]) -> list[Column]:
    """Return the columns that these results need."""
    return [
        column for column in COLUMNS if column.always or any(column.cell(entry).text != UNKNOWN for entry in entries)
    ]


def statements(entries: Sequence[Entry]) -> list[str]:
    """Return what may be said of each setting against the one before that is most like it; not of searches."""
    ran = [entry for entry in entries if entry.error is None and entry.values("fps") and not _searched(entry)]
    return [_statement(entry, _most_alike(entry, ran[:place])) for place, entry in enumerate(ran) if place]


def _searched(entry: Entry) -> bool:
    return bool(mapping(entry.result.get("capacity")))


def _most_alike(entry: Entry, others: Sequence[Entry]) -> Entry:
    """Return the first of the settings that differ in the fewest parts."""

    def differences(other: Entry) -> int:
        return sum(entry.result.get(part) != other.result.get(part) for part in PARTS)

    return min(others, key=differences)


def _statement(entry: Entry, other: Entry) -> str:
    both = f"{entry.place} {entry.label} against {other.place} {other.label}"
    return f"{both}: {within_run(entry.result, other.result)}"


def troubles(document: Mapping[str, Any], entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """Yield what makes results doubtful or absent, each as a kind and a sentence."""
    if document.get("interrupted"):
        yield "Interrupted", "only a part was measured"
    for entry in entries:
        if entry.error is not None:
            yield "Failed", f"{entry.place} {entry.label}: {entry.error}"
        yield from (("Measuring fault", f"{entry.place} {entry.label}: {fault}") for fault in entry.faults)
    unsteady = [entry for entry in entries if not entry.steady]
    if unsteady:
        yield "Not steady", f"the rate had not settled after the warm-up in {_named(unsteady, entries)}"
    crowded = [(busy, entry) for entry in entries if (busy := entry.get("others_cores") or 0.0) > MOST_OTHERS_CORES]
    if crowded:
        most = max(busy for busy, _ in crowded)
        where = _named([entry for _, entry in crowded], entries)
        yield "Not alone", f"other programs kept up to {digits(most)} cores busy in {where}"


def _named(some: Sequence[Entry], every: Sequence[Entry]) -> str:
    if len(some) == len(every) and len(every) > 1:
        return "all settings"
    return ", ".join(f"{entry.place} {entry.label}" for entry in some)


def repetition_rows(entry: Entry) -> Iterator[tuple[str, list[str], str, str]]:
    """Yield name, values, median and spread of everything that was measured in each repetition."""
    names = [*VALUE_NAMES, *(name for name in mapping(entry.result.get("values")) if name not in VALUE_NAMES)]
    for name in names:
        values = entry.values(name)
        if values:
            median = statistics.median(values)
            spread = (max(values) - min(values)) / median if median else None
            yield name, [digits(value, 4) for value in values], digits(median, 4), percent(spread, 1)


def stage_rows(entry: Entry) -> Iterator[list[str]]:
    """Yield name, mean, percentiles, maximum (ms) and busy share of every stage, and of the whole."""
    for name, stage in entry.stages():
        numbers = [digits(number(stage.get(key))) for key in ("mean", "p50", "p95", "p99", "max")]
        yield [name, *numbers, percent(number(stage.get("busy_share")))]
    for name, key in (("latency", "latency_ms"), ("frame age", "frame_age_ms"), ("glass to glass", "glass_ms")):
        if mapping(entry.result.get(key)):
            yield [name, *(digits(entry.get(key, part)) for part in ("mean", "p50", "p95", "p99", "max")), UNKNOWN]


def fact_rows(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield what else is known of a result, as name and text."""
    result = entry.result
    source = mapping(result.get("source"))
    yield "setting", entry.full_label
    if source:
        rate = number(source.get("frame_rate"))
        words = [str(source.get("kind") or ""), str(source.get("codec") or ""), "" if rate is None else f"{rate:g} fps"]
        yield "source", ", ".join(word for word in words if word) or UNKNOWN
    yield "policy", str(result.get("policy") or UNKNOWN)
    yield "frames measured", whole(entry.get("frames"))
    yield "warm-up, not counted", _warm_up(entry)
    yield "dropped", _drops(entry)
    yield "processor", f"{digits(entry.get('cpu_cores'))} cores busy, {digits(entry.get('core_ms'))} core-ms a frame"
    if entry.get("others_cores") is not None:
        yield "other programs", f"{digits(entry.get('others_cores'))} cores busy meanwhile"
    yield "machine limit", _limit(entry)
    yield "memory peak", _with_unit(entry.get("memory_peak_mib"), "MiB")
    yield "GPU", _gpu(entry)
    yield "energy", _with_unit(entry.get("energy_j_per_frame"), "J a frame")
    if mapping(result.get("glass_ms")):
        yield "glass to glass", f"{whole(entry.get('glass_ms', 'unreadable'))} codes unreadable"
    capacity = mapping(result.get("capacity"))
    if capacity:
        yield "capacity", _capacity(entry)
    yield from (("note", note) for note in sentences(result.get("notes")))
    for reason in sentences(result.get("reasons")):
        yield "reason", reason


def _warm_up(entry: Entry) -> str:
    frames, seconds = entry.get("warm_up", "frames"), entry.get("warm_up", "seconds")
    if frames is None and seconds is None:
        return UNKNOWN
    steady = mapping(entry.result.get("warm_up")).get("steady")
    ending = (
        "steady" if steady is True else "NOT STEADY when counting began" if steady is False else "steadiness unknown"
    )
    return f"{whole(frames)} frames, {digits(seconds)} s; {ending}"


def _drops(entry: Entry) -> str:
    drops = entry.result.get("drops")
    if drops is None:
        return UNKNOWN
    found = {str(cause): number(count) or 0.0 for cause, count in mapping(drops).items()}
    return ", ".join(f"{count:.0f} {cause.replace('_', ' ')}" for cause, count in found.items() if count) or "none"


def _limit(entry: Entry) -> str:
    if not mapping(entry.result.get("limit")):
        return f"{UNKNOWN} (not measurable in this setting)"
    parts = [f"{name} {digits(entry.get('limit', f'{name}_core_ms'))}" for name in ("decode", "infer", "encode")]
    return f"{digits(entry.get('limit_fps'))} fps: {whole(entry.get('limit', 'cores'))} cores, core-ms " + ", ".join(
        parts
    )


def _gpu(entry: Entry) -> str:
    if not mapping(entry.result.get("gpu")):
        return "none"
    share, power, vram = (entry.get("gpu", name) for name in ("share", "power_w", "vram_mib"))
    return f"{percent(share)} busy, {_with_unit(power, 'W')}, {_with_unit(vram, 'MiB')}"


def _capacity(entry: Entry) -> str:
    cameras, pace, limit = (entry.get("capacity", name) for name in ("cameras", "pace_hz", "p99_limit_ms"))
    return f"{whole(cameras)} cameras at {digits(pace)} fps with p99 of the frame age below {digits(limit)} ms"


def _with_unit(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{digits(value)} {unit}"


def _plain(name: str, *path: str) -> Callable[[Entry], Cell]:
    def cell(entry: Entry) -> Cell:
        value = entry.get(name, *path)
        return Cell(digits(value), value)

    return cell


def _fps(entry: Entry) -> Cell:
    value, values = entry.get("fps"), entry.values("fps")
    if value is None or len(values) < 2 or not value:
        return Cell(digits(value), value)
    return Cell(f"{digits(value)} ± {(max(values) - min(values)) / 2 / value * 100:.1f} %", value)


def _efficiency(entry: Entry) -> Cell:
    value = entry.get("efficiency")
    return Cell(percent(value, 1), value, bad=value is not None and value > 1)


def _limit_share(entry: Entry) -> Cell:
    value = entry.get("limit_share")
    return Cell(percent(value, 1), value, bad=value is not None and value > 1)


def _dropped(entry: Entry) -> Cell:
    drops = entry.result.get("drops")
    if not isinstance(drops, dict):
        return Cell(UNKNOWN)
    total = sum(number(count) or 0.0 for count in drops.values())
    return Cell(f"{total:.0f}", total)


def _cameras(entry: Entry) -> Cell:
    value = entry.get("capacity", "cameras")
    return Cell(whole(value), value)


def _gpu_share(entry: Entry) -> Cell:
    value = entry.get("gpu", "share")
    return Cell(percent(value), value)


def _score(entry: Entry) -> Cell:
    score = score_of(entry)
    return Cell(UNKNOWN) if score is None else Cell(digits(score[1]), score[1])


COLUMNS: Final = (
    Column("fps", "frames a second from end to end, median and half the spread of the repetitions", _fps),
    Column("bare", "frames a second of the engine alone, in the same run", _plain("bare_fps")),
    Column("efficiency", "fps / bare fps", _efficiency),
    Column(
        "of limit", "fps / what a perfect pipeline with a free compositor would reach on this machine", _limit_share
    ),
    Column("core-ms", "processor time a frame, all threads", _plain("core_ms")),
    Column("cores", "processor cores kept busy", _plain("cpu_cores"), always=False),
    Column("p50 ms", "latency: decoder to composited frame, median", _plain("latency_ms", "p50")),
    Column("p99 ms", "latency: decoder to composited frame, 99 of 100 frames", _plain("latency_ms", "p99")),
    Column(
        "age p99", "frame age: until the last sink has taken it, in ms", _plain("frame_age_ms", "p99"), always=False
    ),
    Column("glass p50", "glass to glass, read off the picture, in ms", _plain("glass_ms", "p50"), always=False),
    Column("glass p99", "glass to glass, read off the picture, in ms", _plain("glass_ms", "p99"), always=False),
    Column("drops", "frames dropped, warm-up not counted", _dropped, always=False),
    Column("MiB", "peak of resident memory", _plain("memory_peak_mib"), always=False),
    Column("GPU", "share of the GPU in use", _gpu_share, always=False),
    Column("W", "power of the GPU", _plain("gpu", "power_w"), always=False),
    Column("J/frame", "energy a frame", _plain("energy_j_per_frame"), always=False),
    Column("cameras", "paced cameras that ran in time", _cameras, always=False),
    Column("score", "accuracy that the model's card states; its name is beside the chart", _score, always=False),
)
