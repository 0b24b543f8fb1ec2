"""Figures that help to choose: rate against accuracy over the models, and how many cameras held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rtseg.bench.plots_drawing import (
    SMALL_PX,
    Anchor,
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
from rtseg.bench.plots_throughput import put_marks
from rtseg.bench.report_values import Entry, digits, mapping, number

_LEFT_PX: Final = 46.0
_MARGIN_PX: Final = 10.0
_PLOT_PX: Final = 250.0
_TOP_PX: Final = 26.0
_AXIS_PX: Final = 44.0
_CAPACITY_PX: Final = 180.0


def score_of(entry: Entry) -> tuple[str, float] | None:
    """Return name and value of the model's score; None where it has none."""
    score = mapping(entry.result.get("score"))
    value = number(score.get("value"))
    return None if value is None else (str(score.get("name") or "score"), value)


def scatter_figures(entries: Sequence[Entry], width: float) -> list[Figure]:
    """Return fps against accuracy, a figure for each measure of accuracy: two measures have no common axis."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        score = score_of(entry)
        if score is not None and entry.get("fps") is not None and not entry.paced:
            groups[score[0]].append(entry)
    return [_scatter(name, group, width) for name, group in groups.items()]


def without_score(entries: Sequence[Entry]) -> list[str]:
    """Return the labels of the settings that ran and whose model has no score."""
    return [entry.label for entry in entries if entry.error is None and score_of(entry) is None]


def _scatter(name: str, entries: Sequence[Entry], width: float) -> Figure:
    height = _TOP_PX + _PLOT_PX + _AXIS_PX
    figure = Figure(width, height, f"Frames a second against {name}")
    points = [(score[1], entry.get("fps") or 0.0, entry) for entry in entries if (score := score_of(entry))]
    across = _padded([x for x, _, _ in points], _LEFT_PX, width - _MARGIN_PX)
    most = max([y for _, y, _ in points] + [value for entry in entries for value in entry.values("fps")])
    up = Scale(0.0, most * 1.15, _TOP_PX + _PLOT_PX, _TOP_PX)
    figure.add(Words(_MARGIN_PX - 4, 14, "fps, higher is faster", "muted", SMALL_PX))
    figure.add(Words(width - _MARGIN_PX, height - 6, f"{name}, further right is better", "muted", SMALL_PX, "end"))
    _put_grid(figure, across, up)
    front = _front([point for point in points if not point[2].faults])
    if len(front) > 1:
        figure.add(
            Stroke(tuple((across.place(x), up.place(y)) for x, y in front), "accent", 1.5, dashed=True, opacity=0.6)
        )
    dots = [(across.place(x), up.place(y)) for x, y, _ in points]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in dots]  # what a name must not cover: dots, and other names
    for x, y, entry in sorted(points, key=lambda point: -point[1]):
        _put_point(figure, entry, (across.place(x), up.place(y)), up, taken, f"{name} {digits(x)}")
    return figure


def _padded(values: Sequence[float], start: float, end: float) -> Scale:
    """Return a scale with room at both sides of the values."""
    low, high = min(values), max(values)
    room = (high - low) * 0.25 or max(abs(high) * 0.1, 1e-3)
    return Scale(low - room, high + room, start, end)


def _put_grid(figure: Figure, across: Scale, up: Scale) -> None:
    for mark in ticks(up.low, up.high, 5):
        y = up.place(mark)
        figure.add(Stroke(((across.start, y), (across.end, y)), "grid"))
        figure.add(Words(across.start - 7, y + 4, f"{mark:g}", "muted", SMALL_PX, "end"))
    for mark in ticks(across.low, across.high, max(3, int((across.end - across.start) / 110))):
        x = across.place(mark)
        figure.add(Stroke(((x, up.start), (x, up.start + 4)), "muted"))
        figure.add(Words(x, up.start + 18, f"{mark:.4g}", "muted", SMALL_PX, "middle"))


def _front(points: Sequence[tuple[float, float, Entry]]) -> list[tuple[float, float]]:
    """Return the points that no other beats in both, by rising score; faulty ones are no points to beat."""
    best = [
        (x, y) for x, y, _ in points if not any((x2 >= x and y2 > y) or (x2 > x and y2 >= y) for x2, y2, _ in points)
    ]
    return sorted(set(best))


def _put_point(
    figure: Figure,
    entry: Entry,
    place: tuple[float, float],
    up: Scale,
    taken: list[tuple[float, float, float, float]],
    score_text: str,
) -> None:
    """Draw a setting: the range of its repetitions, the median, and its name where nothing else is."""
    x, y = place
    values = entry.values("fps")
    if values:
        figure.add(Stroke(((x, up.place(min(values))), (x, up.place(max(values)))), "accent", 2, opacity=0.5))
    tip = f"{entry.label}: {digits(entry.get('fps'))} fps, {score_text}"
    figure.add(Dot(x, y, 5.5, "bad" if entry.faults else "accent", tip=tip))
    text = clipped(entry.label, figure.width * 0.6, SMALL_PX)
    wide = text_width(text, SMALL_PX)
    anchor: Anchor = "start" if x + 10 + wide < figure.width - 2 else "end"
    left = x + 10 if anchor == "start" else x - 10 - wide
    line = y + 4
    while any(left < x2 and x1 < left + wide and line - 11 < y2 and y1 < line + 3 for x1, y1, x2, y2 in taken):
        line += 13
    taken.append((left, line - 11, left + wide, line + 3))
    figure.add(Words(left if anchor == "start" else x - 10, line, text, "ink", SMALL_PX, anchor))


def capacity_figure(entry: Entry, width: float) -> Figure | None:
    """Return the p99 frame age over the number of cameras, with the limit; None where no search was made."""
    capacity = mapping(entry.result.get("capacity"))
    tried = [found for trial in _trials(capacity) if (found := _trial_of(trial)) is not None]
    if not tried:
        return None
    limit = number(capacity.get("p99_limit_ms"))
    height = _TOP_PX + _CAPACITY_PX + _AXIS_PX
    figure = Figure(width, height, f"p99 of the frame age over the number of cameras: {entry.label}")
    figure.add(Words(_MARGIN_PX - 4, 14, clipped(entry.label, width - 20), "ink", bold=True))
    most_cameras = max(cameras for cameras, *_ in tried)
    across = Scale(0.0, most_cameras + 0.5, _LEFT_PX, width - _MARGIN_PX)
    # A queue that overflows takes seconds; the axis ends where the limit can still be told.
    ceiling = min(max(p99 for _, p99, *_ in tried), 3 * limit) if limit else max(p99 for _, p99, *_ in tried)
    up = Scale(0.0, max(ceiling, limit or 0.0, 1e-6) * 1.15, _TOP_PX + _CAPACITY_PX, _TOP_PX)
    _put_grid(figure, Scale(0, 0, across.start, across.end), up)
    put_marks(figure, across, list(range(1, int(most_cameras) + 1)), up.start, up.start, "cameras")
    figure.add(Words(_MARGIN_PX - 4, 30, "p99 of the frame age, ms", "muted", SMALL_PX))
    if limit is not None:
        y = up.place(limit)
        figure.add(Stroke(((across.start, y), (across.end, y)), "bad", 1.5, dashed=True))
        figure.add(Words(across.start + 4, y - 5, f"limit {digits(limit)} ms", "bad", SMALL_PX))
    for cameras, p99, held, drops in tried:
        _put_trial(figure, across.place(cameras), up, p99, held=held, drops=drops, cameras=cameras)
    return figure


def _put_trial(figure: Figure, x: float, up: Scale, p99: float, *, held: bool, drops: int, cameras: float) -> None:
    tip = f"{cameras:.0f} cameras: p99 {digits(p99)} ms, {drops} dropped, {'held' if held else 'not held'}"
    role: Role = "good" if held else "bad"
    top = up.place(p99)
    figure.add(Box(x - 9, top, 18, up.start - top, role, 0.85, tip=tip))
    figure.add(Words(x, top - 5, digits(p99), role, SMALL_PX, "middle"))


def _trials(capacity: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tried = capacity.get("tried")
    return [mapping(trial) for trial in tried] if isinstance(tried, list) else []


def _trial_of(trial: Mapping[str, Any]) -> tuple[float, float, bool, int] | None:
    cameras, p99 = number(trial.get("cameras")), number(trial.get("p99_ms"))
    if cameras is None or p99 is None:
        return None
    return cameras, p99, trial.get("held") is True, int(number(trial.get("drops")) or 0)
