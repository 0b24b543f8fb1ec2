"""Figures of the time of a frame: where each millisecond goes, how latencies are distributed, glass to glass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rtseg.bench.plots_drawing import (
    SMALL_PX,
    Box,
    Figure,
    Role,
    Scale,
    Stroke,
    Words,
    clipped,
    log_ticks,
    stage_role,
)
from rtseg.bench.plots_throughput import put_axis, put_marks, put_row_title
from rtseg.bench.report_values import Entry, digits, mapping, milliseconds, number, numbers, percent

_MARGIN_PX: Final = 6.0
_AXIS_PX: Final = 26.0
_STEP_PX: Final = 21.0
_RIDGE_PX: Final = 84.0
_RANGE_PX: Final = 46.0
_NARROW_PX: Final = 560.0
BEFORE_CAPTURE: Final = ("decode",)
"""Stages before the moment from which the age of a frame counts."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a waterfall."""

    name: str
    start_ms: float
    mean_ms: float
    p99_ms: float | None
    busy_share: float | None
    role: Role


def steps_of(entry: Entry) -> list[Step]:
    """Return the mean time of a frame in each stage, one after the other, waiting between stages behind `decode`.

    Waiting is what the frame's age has beside its stages; it is left out where the age is not known or is less than
    the stages (an engine with several frames in flight overlaps them).
    """
    named = [(name, stage, number(stage.get("mean"))) for name, stage in entry.stages()]
    found = [(name, stage, mean) for name, stage, mean in named if mean is not None]
    age = entry.get("frame_age_ms", "mean")
    inside = sum(mean for name, _, mean in found if name not in BEFORE_CAPTURE)
    waiting = None if age is None or not found else age - inside
    first = [one for one in found if one[0] in BEFORE_CAPTURE]
    rest = [one for one in found if one[0] not in BEFORE_CAPTURE]
    pause: list[tuple[str, Mapping[str, Any], float]] = []
    if waiting is not None and waiting > 0:
        pause = [("waiting", {}, waiting)]
    steps: list[Step] = []
    start = 0.0
    for name, stage, mean in [*first, *pause, *rest]:
        p99, busy = number(stage.get("p99")), number(stage.get("busy_share"))
        steps.append(Step(name, start, mean, p99, busy, stage_role(name)))
        start += mean
    return steps


def waterfall_figure(entry: Entry, width: float) -> Figure | None:
    """Return where each millisecond of a frame goes, stage under stage; None where no stage was measured."""
    steps = steps_of(entry)
    if not steps:
        return None
    narrow = width < _NARROW_PX
    right = 62.0 if narrow else 200.0
    end_ms = max(step.start_ms + max(step.mean_ms, step.p99_ms or 0.0) for step in steps)
    total_ms = steps[-1].start_ms + steps[-1].mean_ms
    # One slow frame in a hundred must not squeeze the means into nothing: whiskers may be cut.
    scale = Scale(0.0, max(min(end_ms, 1.6 * total_ms), 1e-6), _MARGIN_PX + 88, width - _MARGIN_PX - right)
    height = 26 + _STEP_PX * len(steps) + _AXIS_PX
    figure = Figure(width, height, f"Where each millisecond of a frame goes: {entry.label}")
    put_row_title(figure, entry.label, f"{milliseconds(total_ms)} in all", 14, width)
    put_axis(figure, scale, height - _AXIS_PX, 24, "ms")
    for row, step in enumerate(steps):
        _put_step(figure, step, scale, 26 + row * _STEP_PX, width, narrow=narrow)
    return figure


def _put_step(figure: Figure, step: Step, scale: Scale, top: float, width: float, *, narrow: bool) -> None:
    middle = top + _STEP_PX / 2
    left = scale.place(step.start_ms)
    tip = f"{step.name}: mean {milliseconds(step.mean_ms)}"
    if step.p99_ms is not None:
        tip += f", p99 {milliseconds(step.p99_ms)}"
        to = scale.place(step.start_ms + step.p99_ms)
        figure.add(Stroke(((left, middle), (to, middle)), step.role, 1.5, opacity=0.55))
        figure.add(Stroke(((to, middle - 3.5), (to, middle + 3.5)), step.role, 1.5, opacity=0.55))
    wide = max(1.2, scale.place(step.start_ms + step.mean_ms) - left)
    figure.add(Box(left, top + 3, wide, _STEP_PX - 6, step.role, tip=tip))
    figure.add(Words(_MARGIN_PX, middle + 4.5, clipped(step.name, 84), "ink"))
    right = width - _MARGIN_PX
    if narrow:
        figure.add(Words(right, middle + 4.5, milliseconds(step.mean_ms), "ink", SMALL_PX, "end"))
        return
    figure.add(Words(right - 130, middle + 4.5, milliseconds(step.mean_ms), "ink", anchor="end"))
    details = [] if step.p99_ms is None else [f"p99 {digits(step.p99_ms)}"]
    details += [] if step.busy_share is None else [f"{percent(step.busy_share)} busy"]
    figure.add(Words(right, middle + 4.5, " · ".join(details), "muted", SMALL_PX, "end"))


def distribution_figure(entries: Sequence[Entry], width: float) -> Figure | None:
    """Return the distribution of latencies, one row a setting over one logarithmic axis; None without latencies."""
    shown = [entry for entry in entries if entry.get("latency_ms", "p50") is not None]
    scale = _shared_scale([_latency_range(entry) for entry in shown], width)
    if scale is None:
        return None
    height = _RIDGE_PX * len(shown) + _AXIS_PX
    figure = Figure(width, height, "Distribution of the latencies of every setting")
    _put_log_axis(figure, scale, height - _AXIS_PX, "ms")
    for row, entry in enumerate(shown):
        top = row * _RIDGE_PX
        put_row_title(figure, entry.label, percentiles_text(entry, "latency_ms", width), top + 14, width)
        _put_histogram(figure, entry, scale, top + 34, _RIDGE_PX - 38)
        _put_percentiles(figure, entry, "latency_ms", scale, top + 22, top + _RIDGE_PX - 4)
    return figure


def glass_figure(entries: Sequence[Entry], width: float) -> Figure | None:
    """Return the range from p50 to p99 from glass to glass, one row a setting; None where nothing was read."""
    shown = [entry for entry in entries if entry.get("glass_ms", "p50") is not None]
    scale = _shared_scale([(entry.get("glass_ms", "p50"), entry.get("glass_ms", "max")) for entry in shown], width)
    if scale is None:
        return None
    height = _RANGE_PX * len(shown) + _AXIS_PX
    figure = Figure(width, height, "Time from glass to glass of every setting")
    _put_log_axis(figure, scale, height - _AXIS_PX, "ms")
    for row, entry in enumerate(shown):
        top = row * _RANGE_PX
        put_row_title(figure, entry.label, percentiles_text(entry, "glass_ms", width), top + 14, width)
        _put_range(figure, entry, "glass_ms", scale, top + 30)
    return figure


def percentiles_text(entry: Entry, name: str, width: float) -> str:
    """Return the percentiles of a distribution in one line; fewer where there is little room."""
    wanted = ("p50", "p99") if width < _NARROW_PX else ("p50", "p95", "p99", "max")
    return " · ".join(f"{percentile} {digits(entry.get(name, percentile))}" for percentile in wanted) + " ms"


def _latency_range(entry: Entry) -> tuple[float | None, float | None]:
    found = mapping(mapping(entry.result.get("histogram")).get("latency_ms"))
    edges, counts = numbers(found.get("edges")), numbers(found.get("counts"))
    filled = [edge for edge, count in zip(edges, counts, strict=False) if count > 0 and edge > 0]
    low = min(filled, default=entry.get("latency_ms", "p50") or 0.0)
    return low, entry.get("latency_ms", "max") or max(edges, default=entry.get("latency_ms", "p99") or low)


def _shared_scale(ranges: Sequence[tuple[float | None, float | None]], width: float) -> Scale | None:
    lows = [low for low, _ in ranges if low is not None and low > 0]
    highs = [high for _, high in ranges if high is not None and high > 0]
    if not lows or not highs:
        return None
    low, high = min(lows) / 1.15, max(highs) * 1.15
    if high / low < 4:  # a narrow range still gets some numbers on its axis
        middle = math.sqrt(low * high)
        low, high = middle / 2, middle * 2
    return Scale(low, high, _MARGIN_PX, width - _MARGIN_PX, logarithmic=True)


def _put_log_axis(figure: Figure, scale: Scale, bottom: float, unit: str) -> None:
    put_marks(figure, scale, log_ticks(scale.low, scale.high), bottom, 0, unit)


def _put_histogram(figure: Figure, entry: Entry, scale: Scale, top: float, height: float) -> None:
    """Draw one box a bin, its area in proportion to the number of frames; without bins, nothing."""
    found = mapping(mapping(entry.result.get("histogram")).get("latency_ms"))
    edges, counts = numbers(found.get("edges")), numbers(found.get("counts"))
    bottom = top + height
    figure.add(Stroke(((scale.start, bottom), (scale.end, bottom)), "grid"))
    if len(edges) != len(counts) + 1 or not counts:
        return
    bins = []
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        x1, x2 = scale.place(max(left, scale.low)), scale.place(max(right, scale.low))
        if x2 > x1 and count > 0:
            bins.append((x1, x2, count / (x2 - x1), f"{digits(left)} to {digits(right)} ms: {count:.0f} frames"))
    densest = max((density for _, _, density, _ in bins), default=1.0)
    for x1, x2, density, tip in bins:
        tall = max(1.0, height * density / densest)
        figure.add(Box(x1, bottom - tall, x2 - x1, tall, "accent", 0.55, radius=0, tip=tip))


def _put_percentiles(figure: Figure, entry: Entry, name: str, scale: Scale, top: float, bottom: float) -> None:
    marks: tuple[tuple[str, Role, bool], ...] = (("p50", "ink", False), ("p95", "muted", True), ("p99", "bad", False))
    for percentile, role, dashed in marks:
        value = entry.get(name, percentile)
        if value is not None and value > 0:
            x = scale.place(value)
            figure.add(Stroke(((x, top), (x, bottom)), role, 1.5, dashed))
            if percentile != "p95":
                figure.add(Words(x + 4, top + 9, percentile, role, 10.5))  # above the boxes


def _put_range(figure: Figure, entry: Entry, name: str, scale: Scale, middle: float) -> None:
    """Draw a bar from p50 to p99 with a whisker to the maximum."""
    low, high, most = (entry.get(name, percentile) for percentile in ("p50", "p99", "max"))
    if low is None or high is None or low <= 0:
        return
    x1, x2 = scale.place(low), scale.place(high)
    if most is not None:
        figure.add(Stroke(((x2, middle), (scale.place(most), middle)), "muted", 1.5))
    tip = f"p50 {milliseconds(low)} to p99 {milliseconds(high)}"
    figure.add(Box(x1, middle - 6, max(2.0, x2 - x1), 12, "accent", tip=tip))
