"""Run every clip of a folder end to end and check what must never change; save pictures to look at.

For each clip: frames out == frames decoded == frames that a plain decoder gives; presentation times equal to within
one tick of the output container; pixels that the effect leaves alone are identical before the encoder and, at high
quality, at most 3 levels off (mean) after it. A contact sheet of each clip goes into the output folder.

    python benchmarks/footage_check.py FOLDER --model street --effect driving --out SHEETS [--max-frames N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import rtseg
from rtseg.segmenter import Segmenter
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import Frame, Segmentation

VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov"}
MOST_LEVELS = 3.0


class KeepSome(Sink):
    """Keeps every `step`th composited frame as RGB."""

    name = "keep"

    def __init__(self, step: int) -> None:
        self.step = step
        self.kept: dict[int, NDArray[np.uint8]] = {}

    def open(self, stream: StreamFormat) -> None:
        """Nothing to open."""

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Keep the frame when it is its turn."""
        if frame.frame_index % self.step == 0:
            self.kept[frame.frame_index] = frame.rgb.copy()

    def close(self) -> None:
        """Nothing to close."""


def times_and_frames(path: Path, wanted: set[int], most: int | None) -> tuple[list[Fraction], dict[int, NDArray]]:
    """Presentation times of all frames and the RGB pixels of some, by rtseg's own source."""
    times: list[Fraction] = []
    kept: dict[int, NDArray[np.uint8]] = {}
    with rtseg.open_source(path) as source:
        for frame in source.frames():
            times.append(frame.pts * frame.time_base)
            if frame.frame_index in wanted:
                kept[frame.frame_index] = frame.rgb.copy()
            if most is not None and len(times) >= most:
                break
    return times, kept


def plain_count(path: Path) -> int:
    """Frames that a plain decoding loop gives."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def check_clip(clip: Path, segmenter: Segmenter, effect: str, sheet: Path, most: int | None) -> list[str]:
    """Run one clip; return what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        keep = KeepSome(step=max(1, (most or plain_count(clip)) // 6))
        stats = rtseg.run(clip, model=segmenter, effect=effect, out=[out, keep], quality=98, max_frames=most)
        wanted = set(keep.kept)
        before, originals = times_and_frames(clip, wanted, most)
        after, encoded = times_and_frames(out, wanted, None)
        tick = Fraction(1, 1)
        with av.open(str(out)) as container:
            tick = container.streams.video[0].time_base or tick
    faults = []
    counts = (plain_count(clip) if most is None else len(before), len(before), stats.frames.written, len(after))
    if len(set(counts)) != 1:
        faults.append(f"frames: plain, source, written, read back = {counts}")
    shift = before[0] if before and before[0] < 0 else Fraction(0)
    worst = max((abs(a - b + shift) for a, b in zip(before, after, strict=False)), default=Fraction(0))
    if worst > tick:
        faults.append(f"times: off by up to {float(worst):.6f} s, a tick is {float(tick):.6f} s")
    levels, share = untouched_levels(originals, keep.kept, encoded)
    if levels > MOST_LEVELS:
        faults.append(f"untouched pixels: {levels:.2f} levels off after encoding")
    save_sheet(sheet, keep.kept)
    fps = stats.fps or 0.0
    print(
        f"{clip.name:28} {counts[2]:5} frames {fps:6.1f} fps  worst time {float(worst) * 1e3:6.3f} ms  "
        f"untouched {share:5.1%} of pixels, {levels:.2f} levels after encoding  {'; '.join(faults) or 'ok'}",
        flush=True,
    )
    return faults


def untouched_levels(
    originals: dict[int, NDArray[np.uint8]], composited: dict[int, NDArray[np.uint8]], encoded: dict[int, NDArray]
) -> tuple[float, float]:
    """Mean absolute difference after encoding where the compositor changed nothing, and how much of the picture."""
    differences, pixels, total = 0.0, 0, 0
    for index, original in originals.items():
        same = (original == composited[index]).all(axis=2)
        same = cv2.erode(same.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        total += same.size
        pixels += int(same.sum())
        differences += float(np.abs(original[same].astype(int) - encoded[index][same]).mean(axis=-1).sum())
    return (differences / pixels if pixels else 0.0), (pixels / total if total else 0.0)


def save_sheet(path: Path, pictures: dict[int, NDArray[np.uint8]]) -> None:
    """Write up to six pictures as one PNG."""
    tiles = [cv2.resize(p, (640, round(640 * p.shape[0] / p.shape[1]))) for _, p in sorted(pictures.items())][:6]
    while len(tiles) % 2:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + 2]) for i in range(0, len(tiles), 2)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def main() -> int:
    """Check every clip; exit 1 when one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="street")
    parser.add_argument("--effect", default="driving")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-frames", type=int)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    clips = sorted(path for path in chosen.folder.iterdir() if path.suffix in VIDEO_SUFFIXES)
    with rtseg.load(chosen.model, hint="throughput") as segmenter:
        faults = [
            fault
            for clip in clips
            for fault in check_clip(
                clip, segmenter, chosen.effect, chosen.out / f"{clip.stem}.{chosen.model}.png", chosen.max_frames
            )
        ]
    print(f"{len(clips)} clips, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
