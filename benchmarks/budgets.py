"""What each stage of a run costs, as a share of the bare engine, against the budgets in budgets.toml.

CPU time, not wall time: core-milliseconds a frame of every stage measured alone, of the bare engine, and of the whole
run, interleaved, medians of the rounds. A stage that waits for a core costs nothing, so a busy machine moves the
shares little. Not timed: loading the model, opening the clip, the warm-up round.

    python benchmarks/budgets.py [VIDEO] [--rounds 5]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
import tomllib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rtseg
from rtseg.api import effects_for
from rtseg.pipeline.opencv_threads import give_back_threads, take_one_thread
from rtseg.pipeline.pipeline import Pipeline
from rtseg.preprocess import NetworkBuffers, to_network
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.segmenter import Segmenter
from rtseg.sinks import open_sink
from rtseg.types import Frame

BUDGETS = Path(__file__).with_name("budgets.toml")
KEPT_FRAMES = 16
"""How many decoded frames the stages are measured on."""
BARE_FRAMES = 24


@dataclass(frozen=True)
class Budgets:
    """The file, read."""

    clip: dict[str, Any]
    model: dict[str, Any]
    most: dict[str, float]


def read_budgets(path: Path = BUDGETS) -> Budgets:
    """Return the budgets."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Budgets(table["clip"], table["model"], table["most"])


def write_clip(budgets: Budgets, path: Path) -> Path:
    """Write the scene as H.264; nothing is drawn on it."""
    width, height = budgets.clip["size_wh"]
    scene = f"{budgets.clip['scene']}?size={width}x{height}&seed=0"
    with rtseg.load("street", backend="fake") as unused:
        rtseg.run(scene, model=unused, effect="none", out=path, max_frames=budgets.clip["frames"])
    return path


def load_engine(budgets: Budgets) -> Segmenter:
    """Return the model with its fastest engine."""
    segmenter = rtseg.load(budgets.model["name"], backend="openvino", hint="throughput")
    if segmenter.bundle.int8_path is None or segmenter.info.precision == "int8":
        return segmenter
    segmenter.close()
    return rtseg.load(budgets.model["name"], backend="openvino", hint="throughput", precision="int8")


def shares_of_bare(clip: Path, segmenter: Segmenter, effect: str, rounds: int) -> dict[str, float]:
    """Return the median share of every stage, and of the whole run, in the bare engine's CPU time a frame."""
    frames = first_frames(clip, KEPT_FRAMES)
    found: list[dict[str, float]] = []
    with _one_opencv_thread(), _stages(clip, frames, segmenter, effect) as stages:
        for _ in range(rounds + 1):
            bare_ms = core_ms(lambda: bare(segmenter, frames[0]))
            found.append({name: core_ms(stage) / bare_ms for name, stage in stages.items()})
    return {name: statistics.median(one[name] for one in found[1:]) for name in found[0]}


def first_frames(clip: Path, count: int) -> list[Frame]:
    """Return the first frames of a clip, fewer where it is shorter."""
    with rtseg.open_source(clip) as source:
        return list(itertools.islice(source.frames(), count))


def over_budget(shares: dict[str, float], most: dict[str, float]) -> list[str]:
    """Return a line for every stage that costs more than it may."""
    broken = [name for name in most if shares[name] > most[name]]
    return [f"{name}: {shares[name]:.3f} of the engine, budget {most[name]}" for name in broken]


def core_ms(work: Callable[[], int]) -> float:
    """Return the CPU milliseconds of the process for each of the frames that the work says it did."""
    started = time.process_time()
    count = work()
    return (time.process_time() - started) * 1e3 / count


def bare(segmenter: Segmenter, frame: Frame) -> int:
    """Feed the engine one prepared picture again and again."""
    picture = to_network(frame.picture, segmenter.size_wh).rgb
    pending: deque[Any] = deque()
    for _ in range(BARE_FRAMES):
        if len(pending) == segmenter.info.in_flight:
            pending.popleft().result()
        pending.append(segmenter.backend.submit(picture))
    while pending:
        pending.popleft().result()
    return BARE_FRAMES


@contextmanager
def _stages(
    clip: Path, frames: Sequence[Frame], segmenter: Segmenter, effect: str
) -> Iterator[dict[str, Callable[[], int]]]:
    effects = effects_for(segmenter.bundle, [effect], None)
    buffers = NetworkBuffers(keeps_luma=False)
    result = segmenter.session().submit(frames[0]).result()

    def decode() -> int:
        with rtseg.open_source(clip) as source:
            return sum(1 for _ in source.frames())

    def preprocess() -> int:
        for frame in frames:
            to_network(frame.picture, segmenter.size_wh, buffers)
        return len(frames)

    def whole() -> int:
        run = Pipeline(rtseg.open_source(clip), segmenter, effects=effects, sinks=[open_sink("null")])
        return run.run().frames.written

    with CpuCompositor(effects, classes=segmenter.classes, palette=segmenter.palette) as compositor:

        def render() -> int:
            for frame in frames:
                compositor.composite(frame, result)
            return len(frames)

        yield {"decode": decode, "preprocess": preprocess, "render": render, "pipeline": whole}


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    take_one_thread()
    try:
        yield
    finally:
        give_back_threads()


def main() -> int:
    """Measure, print a line a stage, and return 1 where one is over its budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, help="another clip than the one that the budgets name")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    budgets = read_budgets()
    with tempfile.TemporaryDirectory() as folder, load_engine(budgets) as segmenter:
        clip = chosen.video or write_clip(budgets, Path(folder) / "clip.mp4")
        shares = shares_of_bare(clip, segmenter, budgets.model["effect"], chosen.rounds)
    for name, most in budgets.most.items():
        print(f"{name:12} {shares[name]:6.3f} of the bare engine, budget {most}")
    broken = over_budget(shares, budgets.most)
    print("PASS" if not broken else "OVER BUDGET: " + "; ".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
