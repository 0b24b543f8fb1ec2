"""How much of the bare engine's speed is left end to end, and how that compares with the loop a user would write.

Three settings, interleaved in one run, each timed from its first to its last frame ((n - 1) / span), warm-up left out:

    bare      the same engine fed the same prepared picture again and again, as many in flight as it likes
    rtseg     `rtseg run VIDEO -m street -e driving -o null`: decode, preprocess, infer, postprocess, composite
    naive     OpenCV read, resize, float normalise, ONNX Runtime fp32, argmax, colour table, addWeighted

Not timed: loading the model, opening the file, encoding and display (the sink is null, the naive loop discards).

    python benchmarks/efficiency.py VIDEO [--model street] [--repeats 5] [--frames 120] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import rtseg
from rtseg.backends.base import Backend
from rtseg.segmenter import Segmenter
from rtseg.stats import machine_facts, rate_hz


def bare_fps(backend: Backend, picture: NDArray[np.uint8], frames: int) -> float:
    """Frames a second of the engine alone, the same picture each time."""
    pending: deque[Any] = deque()
    stamps = []
    for _ in range(frames):
        while len(pending) >= backend.info.in_flight:
            pending.popleft().result()
            stamps.append(time.perf_counter())
        pending.append(backend.submit(picture))
    while pending:
        pending.popleft().result()
        stamps.append(time.perf_counter())
    return rate_hz(len(stamps), stamps[-1] - stamps[0]) or 0.0


def rtseg_fps(video: str, segmenter: Segmenter, frames: int, effect: str) -> tuple[float, dict[str, Any]]:
    """Frames a second of the whole pipeline into the null sink."""
    stats = rtseg.run(video, model=segmenter, effect=effect, out="null", max_frames=frames)
    return stats.fps or 0.0, stats.to_json()


class NaiveLoop:
    """What a user writes after reading two tutorials."""

    def __init__(self, segmenter: Segmenter) -> None:
        import onnxruntime

        network = segmenter.bundle.network
        self.session = onnxruntime.InferenceSession(str(network.onnx_path), providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name
        self.size_wh = network.size_wh
        self.mean = np.array(network.mean, np.float32)
        self.std = np.array(network.std, np.float32)
        self.table = np.array(segmenter.palette, np.uint8)[:, ::-1]

    def fps(self, video: str, frames: int) -> float:
        """Frames a second from the first to the last composited frame."""
        capture = cv2.VideoCapture(video)
        stamps = []
        while len(stamps) < frames:
            read, frame = capture.read()
            if not read:
                break
            self.composite(frame)
            stamps.append(time.perf_counter())
        capture.release()
        return rate_hz(len(stamps), stamps[-1] - stamps[0]) or 0.0

    def composite(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Segment one BGR frame and blend the class colours over it."""
        rgb = cv2.cvtColor(cv2.resize(frame, self.size_wh), cv2.COLOR_BGR2RGB)
        tensor = ((rgb.astype(np.float32) / 255.0 - self.mean) / self.std).transpose(2, 0, 1)[None]
        logits = self.session.run(None, {self.input_name: tensor})[0]
        labels = np.argmax(logits[0], axis=0).astype(np.uint8)
        colours = self.table[labels]
        overlay = cv2.resize(colours, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_NEAREST)
        return cv2.addWeighted(frame, 0.5, overlay, 0.5, 0)


def prepared_picture(video: str, segmenter: Segmenter) -> NDArray[np.uint8]:
    """The first frame of the video at network size."""
    with rtseg.open_source(video) as source:
        rgb = next(iter(source.frames())).rgb
    return np.ascontiguousarray(cv2.resize(rgb, segmenter.bundle.network.size_wh, interpolation=cv2.INTER_AREA))


def measure(video: str, model: str, effect: str, repeats: int, frames: int) -> dict[str, Any]:
    """All settings, interleaved `repeats` times after one warm-up round."""
    rounds: list[dict[str, float]] = []
    report: dict[str, Any] = {}
    with rtseg.load(model, hint="throughput") as segmenter:
        picture = prepared_picture(video, segmenter)
        naive = NaiveLoop(segmenter)
        backend = segmenter.backend
        for index in range(repeats + 1):
            bare = bare_fps(backend, picture, frames)
            piped, report = rtseg_fps(video, segmenter, frames, effect)
            loop = naive.fps(video, frames)
            if index:  # round 0 is the warm-up
                rounds.append({"bare_fps": bare, "rtseg_fps": piped, "naive_fps": loop})
    efficiency = [r["rtseg_fps"] / r["bare_fps"] for r in rounds]
    speedup = [r["rtseg_fps"] / r["naive_fps"] for r in rounds]
    return {
        "video": Path(video).name,
        "model": model,
        "effect": effect,
        "frames": frames,
        "rounds": rounds,
        "efficiency": summary(efficiency),
        "against_naive": summary(speedup),
        "stages": report["stages"],
        "backend": report["backend"],
        "machine": machine_facts(),
    }


def summary(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> int:
    """Measure, print the table, write the JSON; exit 1 when a ratio is under its floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", help="a video file, or synthetic footage written to one")
    parser.add_argument("--model", default="street")
    parser.add_argument("--effect", default="driving")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--least-efficiency", type=float, default=0.7)
    parser.add_argument("--least-speedup", type=float, default=1.5)
    chosen = parser.parse_args()
    result = measure(chosen.video, chosen.model, chosen.effect, chosen.repeats, chosen.frames)
    for name, value in statistics_of(result["rounds"]).items():
        print(f"{name:12} {value:7.1f} fps (median of {chosen.repeats})")
    print("efficiency   {median:7.3f} ({min:.3f} .. {max:.3f}) rtseg / bare engine".format(**result["efficiency"]))
    print("speed-up     {median:7.2f} ({min:.2f} .. {max:.2f}) rtseg / naive loop".format(**result["against_naive"]))
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    passed = (
        result["efficiency"]["median"] >= chosen.least_efficiency
        and result["against_naive"]["median"] >= chosen.least_speedup
    )
    print("PASS" if passed else "FAIL", f"(floors {chosen.least_efficiency} and {chosen.least_speedup})")
    return 0 if passed else 1


def statistics_of(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Median of every setting."""
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


if __name__ == "__main__":
    sys.exit(main())
