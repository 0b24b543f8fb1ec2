"""What every peer is given and how it is timed. Runs in the peer's own environment: standard library and OpenCV only.

Timed: from the moment the first composited frame after the warm-up is done to the moment the last one is done,
(n - 1) / span, with everything between: decoding, inference, compositing, and writing where a file is asked for.
Not timed: importing, loading the model, opening the video, the warm-up frames, closing the output.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WARM_UP_FRAMES = 10


@dataclass
class Job:
    """One job on one video.

    Attributes:
        video: H.264 file.
        bundle: folder with model.onnx and model.toml; for the MediaPipe loop the .onnx file itself.
        kind: "street" (class tints over the road) or "person" (background blurred).
        out: video file to write, or None to throw the frames away.
        frames: how many frames to take at most.
    """

    video: Path
    bundle: Path
    kind: str
    out: Path | None
    frames: int

    @property
    def card(self) -> dict[str, Any]:
        """The model's facts."""
        return tomllib.loads((self.bundle / "model.toml").read_text())

    @property
    def colours_bgr(self) -> np.ndarray:
        """One colour a class, uint8 [classes, 3], BGR."""
        rows = [[int(text[i : i + 2], 16) for i in (5, 3, 1)] for text in self.card["classes"]["palette"]]
        return np.array(rows, np.uint8)


class Clock:
    """Stamps every finished frame; the first `WARM_UP_FRAMES` are not counted."""

    def __init__(self) -> None:
        self._stamps: list[float] = []
        self._cpu_start = 0.0
        self._cpu_end = 0.0

    def tick(self) -> None:
        """Call when a frame has been composited and, where asked for, written."""
        self._stamps.append(time.perf_counter())
        self._cpu_end = cpu_seconds()
        if len(self._stamps) == WARM_UP_FRAMES:
            self._cpu_start = self._cpu_end

    def report(self, **facts: Any) -> dict[str, Any]:
        """Return fps, core-milliseconds a frame and what else is known."""
        counted = self._stamps[WARM_UP_FRAMES - 1 :]
        if len(counted) < 2:
            raise SystemExit(f"peer: got {len(self._stamps)} frames; expected more than {WARM_UP_FRAMES + 1}.")
        intervals = len(counted) - 1
        return {
            "fps": intervals / (counted[-1] - counted[0]),
            "core_ms": (self._cpu_end - self._cpu_start) / intervals * 1e3,
            "frames": intervals,
            **facts,
        }


def cpu_seconds() -> float:
    """Processor time of this process and of its ended children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def job_from_arguments() -> Job:
    """Read the arguments that `compare.py` gives to every peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--kind", choices=("street", "person"), required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--frames", type=int, required=True)
    chosen = parser.parse_args()
    return Job(chosen.video, chosen.bundle, chosen.kind, chosen.out, chosen.frames)


def finish(clock: Clock, **facts: Any) -> None:
    """Print the report as the last line."""
    sys.stdout.write(json.dumps(clock.report(python=sys.version.split()[0], opencv=cv2.__version__, **facts)) + "\n")


def frames_of(job: Job) -> Iterator[np.ndarray]:
    """Yield the video's frames, BGR uint8 [H, W, 3], as every tutorial reads them."""
    capture = cv2.VideoCapture(str(job.video))
    if not capture.isOpened():
        raise SystemExit(f"peer: got {job.video}; expected a video that OpenCV opens.")
    for _ in range(job.frames):
        read, frame = capture.read()
        if not read:
            break
        yield frame
    capture.release()


def loop(job: Job, mask_of: Callable[[np.ndarray], np.ndarray], clock: Clock) -> None:
    """The loop that tutorials write: read, segment, composite, write, one frame after the other.

    Args:
        job: what to do.
        mask_of: from BGR uint8 [H, W, 3] to labels uint8 [h, w] (street) or alpha float32 [h, w] (person), at network
            size.
        clock: ticks once a frame.
    """
    writer: cv2.VideoWriter | None = None
    for frame in frames_of(job):
        mask = mask_of(frame)
        seen = tinted(frame, mask, job.colours_bgr) if job.kind == "street" else blurred(frame, mask)
        if job.out is not None:
            if writer is None:  # mp4v: the codec that OpenCV's own wheel can write into an .mp4
                size = (frame.shape[1], frame.shape[0])
                writer = cv2.VideoWriter(str(job.out), cv2.VideoWriter_fourcc(*"mp4v"), 30.0, size)
            writer.write(seen)
        clock.tick()
    if writer is not None:
        writer.release()


def tinted(frame: np.ndarray, labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Blend every class's colour over the frame by one half."""
    overlay = cv2.resize(colours[labels], (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_NEAREST)
    return cv2.addWeighted(frame, 0.5, overlay, 0.5, 0)


def blurred(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Put the person before the blurred frame as MediaPipe's example does: threshold, 55 px Gaussian blur, choose."""
    mask = cv2.resize(alpha, (frame.shape[1], frame.shape[0]))
    condition = np.stack((mask,) * 3, axis=-1) > 0.1
    return np.where(condition, frame, cv2.GaussianBlur(frame, (55, 55), 0))


def network_input(frame: np.ndarray, card: dict[str, Any]) -> np.ndarray:
    """Resize, to RGB, scale, normalise, to NCHW: float32 [1, 3, h, w]."""
    facts = card["input"]
    rgb = cv2.cvtColor(cv2.resize(frame, tuple(facts["size_wh"])), cv2.COLOR_BGR2RGB)
    scaled = rgb.astype(np.float32) * facts["scale"]
    normal = (scaled - np.array(facts["mean"], np.float32)) / np.array(facts["std"], np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def mask_from(output: np.ndarray, kind: str) -> np.ndarray:
    """Return labels uint8 [h, w] or alpha float32 [h, w] from a network's output [1, C, h, w]."""
    planes = output[0]
    return np.argmax(planes, axis=0).astype(np.uint8) if kind == "street" else planes[0].astype(np.float32)
