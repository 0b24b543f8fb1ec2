"""The report as one self-contained page: nothing is loaded from anywhere, and every text is escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from rtseg.bench.compare import RULE
from rtseg.bench.html_style import SCRIPT, style_sheet
from rtseg.bench.html_tables import definitions, details_of, list_of, results_table
from rtseg.bench.plots_drawing import Figure
from rtseg.bench.plots_latency import distribution_figure, glass_figure, waterfall_figure
from rtseg.bench.plots_scores import capacity_figure, scatter_figures, without_score
from rtseg.bench.plots_svg import svg_of
from rtseg.bench.plots_throughput import cost_figure, throughput_figure
from rtseg.bench.report_tables import statements, troubles
from rtseg.bench.report_values import (
    Entry,
    common_parts,
    digits,
    entries_of,
    machine_facts_lines,
    machine_line,
    milliseconds,
    percent,
    sentences,
    whole,
)

DESK_PX: Final = 1000.0
PHONE_PX: Final = 380.0
HALF_PX: Final = 470.0
Draw = Callable[[float], "Figure | None"]


def page_of(document: Mapping[str, Any]) -> str:
    """Return the whole page."""
    entries = entries_of(document)
    body = "".join(_sections(document, entries))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # Belt and braces: were a text ever to get through, it could load and send nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'\">"
        f"<title>rtseg bench, {escape(str(document.get('date') or 'date unknown'))}</title>"
        f"<style>{style_sheet()}</style></head>\n<body><main>{body}</main><script>{SCRIPT}</script></body></html>\n"
    )


def _sections(document: Mapping[str, Any], entries: Sequence[Entry]) -> Iterator[str]:
    ran = [entry for entry in entries if entry.error is None]
    yield _header(document, entries)
    yield _troubles(document, entries)
    yield _tiles(ran)
    yield _results(entries)
    yield _figure_section(
        "Frames a second, under the limit of the machine",
        "The bar is fps from end to end, a dot is one repetition. The pale bar is what a perfect pipeline with a free "
        "compositor would reach here; the line is the engine alone, measured in the same run.",
        [lambda width: throughput_figure(entries, width)],
    )
    yield _figure_section(
        "Processor time of a frame",
        "Core-milliseconds of the whole process, taken apart by what decoding, bare inference and encoding need when "
        "measured alone; everything else is compositing, preprocessing and moving frames.",
        [lambda width: cost_figure(ran, width)],
    )
    yield _waterfalls(ran)
    yield _figure_section(
        "Latency",
        "From the decoder to the composited frame, waiting included; one logarithmic axis for all. Black: "
        "p50, dashed: p95, red: p99.",
        [lambda width: distribution_figure(ran, width)],
    )
    yield _figure_section(
        "From glass to glass",
        "Read off a time code in the picture: from when the source handed a frame out until it came out at the sink. "
        "The bar reaches from p50 to p99, the thin line to the maximum.",
        [lambda width: glass_figure(ran, width)],
    )
    yield _scores(ran)
    yield _figure_section(
        "Cameras that ran in time",
        "Each bar is one try with that many paced cameras; found by search, not by division.",
        [lambda width, entry=entry: capacity_figure(entry, width) for entry in ran],  # type: ignore[misc]
    )
    yield _each(entries)
    yield _protocol(document)


def _header(document: Mapping[str, Any], entries: Sequence[Entry]) -> str:
    shared = common_parts(entries)
    lines = [f"{machine_line(document)} · {document.get('date') or 'date unknown'}"]
    lines += [f"The same for all: {', '.join(shared)}"] if shared else []
    command = str(document.get("command") or "")
    shown = f'<code class="command">{escape(command)}</code>' if command else ""
    return "<h1>rtseg bench</h1>" + "".join(f'<p class="lead">{escape(line)}</p>' for line in lines) + shown


def _troubles(document: Mapping[str, Any], entries: Sequence[Entry]) -> str:
    items = [f"<strong>{kind}</strong>: {escape(text)}" for kind, text in troubles(document, entries)]
    return f'<section class="trouble"><h2>Read this first</h2>{_items(items)}</section>' if items else ""


def _tiles(ran: Sequence[Entry]) -> str:
    """Return the best of the numbers that people look for first, each with the setting that has it."""
    sound = [entry for entry in ran if not entry.faults]
    wanted: tuple[tuple[str, tuple[str, ...], Callable[[float | None], str], bool], ...] = (
        ("most fps", ("fps",), digits, True),
        ("closest to the machine's limit", ("limit_share",), percent, True),
        ("lowest p99 latency", ("latency_ms", "p99"), milliseconds, False),
        ("fewest core-ms a frame", ("core_ms",), digits, False),
        ("lowest p50 from glass to glass", ("glass_ms", "p50"), milliseconds, False),
        ("most cameras in time", ("capacity", "cameras"), whole, True),
    )
    tiles = []
    for title, path, words, most in wanted:
        known = [(value, entry) for entry in sound if (value := entry.get(*path)) is not None]
        if known:
            value, entry = (max if most else min)(known, key=lambda pair: pair[0])
            by = f"<br>{escape(entry.label)}" if len(ran) > 1 else ""
            tiles.append(f'<div class="tile"><b>{escape(words(value))}</b><span>{title}{by}</span></div>')
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _results(entries: Sequence[Entry]) -> str:
    if not entries:
        return "<section><h2>Results</h2><p>No setting was measured.</p></section>"
    said = statements(entries)
    shown = (
        f'<div class="said"><h3>What may be said</h3>{_items([escape(text) for text in said])}'
        '<p class="note">Each against the one before that is most like it, measured in turns in one run. '
        f"{escape(RULE.capitalize())}.</p></div>"
        if said
        else ""
    )
    note = "The median of the repetitions. Click a heading to sort; an en dash is a number that was not measured."
    return f'<section><h2>Results</h2><p class="note">{note}</p>{results_table(entries)}{shown}</section>'


def _figure_section(title: str, note: str, draws: Sequence[Draw]) -> str:
    """Return figures under a heading, each in a wide and in a narrow drawing; nothing where there is none."""
    figures = "".join(_responsive(draw) for draw in draws)
    if not figures:
        return ""
    return f'<section><h2>{escape(title)}</h2><p class="note">{escape(note)}</p>{figures}</section>'


def _responsive(draw: Draw) -> str:
    desk, phone = draw(DESK_PX), draw(PHONE_PX)
    if desk is None or phone is None:
        return ""
    return svg_of(desk, css_class="desk") + svg_of(phone, css_class="phone")


def _waterfalls(ran: Sequence[Entry]) -> str:
    width = HALF_PX if len(ran) > 1 else DESK_PX
    figures = [figure for entry in ran if (figure := waterfall_figure(entry, width)) is not None]
    if not figures:
        return ""
    shown = "".join(f"<div>{svg_of(figure)}</div>" for figure in figures)
    note = (
        "The mean time of a frame in each stage, one after the other; the thin line reaches to p99. Waiting is what "
        "the frame's age has beside its stages: time in the channels between them. Inference counts from submission "
        "to result, and frames in flight overlap in it."
    )
    layout = "pair" if len(figures) > 1 else "single"
    return (
        f'<section class="long"><h2>Where each millisecond of a frame goes</h2><p class="note">{note}</p>'
        f'<div class="{layout}">{shown}</div></section>'
    )


def _scores(ran: Sequence[Entry]) -> str:
    counts = len(scatter_figures(ran, DESK_PX))
    aside = without_score(ran)
    if not counts:
        return ""
    draws: list[Draw] = [lambda width, place=place: scatter_figures(ran, width)[place] for place in range(counts)]  # type: ignore[misc]
    note = "What the model's card states against what was measured here; the dashed line joins what nothing beats."
    if aside:
        note += f" Without a score, so not in the chart: {', '.join(aside)}."
    return _figure_section("Rate against accuracy", note, draws)


def _each(entries: Sequence[Entry]) -> str:
    shown = "".join(details_of(entry) for entry in entries)
    return f'<section class="long"><h2>Every setting</h2>{shown}</section>' if shown else ""


def _protocol(document: Mapping[str, Any]) -> str:
    machine = definitions(machine_facts_lines(document))
    timed, left_out = sentences(document.get("timed")), sentences(document.get("not_timed"))
    parts = [
        f"<h3>What is timed</h3>{list_of(timed)}" if timed else "<p>What was timed is not recorded.</p>",
        f"<h3>What is not timed</h3>{list_of(left_out)}" if left_out else "",
        f"<h3>Machine and versions</h3>{machine}" if machine else "<p>The machine is not recorded.</p>",
    ]
    return f'<section class="long"><h2>How it was measured, and on what</h2>{"".join(parts)}</section>'


def _items(items: Sequence[str]) -> str:
    """Return a list of items that are HTML already."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
