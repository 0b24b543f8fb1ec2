"""A document as text for a terminal: one line a setting, and what may be said of one against another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rtseg.bench.compare import RULE, within_run

Result = Mapping[str, Any]

COLUMNS: Final = (
    "", "fps", "spread", "bare", "effic.", "limit", "share", "work", "core-ms", "cores", "p50 ms", "p99 ms", "age p99",
    "drops",
)  # fmt: skip

NOISY: Final = 0.03
"""From this share of the cores on, what other processes took is said."""


def document_lines(document: Mapping[str, Any]) -> list[str]:
    """Return the table, the comparisons with the first setting, faults and errors, and what is timed."""
    results: Sequence[Result] = document["results"]
    ran = [result for result in results if result["error"] is None]
    lines = list(_table([COLUMNS, *(_cells(number, one) for number, one in enumerate(ran, start=1))])) if ran else []
    lines += [f"{number}: {label_of(one)}" for number, one in enumerate(ran, start=1)]
    lines += [_capacity_line(number, one) for number, one in enumerate(ran, start=1) if one["capacity"]]
    lines += [
        f"{number} against 1: {within_run(one, ran[0])}"
        for number, one in enumerate(ran[1:], start=2)
        if one["capacity"] is None
    ]
    lines += [f"{number}: FAULT: {fault}" for number, one in enumerate(ran, start=1) for fault in one["faults"]]
    lines += [line for number, one in enumerate(ran, start=1) for line in _doubts(number, one, document)]
    lines += [f"not run: {label_of(one)}: {one['error']}" for one in results if one["error"] is not None]
    return [*lines, *_closing(document, ran)]


def label_of(result: Result) -> str:
    """Return a setting in one line, its parts in the order of a frame's life."""
    size = result.get("size")
    source = result.get("source") or {}
    words = [
        source.get("name") or "built-in scene",
        f"{result['model']} {result['backend']} {result['precision']}" + (f" {size[0]}x{size[1]}" if size else ""),
        result["effect"] or "default effect",
        result["sink"],
    ]
    text = " -> ".join(words)
    if (result.get("sources") or 1) > 1:
        text += f", {result['sources']} sources"
    if result.get("pace_hz"):
        text += f", paced at {result['pace_hz']:g} Hz, {result['policy']}"
    return text


def _cells(number: int, result: Result) -> tuple[str, ...]:
    return (
        f"{number}",
        _digits(result["fps"]),
        f"{result['spread'].get('fps', 0.0):.1%}",
        _digits(result["bare_fps"]),
        _share(result["efficiency"]),
        _digits(result["limit_fps"]),
        _share(result["limit_share"]),
        _share(result["work_share"]),
        _digits(result["core_ms"]),
        f"{result['cpu_cores']:.2f}",
        _digits(result["latency_ms"]["p50"]),
        _digits(result["latency_ms"]["p99"]),
        _digits(result["frame_age_ms"]["p99"]),
        str(sum(result["drops"].values())),
    )


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _capacity_line(number: int, result: Result) -> str:
    capacity = result["capacity"]
    tried = ", ".join(
        f"{trial['cameras']}: p99 {trial['p99_ms']:.0f} ms, {trial['drops']} dropped, "
        f"{'held' if trial['held'] else 'failed'}"
        for trial in capacity["tried"]
    )
    return (
        f"{number}: {capacity['cameras']} cameras at {capacity['pace_hz']:g} frames a second with p99 of the frame age "
        f"under {capacity['p99_limit_ms']:g} ms (tried {tried})"
    )


def _doubts(number: int, result: Result, document: Mapping[str, Any]) -> Iterator[str]:
    if not result["warm_up"]["steady"]:
        yield f"{number}: the rate was not steady after the warm-up; measure longer or on a quieter machine"
    others, cores = result["others_cores"], document["machine"]["cores"]
    if others is not None and others > NOISY * cores:
        yield f"{number}: other processes took {others:.2f} of {cores} cores meanwhile: fps and limit share are too low"
    glass = result["glass_ms"]
    if glass is not None and glass["count"]:
        yield (
            f"{number}: glass to glass p50 {glass['p50']:.0f} ms, p99 {glass['p99']:.0f} ms over {glass['count']} "
            f"pictures, {glass['unreadable']} unreadable"
        )
    yield from (f"{number}: {note}" for note in result["notes"])


def _closing(document: Mapping[str, Any], ran: Sequence[Result]) -> Iterator[str]:
    machine = document["machine"]
    clocks = machine.get("clocks_mhz") or []
    facts = [
        str(machine["cpu"]),
        f"{machine['cores']} cores" + (f" at {max(clocks)} MHz" if clocks else ""),
        f"governor {machine.get('governor') or 'unknown'}",
    ]
    yield f"machine: {', '.join(facts)}"
    for number, result in enumerate(ran, start=1):
        yield f"{number}: {' '.join(result['reasons'])}"
    if len(ran) > 1:
        yield RULE
    yield "not timed: " + " ".join(document["not_timed"])
