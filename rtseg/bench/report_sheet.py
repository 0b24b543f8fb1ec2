"""The report as one picture: heading, table and all figures on a page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rtseg.bench.compare import RULE
from rtseg.bench.plots_drawing import SMALL_PX, TITLE_PX, Figure, Role, Stroke, Words, clipped, text_width
from rtseg.bench.plots_latency import distribution_figure, glass_figure, waterfall_figure
from rtseg.bench.plots_raster import pixels_of
from rtseg.bench.plots_scores import capacity_figure, scatter_figures, without_score
from rtseg.bench.plots_throughput import cost_figure, throughput_figure
from rtseg.bench.report_tables import Column, columns_for, statements, troubles
from rtseg.bench.report_values import UNKNOWN, Entry, common_parts, entries_of, machine_line
from rtseg.types import UInt8Array

WIDTH_PX: Final = 1240.0
MARGIN_PX: Final = 36.0
INNER_PX: Final = WIDTH_PX - 2 * MARGIN_PX
HALF_PX: Final = (INNER_PX - 40.0) / 2
MOST_ENTRIES: Final = 24
"""Settings on one sheet; the page has all."""
_GAP_PX: Final = 30.0
_NAMES_PX: Final = 280.0
_LINE_PX: Final = 19.0
_CELL_PX: Final = SMALL_PX + 0.5


def sheet_of(document: Mapping[str, Any]) -> UInt8Array:
    """Return the report as rgb uint8 [H, W, 3], two pixels a px."""
    blocks = list(_blocks(document))
    height = sum(block.height for block in blocks) + _GAP_PX * len(blocks) + MARGIN_PX
    sheet = Figure(WIDTH_PX, height, "rtseg bench")
    y = MARGIN_PX
    for block in blocks:
        sheet.put(block, MARGIN_PX, y)
        y += block.height + _GAP_PX
    return pixels_of(sheet)


def titled(title: str, figures: Sequence[Figure | None], *, note: str = "") -> Figure | None:
    """Return figures one below the other under a title; None where there is none."""
    shown = [figure for figure in figures if figure is not None]
    if not shown:
        return None
    top = 26.0 + (18.0 if note else 0.0)
    whole = Figure(shown[0].width, top + sum(figure.height + 14 for figure in shown), title)
    whole.add(Words(0, 14, title, size=TITLE_PX, bold=True))
    if note:
        whole.add(Words(0, 33, clipped(note, whole.width, SMALL_PX), "muted", SMALL_PX))
    y = top
    for figure in shown:
        whole.put(figure, 0, y)
        y += figure.height + 14
    return whole


def _blocks(document: Mapping[str, Any]) -> Iterator[Figure]:
    every = entries_of(document)
    entries = every[:MOST_ENTRIES]
    ran = [entry for entry in entries if entry.error is None]
    yield _heading(document, every)
    yield _table(entries)
    figures = (
        titled("What may be said", [_said(entries)]),
        paired(
            [
                titled("Frames a second, under the limit of the machine", [throughput_figure(entries, HALF_PX)]),
                titled("Processor time of a frame", [cost_figure(ran, HALF_PX)]),
            ]
        ),
        titled(
            "Where each millisecond goes",
            [paired([waterfall_figure(entry, HALF_PX) for entry in ran])],
            note="Mean time of a frame in each stage, one after the other; the thin line reaches to p99.",
        ),
        titled("Latency: from the decoder to the composited frame", [distribution_figure(ran, INNER_PX)]),
        titled("From glass to glass", [glass_figure(ran, INNER_PX)]),
        titled("Rate against accuracy", [paired(scatter_figures(ran, HALF_PX))], note=_aside(ran)),
        titled("Cameras that ran in time", [paired([capacity_figure(entry, HALF_PX) for entry in ran])]),
    )
    yield from (figure for figure in figures if figure is not None)


def _aside(entries: Sequence[Entry]) -> str:
    names = without_score(entries)
    return f"Without a score, so not in the chart: {', '.join(names)}" if names else ""


def _heading(document: Mapping[str, Any], entries: Sequence[Entry]) -> Figure:
    texts = [f"{machine_line(document)}; {document.get('date') or 'date unknown'}"]
    shared = common_parts(entries)
    texts += [f"The same for all: {', '.join(shared)}"] if shared else []
    texts += [str(document["command"])] if document.get("command") else []
    bad = [f"{kind}: {text}" for kind, text in troubles(document, entries)]
    if len(entries) > MOST_ENTRIES:
        bad.append(f"{len(entries) - MOST_ENTRIES} more settings are on the page only")
    figure = Figure(INNER_PX, 32.0, "heading")
    figure.add(Words(0, 22, "rtseg bench", size=24, bold=True))
    _put_lines(figure, texts, "muted")
    _put_lines(figure, bad, "bad")
    return figure


def _said(entries: Sequence[Entry]) -> Figure | None:
    texts = statements(entries)
    figure = Figure(INNER_PX, 0.0, "what may be said")
    _put_lines(figure, texts, "ink")
    _put_lines(figure, [RULE], "muted")
    return figure if texts else None


def _put_lines(figure: Figure, texts: Sequence[str], role: Role) -> None:
    """Write texts below what is there, broken into lines where they are too long; the figure grows."""
    most = int(figure.width / text_width("n"))
    for text in texts:
        for line in textwrap.wrap(text, most) or [""]:
            figure.height += _LINE_PX
            figure.add(Words(0, figure.height - 5, line, role))


def _table(entries: Sequence[Entry]) -> Figure:
    columns, rights, names_px = _fitted(entries)
    figure = Figure(INNER_PX, 26.0 + 23 * max(1, len(entries)), "table")
    for column, right in zip(columns, rights, strict=True):
        figure.add(Words(right, 12, column.title, "muted", SMALL_PX, "end"))
    for row, entry in enumerate(entries):
        top = 20.0 + 23 * row
        figure.add(Stroke(((0, top), (INNER_PX, top)), "grid"))
        failed = entry.error is not None
        text = clipped(f"{entry.place}  {entry.label}", names_px - 8)
        figure.add(Words(0, top + 16, text, "bad" if failed or entry.faults else "ink"))
        if failed:
            why = clipped(f"failed: {entry.error}", INNER_PX - names_px, _CELL_PX)
            figure.add(Words(INNER_PX, top + 16, why, "bad", _CELL_PX, "end"))
            continue
        for column, right in zip(columns, rights, strict=True):
            cell = column.cell(entry)
            role: Role = "bad" if cell.bad else "muted" if cell.text == UNKNOWN else "ink"
            figure.add(Words(right, top + 16, cell.text, role, _CELL_PX, "end"))
    return figure


def _fitted(entries: Sequence[Entry]) -> tuple[list[Column], list[float], float]:
    """Return the columns there is room for, where each ends, and the room that is left for the labels."""
    columns: list[Column] = []
    widths: list[float] = []
    for column in columns_for(entries):
        texts = [column.title, *(column.cell(entry).text for entry in entries if entry.error is None)]
        wide = max(text_width(text, _CELL_PX) for text in texts) + 12
        if sum(widths) + wide > INNER_PX - _NAMES_PX:
            break
        columns.append(column)
        widths.append(wide)
    names_px = INNER_PX - sum(widths)
    return columns, [names_px + sum(widths[: place + 1]) for place in range(len(widths))], names_px


def paired(figures: Sequence[Figure | None]) -> Figure | None:
    """Return figures of half the width, two in a row; None where there is none."""
    shown = [figure for figure in figures if figure is not None]
    if not shown:
        return None
    whole = Figure(INNER_PX, 0.0, shown[0].summary)
    for start in range(0, len(shown), 2):
        row = shown[start : start + 2]
        for place, figure in enumerate(row):
            whole.put(figure, place * (INNER_PX - HALF_PX), whole.height)
        whole.height += max(figure.height for figure in row) + (18 if start + 2 < len(shown) else 0)
    return whole
