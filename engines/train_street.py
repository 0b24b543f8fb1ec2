"""Train the `street` bundle: a narrow BiSeNetV2 on CamVid, IDD-Lite and the synthetic street.

    python engines/teacher.py --folder RUN/teacher
    python engines/prerender.py street --folder RUN/synthetic
    python engines/train_street.py --folder RUN/street --teacher RUN/teacher --synthetic RUN/synthetic
    python engines/export.py street --checkpoint RUN/street/last.pt

Coarse labels (11 or 7 classes) teach the 19 classes through the sum of their probabilities; a teacher splits them
where it is sure. Add `--resume` to continue a stopped run, with more `--minutes` to lengthen it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from augment import WarpRange, change_colour, random_warp, spoil, warp
from footage import label_path, pictures, read_ids, read_rgb, training_pictures, validation_pictures
from loop import Plan, Sample, arguments, begin, normalised, train
from taxonomy import (
    CAMVID_TO_FINE,
    IDD_TO_FINE,
    IGNORED,
    STREET_CLASSES,
    MixedTaxonomyLoss,
    coarse_ids,
    extended_ids,
    frequency_weights,
    membership,
)
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rtseg.models.nets import BiSeNetV2

INPUT_WH = (512, 256)
"""The largest size that is trained at."""
DEPLOY_WH = (704, 352)
"""The size that the bundle runs at: thin things gain, and real footage loses nothing (CamVid val the same)."""
SHARES = {"camvid": 0.27, "idd_lite": 0.29, "unlabelled": 0.06, "synthetic": 0.38}
# At the full input size the samples come nearer to what the engine will see: thin things are won or lost there.
FULL_SIZE_SHARES = {"camvid": 0.23, "idd_lite": 0.22, "unlabelled": 0.03, "synthetic": 0.52}
FULL_SIZE_RANGES = WarpRange(smallest_crop=0.6, stretch=0.1, rotation_degrees=2.0, whole_share=0.4)
RANGES = WarpRange(smallest_crop=0.4, stretch=0.18, rotation_degrees=3.0, whole_share=0.25)
Set = list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]


def build(full_size: bool = False) -> BiSeNetV2:
    """Return the network of this bundle: half the paper's width, semantic branch at full width, fine head."""
    return BiSeNetV2(len(STREET_CLASSES), width=0.5, head_channels=96, fine=True, full_size=full_size)


def labelled(set_name: str, sets: tuple[tuple[int, ...], ...], teacher: Path | None) -> Set:
    """Return the training pictures of a set with targets; the teacher's where they exist."""
    found: Set = []
    for path in training_pictures(set_name):
        ready = teacher / set_name / f"{path.stem}.png" if teacher else None
        if ready is not None and ready.exists():
            found.append((read_rgb(path), read_ids(ready)))
        else:
            found.append((read_rgb(path), extended_ids(sets)[read_ids(label_path(path))]))
    return found


def all_sets(teacher: Path | None, synthetic: Path | None) -> dict[str, Set]:
    """Return every source of samples, decoded into memory."""
    sets = {
        "camvid": labelled("camvid", CAMVID_TO_FINE, teacher),
        "idd_lite": labelled("idd_lite", IDD_TO_FINE, teacher),
    }
    if teacher is not None:
        made = teacher / "idd_lite_unlabelled"
        pairs = [(p, made / f"{p.stem}.png") for p in pictures("idd_lite", "unlabelled")]
        sets["unlabelled"] = [(read_rgb(p), read_ids(t)) for p, t in pairs if t.exists()]
    if synthetic is not None:
        rgb = np.load(synthetic / "rgb.npy", mmap_mode="r")
        ids = np.load(synthetic / "labels.npy", mmap_mode="r")
        sets["synthetic"] = [(rgb[i], ids[i]) for i in range(len(rgb))]
    return {name: pairs for name, pairs in sets.items() if pairs}


class StreetSamples:
    """Draw a source by its share, then a picture, then an augmentation."""

    def __init__(self, sets: dict[str, Set]) -> None:
        self._sets = sets
        self._names = list(sets)

    def __call__(self, size_wh: tuple[int, int], rng: np.random.Generator) -> Sample:
        """Return rgb uint8 [H, W, 3] and target ids uint8 [H, W]."""
        full = size_wh == INPUT_WH
        shares = np.array([(FULL_SIZE_SHARES if full else SHARES)[name] for name in self._names])
        pairs = self._sets[self._names[rng.choice(len(self._names), p=shares / shares.sum())]]
        rgb, ids = pairs[rng.integers(len(pairs))]
        ranges = FULL_SIZE_RANGES if full else RANGES
        matrix = random_warp((rgb.shape[1], rgb.shape[0]), size_wh, ranges, rng)
        seen, targets = warp(np.asarray(rgb), np.asarray(ids), matrix, size_wh, IGNORED, soft=False)
        if rng.random() < 0.12:
            seen = darker(seen, rng)
        return spoil(change_colour(seen, rng, 0.9), rng), targets

    def counts(self, draws: int = 400) -> npt.NDArray[np.int64]:
        """Return how often each target id was drawn, int64 [19 + coarse sets]."""
        rng, total = np.random.default_rng(7), np.zeros(256, np.int64)
        for _ in range(draws):
            total += np.bincount(self((128, 64), rng)[1].ravel(), minlength=256)
        return total[: len(membership())]


def darker(rgb: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return the picture as at dusk: dark, bluish, with what was bright kept."""
    level = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    curve = level ** rng.uniform(1.3, 2.4) * rng.uniform(0.25, 0.7) * np.array([0.85, 0.92, 1.05])
    night: npt.NDArray[np.uint8] = cv2.LUT(rgb, (np.clip(curve, 0, 1) * 255).astype(np.uint8)[None])
    return night


class StreetLoss:
    """Main loss at the head's resolution and auxiliary losses at theirs."""

    def __init__(self, weights: Tensor) -> None:
        self._loss = MixedTaxonomyLoss(weights)

    def __call__(self, output: Any, targets: Tensor) -> Tensor:
        """Return the scalar loss for the network's training output and targets uint8 [N, H, W]."""
        logits, auxiliary = output
        total = self._at(logits, targets)
        for side in auxiliary:
            total = total + 0.3 * self._at(side, targets)
        return total

    def _at(self, logits: Tensor, targets: Tensor) -> Tensor:
        step = targets.shape[1] // logits.shape[2]
        loss: Tensor = self._loss(logits.float(), targets[:, step // 2 :: step, step // 2 :: step])
        return loss


def camvid_miou(network: nn.Module, limit: int = 51) -> dict[str, float]:
    """Return mIoU over CamVid's 11 classes on every second picture of its validation part, at 480x360."""
    table, confusion = coarse_ids(CAMVID_TO_FINE), np.zeros((11, 11), np.int64)
    for path in validation_pictures("camvid")[::2][:limit]:
        rgb, truth = read_rgb(path), read_ids(label_path(path))
        small = cv2.resize(rgb, INPUT_WH, interpolation=cv2.INTER_AREA)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits = network(normalised(torch.from_numpy(small)[None])).float()
        full = F.interpolate(logits, size=truth.shape, mode="bilinear", align_corners=False)
        found = table[full.argmax(1)[0].numpy().astype(np.uint8)]
        known = truth < 11
        confusion += np.bincount(truth[known].astype(int) * 11 + found[known], minlength=121)[:121].reshape(11, 11)
    inside = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - inside
    return {"camvid_val_half_miou": float((inside / np.maximum(1, union))[confusion.sum(1) > 0].mean())}


def main() -> None:
    """Train."""
    parser = arguments(__doc__ or "", default_minutes=60)
    parser.add_argument("--teacher", type=Path, help="folder written by teacher.py")
    parser.add_argument("--full-size-from", type=float, default=0.62, help="share of the time at which it begins")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    phases = [(0.0, (256, 128), 16), (0.3, (384, 192), 12), (options.full_size_from, INPUT_WH, 8)]
    plan = Plan(options.minutes, phases, peak_rate=3e-3, ema_steps=240, seed=options.seed)
    samples = StreetSamples(all_sets(options.teacher, options.synthetic))
    loss = StreetLoss(frequency_weights(samples.counts()))
    run = begin(build(), plan, options.folder, options.resume, options.warm)
    train(run, plan, options.folder, samples, loss, camvid_miou)


if __name__ == "__main__":
    main()
