"""Write the README's GPU table from the newest committed result; without one the table says so and stays empty.

python benchmarks/gpu/table.py            rewrites README.md between its two markers
python benchmarks/gpu/table.py --check    exit 1 where README.md is not what the results say
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- gpu table: begin -->", "<!-- gpu table: end -->"
NOTHING = (
    "No GPU was at hand yet, so this table is empty. Fill it: `python benchmarks/gpu/check.py --out results.json`."
)


def newest(folder: Path) -> dict[str, Any] | None:
    """The latest result of a GPU in a folder of JSON files named gpu-*.json; None where there is none."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("gpu-*.json"))]
    measured = [document for document in documents if document.get("gpu") and not document.get("dry")]
    return max(measured, key=lambda document: str(document["date"])) if measured else None


def table(document: dict[str, Any] | None) -> str:
    """The Markdown between the markers: where it was measured, throughput by case, and the targets."""
    if document is None:
        return NOTHING
    gpu, versions = document["gpu"], document["machine"]["versions"]
    used = ", ".join(
        f"{name} {versions[name]}" for name in ("torch", "tensorrt", "tensorrt-rtx-cu13") if name in versions
    )
    head = f"{gpu['gpu']}, driver {gpu['driver']}, {used}; {document['date']}."
    parts = [head, *_refusals(document), _cases(document), _targets(document)]
    return "\n\n".join(part for part in parts if part)


def _refusals(document: dict[str, Any]) -> list[str]:
    result = _result(document, "engines")
    return [f"Could not be used: {refusal}" for refusal in dict.fromkeys(result.get("refused", []))]


def _result(document: dict[str, Any], part: str) -> dict[str, Any]:
    found = document["parts"].get(part) or {}
    return found.get("result") or {}


def _cases(document: dict[str, Any]) -> str:
    rows = []
    for name, case in _result(document, "efficiency").items():
        if "fps" in case:
            stages = " / ".join(f"{milliseconds:.3f}" for milliseconds in case["stages_ms"].values())
            rows.append(
                f"| {name} | {case['backend']} | {case['fps']:.0f} | {case['resident']:.0f} | {case['efficiency']:.2f} "
                f"| {case['cpu_cores']:.2f} | {stages} |"
            )
    if not rows:
        return ""
    head = "| model, effect, frames | engine | composited fps | bare fps | efficiency | cores | in / compute / out ms |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def _targets(document: dict[str, Any]) -> str:
    rows = []
    for line in document["targets"]:
        value = f"{line['value']:.3g}" if "value" in line else "–"
        rows.append(f"| {line['target']} | {line['wanted']} | {value} | {line['verdict']} |")
    return "\n".join(["| target | wanted | measured | verdict |", "|---|---|---|---|", *rows]) if rows else ""


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
    chosen = parser.parse_args(arguments)
    text = chosen.readme.read_text(encoding="utf-8")
    wanted = replaced(text, table(newest(chosen.results)))
    if chosen.check:
        return int(text != wanted)
    chosen.readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
