"""How calm smoothing makes a model's matte, and what that costs where something moves. Both in one run.

Calm: label flips a pixel a second where the picture does not change, on every clip that is named, smoothing off and
on, over the same pixels of the same frames. Three readings of "does not change", from strict to loose:

    nearby      the luma, averaged over 5x5, stays within 3 levels of the frame before in all of the 9x9 px around
    in place    it stays within 4 levels at the pixel itself, though something may move right beside it
    carried     the same, in place or along the optical flow (what `rtseg eval --taxonomy none` gives)

A border that really moves by a part of a pixel is counted too, with smoothing and without, the more so the looser.

Moving: on `synthetic:desk` with its truth, and on consecutive labelled pictures if --sequence names them, the IoU with
smoothing off and on, and the lag: where the cross-correlation of the mask's centre with the true one peaks, in frames.

    python benchmarks/flicker.py [--model person] [--clips GLOB] [--sequence FOLDER] [--seeds 0,1,2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import rtseg
from rtseg.datasets import load_taxonomy, open_dataset
from rtseg.evaluate.protocol import model_facts
from rtseg.geometry import resize_labels, resize_linear
from rtseg.metrics import STILL_LEVELS, TemporalStability
from rtseg.preprocess import luma_of
from rtseg.segmenter import Segmenter, Session
from rtseg.sources.synthetic import SyntheticSource
from rtseg.stats import machine_facts
from rtseg.types import Frame

NEARBY_LEVELS = 3.0
NEARBY_PX = 9
MOST_PX = 640
MOST_LAG = 6
READINGS = ("nearby", "in_place", "carried")
CLIPS = "../shared/media/person/office_sign_*"


def unchanged(luma_before: NDArray[np.uint8], luma: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    """Return where the picture does not change, by the two readings that need no flow, bool [H, W] each."""
    before, after = (cv2.blur(picture.astype(np.float32), (5, 5)) for picture in (luma_before, luma))
    change = np.abs(after - before)
    around = cv2.dilate(change, np.ones((NEARBY_PX, NEARBY_PX), np.uint8))
    return {"nearby": around <= NEARBY_LEVELS, "in_place": change <= STILL_LEVELS}


class Flips:
    """Label flips per pixel per second of one stream of masks, by each reading."""

    def __init__(self) -> None:
        self.flips = dict.fromkeys(READINGS[:2], 0)
        self.pixel_seconds = dict.fromkeys(READINGS[:2], 0.0)
        self.carried = TemporalStability()
        self.before: tuple[NDArray[np.uint8], NDArray[np.uint8], float] | None = None

    def add(self, luma: NDArray[np.uint8], labels: NDArray[np.uint8], pts_seconds: float) -> None:
        """Count one frame: luma and labels uint8 [H, W]."""
        self.carried.add(luma, labels, pts_seconds)
        before, self.before = self.before, (luma, labels, pts_seconds)
        if before is None or pts_seconds <= before[2]:
            return
        flipped = labels != before[1]
        for reading, where in unchanged(before[0], luma).items():
            self.flips[reading] += int((flipped & where).sum())
            self.pixel_seconds[reading] += float(where.sum()) * (pts_seconds - before[2])

    def rates(self) -> dict[str, float]:
        """Return flips per pixel per second by each reading."""
        rates = {name: self.flips[name] / max(self.pixel_seconds[name], 1e-9) for name in self.flips}
        return {**rates, "carried": self.carried.flips_per_pixel_second()}


def sessions(segmenter: Segmenter) -> tuple[Session, Session]:
    """Return two streams of the same engine, smoothing off and on."""
    off, on = (Segmenter(segmenter.bundle, segmenter.backend, smoothing=smoothing) for smoothing in (False, True))
    return off.session(), on.session()


def calm(segmenter: Segmenter, frames: Iterable[Frame]) -> dict[str, Any]:
    """Return flips off and on, and how many times fewer, by each reading."""
    streams, flips = sessions(segmenter), (Flips(), Flips())
    for frame in frames:
        shrink = max(1.0, max(frame.size_wh) / MOST_PX)
        size_wh = (round(frame.size_wh[0] / shrink), round(frame.size_wh[1] / shrink))
        luma = resize_linear(luma_of(frame.picture), size_wh)
        for stream, count in zip(streams, flips, strict=True):
            count.add(luma, resize_labels(stream.submit(frame).result().labels, size_wh), frame.pts_seconds)
    off, on = (count.rates() for count in flips)
    return {
        name: {"off": off[name], "on": on[name], "times_fewer": off[name] / on[name] if on[name] else None}
        for name in READINGS
    }


def moving(segmenter: Segmenter, pairs: Iterable[tuple[Frame, NDArray[np.bool_]]]) -> dict[str, Any]:
    """Return IoU (mean over frames) and lag, smoothing off and on, of frames with their truth, bool [H, W]."""
    streams = sessions(segmenter)
    ious: tuple[list[float], list[float]] = ([], [])
    paths: tuple[list[float], list[float]] = ([], [])
    true_path = []
    for frame, truth in pairs:
        true_path.append(center_x(truth))
        for stream, iou, path in zip(streams, ious, paths, strict=True):
            mask = stream.submit(frame).result().labels > 0
            iou.append(float((mask & truth).sum()) / max(1, int((mask | truth).sum())))
            path.append(center_x(mask))
    off, on = (100 * float(np.mean(iou)) for iou in ious)
    lags = {name: lag_frames(path, true_path) for name, path in zip(("off", "on"), paths, strict=True)}
    beyond = lag_frames(paths[1], paths[0])
    return {
        "frames": len(true_path),
        "iou": {"off": off, "on": on, "loss_points": off - on},
        "lag_frames": {**lags, "on_behind_off": beyond},
    }


def center_x(mask: NDArray[np.bool_]) -> float:
    """Return the mean column of a mask; the middle where it is empty."""
    columns = mask.sum(axis=0)
    return float((columns * np.arange(columns.size)).sum() / columns.sum()) if columns.any() else columns.size / 2


def lag_frames(shown: list[float], true: list[float]) -> float:
    """Return by how many frames a path trails another; NaN where they are too short or do not move."""
    first, second = np.array(shown), np.array(true)
    inner = np.arange(MOST_LAG, len(first) - MOST_LAG)
    if inner.size < MOST_LAG or np.ptp(second) < 0.5:
        return math.nan
    scores = np.array([np.corrcoef(first[inner], second[inner - lag])[0, 1] for lag in range(-MOST_LAG, MOST_LAG + 1)])
    best = int(scores.argmax())
    if best in (0, scores.size - 1):
        return float(best - MOST_LAG)
    left, middle, right = scores[best - 1 : best + 2]
    return float(best - MOST_LAG + 0.5 * (left - right) / (left - 2 * middle + right))


def desk(seed: int, count: int) -> Iterator[tuple[Frame, NDArray[np.bool_]]]:
    """Yield frames of the built-in desk with their truth."""
    with SyntheticSource("desk", seed=seed, frame_count=count) as source:
        for frame in source.frames():
            truth = source.truth_alpha(frame.frame_index)
            assert truth is not None  # the desk has a matte
            yield frame, truth > 127


def labelled(folder: Path, fps: int) -> Iterator[tuple[Frame, NDArray[np.bool_]]]:
    """Yield consecutive labelled pictures as the frames of a clip, with their truth."""
    for index, sample in enumerate(open_dataset(folder, load_taxonomy("person"))):
        yield Frame(sample.rgb, index, index, Fraction(1, fps), 0), sample.labels == 1


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return everything that was measured."""
    result: dict[str, Any] = {"calm": {}, "moving": {}}
    pattern = Path(arguments.clips)
    with rtseg.load(arguments.model) as segmenter:
        result |= {"model": model_facts(segmenter), "machine": machine_facts()}
        for path in sorted(pattern.parent.glob(pattern.name)):
            with rtseg.open_source(path) as source:
                result["calm"][path.stem] = calm(segmenter, islice(source.frames(), arguments.frames))
        for seed in arguments.seeds.split(","):
            result["moving"][f"desk {seed}"] = moving(segmenter, desk(int(seed), min(arguments.frames, 150)))
        if arguments.sequence:
            pairs = labelled(arguments.sequence, fps=24)
            result["moving"][arguments.sequence.name] = moving(segmenter, pairs)
    return result


def text(result: dict[str, Any]) -> str:
    """Return what was measured, a line a clip."""
    lines = ["label flips a pixel a second where the picture does not change: off -> on (times fewer)"]
    for name, readings in result["calm"].items():
        parts = [
            f"{reading} {rate['off']:.4f} -> {rate['on']:.4f} ({rate['times_fewer'] or math.inf:.1f})"
            for reading, rate in readings.items()
        ]
        lines.append(f"  {name:<22} " + "   ".join(parts))
    for reading in READINGS if result["calm"] else ():
        sums = [sum(rates[reading][key] for rates in result["calm"].values()) for key in ("off", "on")]
        lines.append(f"  all clips, {reading:<12} {sums[0] / max(sums[1], 1e-9):.1f} times fewer")
    lines.append("where something moves: IoU off -> on (loss in points), lag on behind the truth, and behind off")
    for name, row in result["moving"].items():
        iou, lag = row["iou"], row["lag_frames"]
        lines.append(
            f"  {name:<22} {iou['off']:.2f} -> {iou['on']:.2f} ({iou['loss_points']:+.2f})   "
            f"lag {lag['on']:+.2f} (off {lag['off']:+.2f}), behind off {lag['on_behind_off']:+.2f} frames"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", "-m", default="person", help="bundle name or folder of a matte model")
    parser.add_argument("--clips", default=CLIPS, help=f"clips with a calm background (default {CLIPS})")
    parser.add_argument("--sequence", type=Path, help="a folder of consecutive images/ with labels/")
    parser.add_argument("--seeds", default="0,1,2", help="seeds of the built-in desk")
    parser.add_argument("--frames", type=int, default=150, help="at most so many frames a clip")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments)
    print(text(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
