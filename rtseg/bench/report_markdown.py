"""The report as Markdown, for pasting into an issue: table, statements, faults, machine, and what is timed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rtseg.bench.compare import RULE
from rtseg.bench.report_tables import columns_for, statements, troubles
from rtseg.bench.report_values import (
    UNKNOWN,
    Entry,
    common_parts,
    entries_of,
    machine_facts_lines,
    machine_line,
    sentences,
)


def markdown_of(document: Mapping[str, Any]) -> str:
    """Return the whole report; no text of the document can leave its place in it."""
    entries = entries_of(document)
    sections = [
        ["## rtseg bench", *_heading(document, entries)],
        _table(entries),
        _bullets([f"**{kind}**: {plain(text)}" for kind, text in troubles(document, entries)]),
        _bullets([plain(text) for text in _said(entries)]),
        _details("Repetitions", _repetitions(entries)),
        _details("Reasons", _bullets([plain(text) for text in _reasons(entries)])),
        _details("What is timed", _bullets([plain(text) for text in _timed(document)])),
        _details("Machine and versions", _bullets([plain(f"{k}: {v}") for k, v in machine_facts_lines(document)])),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def plain(text: str) -> str:
    """Return a text that Markdown and HTML show as it is, in one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _heading(document: Mapping[str, Any], entries: Sequence[Entry]) -> Iterator[str]:
    yield ""
    yield plain(f"{machine_line(document)}; {document.get('date') or 'date unknown'}")
    shared = common_parts(entries)
    if shared:
        yield ""
        yield plain(f"The same for all: {', '.join(shared)}.")
    command = str(document.get("command") or "")
    if command:
        yield ""
        yield f"    {' '.join(command.split())}"


def _table(entries: Sequence[Entry]) -> list[str]:
    if not entries:
        return ["No results."]
    columns = columns_for(entries)
    lines = [
        "| # | setting | " + " | ".join(column.title for column in columns) + " |",
        "|--:|:--|" + "--:|" * len(columns),
    ]
    for entry in entries:
        failed = entry.error is not None
        cells = [UNKNOWN if failed else column.cell(entry).text for column in columns]
        marks = " **failed**" if failed else " **fault**" if entry.faults else ""
        lines.append(f"| {entry.place} | {plain(entry.label)}{marks} | " + " | ".join(map(plain, cells)) + " |")
    return lines


def _said(entries: Sequence[Entry]) -> list[str]:
    """Return what may be said, and behind it by which rule."""
    said = statements(entries)
    return [*said, RULE] if said else []


def _repetitions(entries: Sequence[Entry]) -> list[str]:
    lines = [
        plain(f"{entry.label}: " + ", ".join(f"{value:.4g}" for value in entry.values("fps"))) + " fps"
        for entry in entries
        if entry.values("fps")
    ]
    return _bullets(lines)


def _reasons(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        reasons = sentences(entry.result.get("reasons"))
        if reasons:
            yield f"{entry.label}: {' '.join(reasons)}"


def _timed(document: Mapping[str, Any]) -> Iterator[str]:
    yield from sentences(document.get("timed"))
    yield from (f"Not timed: {text}" for text in sentences(document.get("not_timed")))


def _bullets(texts: Sequence[str]) -> list[str]:
    return [f"- {text}" for text in texts]


def _details(title: str, lines: Sequence[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>"] if lines else []
