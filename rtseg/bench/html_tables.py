"""The tables and lists of the report page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rtseg.bench.report_tables import Cell, Column, columns_for, fact_rows, repetition_rows, stage_rows
from rtseg.bench.report_values import Entry, digits

STAGE_HEADS = ("stage", "mean ms", "p50", "p95", "p99", "max", "busy")


def results_table(entries: Sequence[Entry]) -> str:
    """Return the sortable table of results, failed ones with their reason in place of numbers."""
    columns = columns_for(entries)
    heads = "".join(_head(column) for column in columns)
    rows = "".join(_result_row(entry, columns) for entry in entries)
    return (
        '<div class="wide"><table class="results"><thead><tr><th class="name">setting</th>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def details_of(entry: Entry) -> str:
    """Return everything that is known of one result, folded."""
    state = "failed" if entry.error is not None else f"{digits(entry.get('fps'))} fps"
    summary = f'{entry.place} {escape(entry.label)} <span class="quiet">· {escape(state)}</span>'
    if entry.error is not None:
        body = f'<p class="bad">{escape(entry.error)}</p>' + definitions([("setting", entry.full_label)])
    else:
        faults = "".join(f'<p class="bad">Measuring fault: {escape(fault)}</p>' for fault in entry.faults)
        body = faults + definitions(fact_rows(entry)) + _repetitions(entry) + _stages(entry)
    return f"<details><summary>{summary}</summary>{body}</details>"


def definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and texts as a list of definitions; nothing where there are none."""
    shown = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    return f"<dl>{shown}</dl>" if shown else ""


def list_of(texts: Sequence[str]) -> str:
    """Return texts as a plain list."""
    return '<ul class="plain">' + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _head(column: Column) -> str:
    tip = escape(column.meaning)
    return f'<th scope="col"><button type="button" data-tip="{tip}">{escape(column.title)}</button></th>'


def _result_row(entry: Entry, columns: Sequence[Column]) -> str:
    name = f'<td class="name">{entry.place} {escape(entry.label)}</td>'
    if entry.error is not None:
        return f'<tr>{name}<td class="why" colspan="{len(columns)}">failed: {escape(entry.error)}</td></tr>'
    return f"<tr>{name}{''.join(_cell(column.cell(entry)) for column in columns)}</tr>"


def _cell(cell: Cell) -> str:
    value = "" if cell.value is None else f"{cell.value:.9g}"
    style = ' class="bad"' if cell.bad else ""
    return f'<td data-value="{value}"{style}>{escape(cell.text)}</td>'


def _repetitions(entry: Entry) -> str:
    rows = list(repetition_rows(entry))
    if not rows:
        return "<p>The values of the repetitions are not recorded.</p>"
    most = max(len(values) for _, values, _, _ in rows)
    heads = "".join(f"<th>{place}</th>" for place in range(1, most + 1))
    body = "".join(
        f'<tr><td class="name">{escape(name)}</td>'
        + "".join(f"<td>{escape(value)}</td>" for value in [*values, *[""] * (most - len(values))])
        + f"<td><b>{escape(median)}</b></td><td>{escape(spread)}</td></tr>"
        for name, values, median, spread in rows
    )
    return (
        f'<h3>Repetitions</h3><div class="wide"><table><thead><tr><th class="name">value</th>{heads}<th>median</th>'
        f"<th>spread</th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def _stages(entry: Entry) -> str:
    rows = list(stage_rows(entry))
    if not rows:
        return ""
    heads = "".join(f"<th>{name}</th>" for name in STAGE_HEADS[1:])
    body = "".join(
        f'<tr><td class="name">{escape(row[0])}</td>'
        + "".join(f"<td>{escape(text)}</td>" for text in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<h3>Stages</h3><div class="wide"><table><thead><tr><th class="name">{STAGE_HEADS[0]}</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
