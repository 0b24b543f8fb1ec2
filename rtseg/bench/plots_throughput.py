"""Figures of the rate: frames a second under the machine's limit, and the processor time of a frame taken apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rtseg.bench.plots_drawing import (
    SMALL_PX,
    Area,
    Box,
    Dot,
    Figure,
    Role,
    Scale,
    Stroke,
    Words,
    clipped,
    text_width,
    ticks,
)
from rtseg.bench.report_values import Entry, digits, mapping, percent

_ROW_PX: Final = 46.0
_BAR_PX: Final = 16.0
_LEGEND_PX: Final = 30.0
_AXIS_PX: Final = 26.0
_MARGIN_PX: Final = 6.0

COST_PARTS: Final[tuple[tuple[str, str, Role], ...]] = (
    ("decode", "decode_core_ms", "decode"),
    ("bare inference", "infer_core_ms", "infer"),
    ("encode", "encode_core_ms", "sink"),
)


def throughput_figure(entries: Sequence[Entry], width: float) -> Figure | None:
    """Return bars of fps with every repetition, the bare engine's rate and the machine's limit; None without rates."""
    known = [value for entry in entries for value in _rates(entry)]
    if not known:
        return None
    scale = Scale(0.0, max(known) * 1.04, _MARGIN_PX, width - _MARGIN_PX)
    height = _LEGEND_PX + _ROW_PX * len(entries) + _AXIS_PX
    figure = Figure(width, height, "Frames a second of every setting, with the machine's limit and the bare engine")
    legend: list[tuple[str, Role]] = [
        ("fps", "accent"), ("machine limit", "track"), ("bare engine", "bare"), ("a repetition", "ink"),
    ]  # fmt: skip
    _put_legend(figure, legend, width)
    put_axis(figure, scale, height - _AXIS_PX, _LEGEND_PX, "fps")
    for row, entry in enumerate(entries):
        _put_rate(figure, entry, scale, _LEGEND_PX + row * _ROW_PX, width)
    return figure


def cost_figure(entries: Sequence[Entry], width: float) -> Figure | None:
    """Return the core-milliseconds of a frame, stacked: decode, bare inference, encode, and everything else."""
    shown = [entry for entry in entries if entry.get("core_ms") is not None]
    if not shown:
        return None
    most = max(sum(length for _, length, _ in _costs(entry)) for entry in shown)
    scale = Scale(0.0, max(most * 1.04, 1e-6), _MARGIN_PX, width - _MARGIN_PX)
    height = _LEGEND_PX + _ROW_PX * len(shown) + _AXIS_PX
    figure = Figure(width, height, "Core-milliseconds a frame: decode, inference, encode, and everything else")
    _put_legend(figure, [(name, role) for name, _, role in COST_PARTS] + [("everything else", "rest")], width)
    put_axis(figure, scale, height - _AXIS_PX, _LEGEND_PX, "core-ms a frame")
    for row, entry in enumerate(shown):
        _put_cost(figure, entry, scale, _LEGEND_PX + row * _ROW_PX, width)
    return figure


def put_axis(figure: Figure, scale: Scale, bottom: float, top: float, unit: str) -> None:
    """Draw grid lines from `top` to `bottom`, their numbers below, and the unit at the last one."""
    marks = ticks(scale.low, scale.high, max(3, int((scale.end - scale.start) / 90)))
    put_marks(figure, scale, marks, bottom, top, unit)


def put_marks(figure: Figure, scale: Scale, marks: Sequence[float], bottom: float, top: float, unit: str) -> None:
    """Draw grid lines at marks and their numbers; a number that would touch its right neighbour is left out."""
    free_to = figure.width
    for mark in reversed(marks):
        x = scale.place(mark)
        figure.add(Stroke(((x, top), (x, bottom)), "grid"))
        text = f"{mark:g}" + (f" {unit}" if mark == marks[-1] else "")
        wide = text_width(text, SMALL_PX)
        left = min(max(0.0, x - wide / 2), figure.width - wide)
        if left + wide <= free_to:
            figure.add(Words(left, bottom + 17, text, "muted", SMALL_PX))
            free_to = left - 8


def put_row_title(figure: Figure, label: str, value: str, y: float, width: float, *, role: Role = "ink") -> None:
    """Write the label of a row at the left and its value at the right, cutting the label where both do not fit."""
    room = width - 2 * _MARGIN_PX - text_width(value) - 12
    figure.add(
        Words(_MARGIN_PX, y, clipped(label, room), "ink", bold=False),
        Words(width - _MARGIN_PX, y, value, role, anchor="end", bold=True),
    )


def _rates(entry: Entry) -> Iterator[float]:
    yield from (value for name in ("fps", "bare_fps", "limit_fps") if (value := entry.get(name)) is not None)
    yield from entry.values("fps")


def _put_rate(figure: Figure, entry: Entry, scale: Scale, top: float, width: float) -> None:
    fps, limit, bare = entry.get("fps"), entry.get("limit_fps"), entry.get("bare_fps")
    bar_top, middle = top + 20, top + 20 + _BAR_PX / 2
    if entry.error is not None or fps is None:
        put_row_title(
            figure, entry.label, "not measured" if entry.error is None else "failed", top + 14, width, role="bad"
        )
        figure.add(Words(_MARGIN_PX, bar_top + 12, clipped(entry.error or "", width - 12, SMALL_PX), "bad", SMALL_PX))
        return
    share = entry.get("limit_share")
    value = f"{digits(fps)} fps" + ("" if share is None else f" · {percent(share)} of the limit")
    put_row_title(figure, entry.label, value, top + 14, width, role="bad" if entry.faults else "ink")
    if limit is not None:
        track = scale.place(limit) - scale.start
        figure.add(Box(scale.start, bar_top, track, _BAR_PX, "track", tip=f"machine limit {digits(limit)} fps"))
    role: Role = "bad" if entry.faults else "accent"
    figure.add(Box(scale.start, bar_top, scale.place(fps) - scale.start, _BAR_PX, role, tip=f"{digits(fps)} fps"))
    for place, repetition in enumerate(entry.values("fps"), start=1):
        tip = f"repetition {place}: {digits(repetition, 4)} fps"
        figure.add(Dot(scale.place(repetition), middle, 2.6, "ink", 0.75, tip))
    if bare is not None:
        x = scale.place(bare)
        tip = f"bare engine {digits(bare)} fps"
        figure.add(Box(x - 1.25, bar_top - 3, 2.5, _BAR_PX + 6, "bare", radius=0, tip=tip))


def _costs(entry: Entry) -> list[tuple[str, float, Role]]:
    """Return the parts of a frame's processor time with their lengths; one part where it was not taken apart."""
    total = entry.get("core_ms") or 0.0
    parts = [(name, entry.get("limit", key) or 0.0, role) for name, key, role in COST_PARTS]
    if not mapping(entry.result.get("limit")):
        return [("not taken apart", total, "rest")]
    rest = total - sum(length for _, length, _ in parts)
    return [*parts, ("everything else", max(0.0, rest), "rest")]


def _put_cost(figure: Figure, entry: Entry, scale: Scale, top: float, width: float) -> None:
    put_row_title(figure, entry.label, f"{digits(entry.get('core_ms'))} core-ms", top + 14, width)
    x = scale.start
    for name, length, role in _costs(entry):
        if length > 0:
            end = x + scale.place(length) - scale.start
            figure.add(Box(x, top + 20, max(0.6, end - x - 1), _BAR_PX, role, tip=f"{name}: {digits(length)} core-ms"))
            x = end
    total = entry.get("core_ms") or 0.0
    if x > scale.place(total) + 1:  # the parts alone take more than the whole: shown, not hidden
        at = scale.place(total)
        figure.add(Stroke(((at, top + 17), (at, top + 23 + _BAR_PX)), "bad", 2))
        figure.add(Area(((at, top + 17), (at - 4, top + 12), (at + 4, top + 12)), "bad", tip=f"whole: {digits(total)}"))


def _put_legend(figure: Figure, names: Sequence[tuple[str, Role]], width: float) -> None:
    """Draw colours and their names in one line from the left, as far as there is room."""
    x = _MARGIN_PX
    for name, role in names:
        wide = 15 + text_width(name, SMALL_PX)
        if x + wide > width:
            break
        figure.add(Box(x, 5, 10, 10, role), Words(x + 15, 14, name, "muted", SMALL_PX))
        x += wide + 16
