"""An engine that is far too slow for its source, for ten minutes: does anything grow?

A source gives 60 pictures a second; the engine is slowed to 10. What must hold (Note [Bound]): the age of a frame at
the moment it is first shown, p99, is at most two frame periods + inference + render, and neither age nor memory nor the
number of threads grows over time.

    python benchmarks/live/soak.py [--seconds 600] [--fps 60] [--engine-fps 10] [--json FILE]

Note [Bound]
    A frame that is taken by the engine has waited for at most one period, as a newer one displaces it. The second
    period is for the two clocks, of source and engine, that nobody synchronises. Inference and render are the p99 of
    the same run, so that a machine that is busy with other things moves both sides.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

import rtseg
from rtseg.api import effects_for
from rtseg.pipeline.memory import release_freed_memory
from rtseg.pipeline.pipeline import Pipeline
from rtseg.segmenter import Segmenter, Ticket
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sources.base import Source, SourceInfo
from rtseg.stats import machine_facts
from rtseg.types import Frame, Segmentation

SIZE_WH = (320, 180)
WARM_UP_SECONDS = 2.0
SAMPLE_SECONDS = 1.0
FLAT_MS_A_MINUTE = 0.5
"""A slope of the age below this is none: a hundredth of the age of a frame over the whole run of ten minutes."""
FLAT_MIB_A_MINUTE = 0.2


class PacedSource(Source):
    """Pictures at a steady rate, as a camera gives them, for a time."""

    def __init__(self, *, fps: int, seconds: float) -> None:
        super().__init__()
        self._fps, self._seconds = fps, seconds
        scene = rtseg.open_source(f"synthetic:desk?size={SIZE_WH[0]}x{SIZE_WH[1]}&frames=60&fps=60")
        with scene:
            self._pictures = [frame.picture for frame in scene.frames()]

    @property
    def info(self) -> SourceInfo:
        """A live source of this rate."""
        return SourceInfo("soak", "camera", True, SIZE_WH, Fraction(1, self._fps), frame_rate=Fraction(self._fps))

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def frames(self) -> Iterator[Frame]:
        """Yield each picture when it is due."""
        started = time.monotonic()
        for index in range(int(self._seconds * self._fps)):
            time.sleep(max(0.0, started + index / self._fps - time.monotonic()))
            picture = self._pictures[index % len(self._pictures)]
            self.counters.decoded += 1
            yield Frame(picture, index, index, Fraction(1, self._fps), time.monotonic_ns(), "soak", 1)


class SlowTicket:
    """A result that is ready no sooner than the engine's pace allows."""

    def __init__(self, ticket: Ticket, due: float, submitted_ns: int) -> None:
        self._ticket, self._due, self._submitted_ns = ticket, due, submitted_ns
        self._done_ns = submitted_ns
        self.preprocess_ns = ticket.preprocess_ns
        self.postprocess_ns = 0

    @property
    def infer_ns(self) -> int:
        """How long the engine took, its pause among it."""
        return self._done_ns - self._submitted_ns

    def result(self) -> Segmentation:
        """Wait and return the real result."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        result = self._ticket.result()
        self._done_ns = time.monotonic_ns()
        return result


class SlowSegmenter:
    """A real segmenter that takes at least a given time for each frame."""

    def __init__(self, segmenter: Segmenter, seconds: float) -> None:
        self._segmenter, self._seconds = segmenter, seconds

    def __getattr__(self, name: str) -> Any:
        """Be the real one in everything else."""
        return getattr(self._segmenter, name)

    def session(self) -> SlowSegmenter._Session:
        """Return a session with slow tickets."""
        return self._Session(self._segmenter, self._seconds)

    class _Session:
        def __init__(self, segmenter: Segmenter, seconds: float) -> None:
            self._session, self._seconds = segmenter.session(), seconds

        def submit(self, frame: Frame) -> SlowTicket:
            """Start on a frame."""
            started = time.monotonic()
            return SlowTicket(self._session.submit(frame), started + self._seconds, time.monotonic_ns())


class AgeSink(Sink):
    """Notes how old each frame is when it is first shown, and what the process has grown to meanwhile."""

    name = "age"

    def __init__(self) -> None:
        self.at_seconds: list[float] = []
        self.ages_ms: list[float] = []
        self.memory: list[tuple[float, float, int]] = []
        self._started = time.monotonic()
        self._sampled = 0.0
        self._process = psutil.Process()

    def open(self, stream: StreamFormat) -> None:
        """Begin to count."""
        self._started = time.monotonic()

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Note the age of a frame, and once a second memory and threads."""
        now = time.monotonic() - self._started
        self.ages_ms.append((time.monotonic_ns() - frame.captured_ns) / 1e6)
        self.at_seconds.append(now)
        if now - self._sampled >= SAMPLE_SECONDS:
            self._sampled = now
            self.memory.append((now, self._process.memory_info().rss / 2**20, threading.active_count()))

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A line through measurements over time."""

    a_minute: float
    error: float
    """Standard error of the slope, a minute."""

    @classmethod
    def of(cls, seconds: list[float], values: list[float]) -> Slope:
        """Fit a line by least squares, to means over a fiftieth of the run each, which hardly depend on each other."""
        count = max(3, min(50, len(values) // 4))
        x = np.array([part.mean() for part in np.array_split(np.asarray(seconds), count)]) / 60
        y = np.array([part.mean() for part in np.array_split(np.asarray(values), count)])
        spread = float(((x - x.mean()) ** 2).sum())
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
        rest: NDArray[np.float64] = y - y.mean() - slope * (x - x.mean())
        return cls(slope, math.sqrt(float((rest**2).sum()) / max(1, count - 2) / spread))


def soak(*, seconds: float, fps: int = 60, engine_fps: float = 10, backend: str = "auto") -> dict[str, Any]:
    """Run the overload and return what was measured and what of it holds."""
    sink = AgeSink()
    release_freed_memory()
    with rtseg.load("person", backend=backend) as segmenter:
        slow: Any = SlowSegmenter(segmenter, 1 / engine_fps)
        effects = effects_for(segmenter.bundle, ["blur"], None)
        stats = Pipeline(PacedSource(fps=fps, seconds=seconds), slow, effects=effects, sinks=[sink]).run().to_json()
    return judged(sink, stats, fps=fps) | {"seconds": seconds, "fps": fps, "engine_fps": engine_fps}


def judged(sink: AgeSink, stats: dict[str, Any], *, fps: int) -> dict[str, Any]:
    """Return the measurements after the warm-up beside their bounds."""
    first = next(index for index, at in enumerate(sink.at_seconds) if at > WARM_UP_SECONDS)
    ages, at = sink.ages_ms[first:], sink.at_seconds[first:]
    stages = stats["stages"]
    inference = sum(stages[name]["p99"] for name in ("preprocess", "infer", "postprocess"))
    bound = 2 * 1000 / fps + inference + stages["render"]["p99"]
    memory = [(when, mib, threads) for when, mib, threads in sink.memory if when > max(sink.at_seconds) / 5]
    age_slope = Slope.of(at, ages)
    memory_slope = Slope.of([when for when, *_ in memory], [mib for _, mib, _ in memory])
    p99 = float(np.percentile(ages, 99))
    return {
        "age_ms": {f"p{p}": round(float(np.percentile(ages, p)), 2) for p in (50, 95, 99)}
        | {"max": round(max(ages), 2)},
        "bound_ms": round(bound, 2),
        "age_slope_ms_a_minute": [round(age_slope.a_minute, 4), round(age_slope.error, 4)],
        "memory_mib": [round(memory[0][1], 1), round(memory[-1][1], 1)],
        "memory_slope_mib_a_minute": [round(memory_slope.a_minute, 4), round(memory_slope.error, 4)],
        "threads": [min(row[2] for row in memory), max(row[2] for row in memory)],
        "frames": stats["frames"],
        "stages_p99_ms": {name: stage["p99"] for name, stage in stages.items()},
        "holds": {
            "age within bound": p99 <= bound,
            "age flat": age_slope.a_minute < max(FLAT_MS_A_MINUTE, 3 * age_slope.error),
            "memory flat": memory_slope.a_minute < max(FLAT_MIB_A_MINUTE, 3 * memory_slope.error),
            "threads flat": memory[0][2] == memory[-1][2],
        },
    }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--fps", type=int, default=60)
    parser.add_argument("--engine-fps", type=float, default=10)
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    result = soak(seconds=words.seconds, fps=words.fps, engine_fps=words.engine_fps) | {"machine": machine_facts()}
    text = json.dumps(result, indent=1)
    print(text)
    if words.json:
        words.json.write_text(text + "\n", encoding="utf-8")
    return 0 if all(result["holds"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
