"""Render training frames of the synthetic scenes once, so that training only reads them.

Writes `rgb.npy` uint8 [N, H, W, 3] and `labels.npy` uint8 [N, H, W] (train ids, or a matte in 0..255). Seeds
0 to 3 are used from their fifth second on, and odd seeds from 1001 up; the first five seconds of seeds 0 to 3 and all
other seeds are never trained on and remain for scoring.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def scene(kind: str, size_wh: tuple[int, int], seed: int) -> Any:
    """Return the scene renderer of a kind, "street" or "desk"."""
    import rtseg.scenes

    found = getattr(rtseg.scenes, {"street": "StreetScene", "desk": "DeskScene"}[kind])
    return found(size_wh=size_wh, seed=seed)


def render(kind: str, shown: Any, at_seconds: float) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return rgb uint8 [H, W, 3] and the target uint8 [H, W]."""
    if kind == "street":
        rgb, labels = shown.render_with_labels(at_seconds)
        return rgb, labels
    rgb, alpha = shown.render_with_alpha(at_seconds)
    return rgb, np.rint(alpha * 255).astype(np.uint8)


def training_moments(frames: int, rng: np.random.Generator, each: int = 6) -> list[tuple[int, list[float]]]:
    """Return (seed, times) of the training frames: every fourth seed is one of 0 to 3, the rest are odd."""
    plan: list[tuple[int, list[float]]] = []
    for index in range(-(-frames // each)):
        seed = int(rng.integers(0, 4)) if index % 4 == 0 else 1001 + 2 * index
        plan.append((seed, [float(t) for t in rng.uniform(5.0, 60.0, each)]))
    return plan


def main() -> None:
    """Render and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("street", "desk"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, began = np.random.default_rng(options.seed), time.monotonic()
    frames: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = []
    for seed, times in training_moments(options.frames, rng):
        shown = scene(options.kind, (options.width, options.height), seed)
        frames.extend(render(options.kind, shown, at_seconds) for at_seconds in times)
        if time.monotonic() - began > options.minutes * 60:
            break
    options.folder.mkdir(parents=True, exist_ok=True)
    np.save(options.folder / "rgb.npy", np.stack([f[0] for f in frames]))
    np.save(options.folder / "labels.npy", np.stack([f[1] for f in frames]))
    print(len(frames), "frames", round(time.monotonic() - began, 1), "s")


if __name__ == "__main__":
    main()
