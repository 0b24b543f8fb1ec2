"""An empty room must stay empty: how much of it a matte model takes for a person.

The stretches with nobody in them are a list made by looking (engines/splits/room_mostly_empty.toml). Over their frames,
the false area is the share of pixels with alpha > 0.5, of single calls and of the stream with smoothing, which runs
through the whole clip, so that whoever has just left must be gone from it too.

    python benchmarks/empty_room.py [--model person] [--media ../shared/media] [--list FILE.toml] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rtseg
from rtseg.evaluate.protocol import model_facts

LIST = Path(__file__).parents[1] / "engines/splits/room_mostly_empty.toml"
MOST_PERCENT = 0.5
NAMED = 5


@dataclass(frozen=True)
class Stretch:
    """A part of a clip, both ends included."""

    start_seconds: float
    end_seconds: float

    def __contains__(self, pts_seconds: float) -> bool:
        """Say whether a frame at that time belongs to it."""
        return self.start_seconds <= pts_seconds <= self.end_seconds


def read_list(path: Path) -> tuple[str, list[Stretch]]:
    """Return the clip, relative to the media folder, and its empty stretches."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return table["clip"], [Stretch(one["start_seconds"], one["end_seconds"]) for one in table["empty"]]


def false_areas(
    segmenter: rtseg.Segmenter, clip: Path, stretches: Sequence[Stretch]
) -> dict[str, list[tuple[float, float]]]:
    """Return (seconds, false percent) of every empty frame: of single calls, and of the smoothed stream."""
    found: dict[str, list[tuple[float, float]]] = {"single calls": [], "smoothed stream": []}
    session = segmenter.session()
    with rtseg.open_source(clip) as source:
        for frame in source.frames():
            streamed = session.submit(frame).result()
            if any(frame.pts_seconds in stretch for stretch in stretches):
                alone = segmenter(frame.rgb)
                for name, result in zip(found, (alone, streamed), strict=True):
                    found[name].append((frame.pts_seconds, 100 * float(np.mean(result.labels > 0))))
    return found


def summary(areas: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return mean and maximum over frames, in percent, and the worst frames."""
    percents = [percent for _, percent in areas]
    worst = sorted(areas, key=lambda area: -area[1])[:NAMED]
    return {
        "frames": len(areas),
        "mean_percent": float(np.mean(percents)),
        "max_percent": max(percents),
        "frames_above": sum(percent >= MOST_PERCENT for percent in percents),
        "worst": [{"seconds": seconds, "percent": percent} for seconds, percent in worst if percent > 0],
    }


def main() -> int:
    """Measure, print, and exit 1 where the mean is not under the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", "-m", default="person", help="bundle name or folder of a matte model")
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--list", type=Path, default=LIST)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clip, stretches = read_list(arguments.list)
    with rtseg.load(arguments.model) as segmenter:
        areas = false_areas(segmenter, arguments.media / clip, stretches)
        result = {"model": model_facts(segmenter), **{name: summary(one) for name, one in areas.items()}}
    for name in areas:
        one = result[name]
        worst = ", ".join(f"{area['seconds']:.1f} s {area['percent']:.2f}" for area in one["worst"])
        print(
            f"{name:<16} false area: mean {one['mean_percent']:.4f} %, max {one['max_percent']:.3f} % over "
            f"{one['frames']} frames; {one['frames_above']} frames with {MOST_PERCENT} % or more; worst: {worst or '-'}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return int(any(result[name]["mean_percent"] >= MOST_PERCENT for name in areas))


if __name__ == "__main__":
    sys.exit(main())
