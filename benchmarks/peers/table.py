"""Write the README's table and plot of the peers from the newest committed result.

python benchmarks/peers/table.py            rewrites README.md between its two markers, and docs/peers.png
python benchmarks/peers/table.py --check    exit 1 where README.md is not what the results say
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from rtseg.bench.plots_drawing import SMALL_PX, Box, Figure, Stroke, Words
from rtseg.bench.plots_raster import pixels_of

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PICTURE = ROOT / "docs" / "peers.png"
BEGIN, END = "<!-- peers table: begin -->", "<!-- peers table: end -->"
NOTHING = "Not measured yet: `python benchmarks/peers/compare.py --json benchmarks/results/peers-NAME.json`."
WIDTH, NAMES_PX, BAR_PX, ROW_PX = 760.0, 190.0, 440.0, 24.0


def newest(folder: Path) -> tuple[str, dict[str, Any]] | None:
    """The name and content of the latest peers-*.json of a folder; None where there is none."""
    found = [(path.name, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("peers-*.json"))]
    return max(found, key=lambda pair: str(pair[1]["date"])) if found else None


def table(named: tuple[str, dict[str, Any]] | None) -> str:
    """The Markdown between the markers: how it was measured, a row for each peer at each job, and who is absent."""
    if named is None:
        return NOTHING
    name, document = named
    machine = document["machine"]
    head = (
        f"{machine['cores']} cores of an {machine['cpu']}, {document['date']}, medians of {document['repeats']} "
        f"repetitions in turns, each peer in its own environment as its documentation recommends "
        f"([results](benchmarks/results/{name}), [scripts](benchmarks/peers/compare.py)). Times as fast: the median "
        "of the ratios within each repetition, with the smallest and largest."
    )
    rows = [_row(document, entry) for entry in ordered(document)]
    columns = ["| job | | fps | core-ms a frame | rtseg is so many times as fast |", "|---|---|---|---|---|"]
    absent = [f"{row['name']} ({row['reason']})" for row in document["absent"]]
    parts = [head, "![Frames a second of rtseg and its peers](docs/peers.png)", "\n".join([*columns, *rows])]
    return "\n\n".join([*parts, f"Not measured: {'; '.join(absent)}."] if absent else parts)


def ordered(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The results job by job, the fastest first, those that failed last."""
    for job in document["jobs"]:
        entries = [entry for entry in document["results"] if entry["job"] == job]
        yield from sorted(entries, key=lambda entry: -(entry["fps"] or 0.0))


def _row(document: dict[str, Any], entry: dict[str, Any]) -> str:
    job = document["jobs"][entry["job"]]
    if entry["fps"] is None:
        return f"| {job} | {entry['peer']} | – | – | {entry['error']} |"
    if entry["peer"] == "rtseg":
        return f"| {job} | **rtseg** | **{entry['fps']:.1f}** | **{entry['core_ms']:.1f}** | |"
    least, most = min(entry["ratios"]), max(entry["ratios"])
    times = f"{entry['rtseg_times_as_fast']:.2f} ({least:.2f} to {most:.2f})"
    return f"| {job} | {entry['peer']} | {entry['fps']:.1f} | {entry['core_ms']:.1f} | {times} |"


def picture(document: dict[str, Any]) -> Figure:
    """Bars of frames a second, one group a job."""
    entries = [entry for entry in ordered(document) if entry["fps"] is not None]
    groups = [(words, [e for e in entries if e["job"] == job]) for job, words in document["jobs"].items()]
    height = 16 + sum(34 + ROW_PX * len(rows) for _, rows in groups)
    figure = Figure(WIDTH, height, "Frames a second of rtseg and its peers, by job")
    top = 16.0
    for words, rows in groups:
        figure.add(Words(12, top + 12, words, bold=True))
        most = max((row["fps"] for row in rows), default=1.0)
        for index, row in enumerate(rows):
            _put_bar(figure, row, top + 22 + ROW_PX * index, most)
        top += 34 + ROW_PX * len(rows)
    return figure


def _put_bar(figure: Figure, entry: dict[str, Any], top: float, most: float) -> None:
    ours = entry["peer"] == "rtseg"
    length, middle = BAR_PX * entry["fps"] / most, top + ROW_PX / 2
    least, largest = (BAR_PX * pick(run["fps"] for run in entry["runs"]) / most for pick in (min, max))
    figure.add(
        Words(NAMES_PX - 8, middle + 4, entry["peer"], size=SMALL_PX, anchor="end", bold=ours),
        Box(NAMES_PX, top + 3, length, ROW_PX - 6, "accent" if ours else "rest"),
        Stroke(((NAMES_PX + least, middle), (NAMES_PX + largest, middle)), "ink", width=1.5),
        Words(NAMES_PX + largest + 10, middle + 4, f"{entry['fps']:.1f} fps", size=SMALL_PX, bold=ours),
    )


def replaced(text: str, content: str) -> str:
    """The README with new content between its markers. Raises SystemExit where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"README.md: got no markers; expected {BEGIN} and {END}. Put them where the table goes.")
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Rewrite or check the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    chosen = parser.parse_args(arguments)
    text, named = chosen.readme.read_text(encoding="utf-8"), newest(chosen.results)
    wanted = replaced(text, table(named))
    if chosen.check:
        return int(text != wanted)
    chosen.readme.write_text(wanted, encoding="utf-8")
    if named is not None:
        cv2.imwrite(str(chosen.picture), cv2.cvtColor(pixels_of(picture(named[1])), cv2.COLOR_RGB2BGR))
    return 0


if __name__ == "__main__":
    sys.exit(main())
