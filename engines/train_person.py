"""Train the `person` bundle: MobileNetV3-large with a lite ASPP and a fine head, on people and empty rooms.

    python engines/prerender.py desk --folder RUN/desk
    python engines/train_person.py --folder RUN/person --synthetic RUN/desk
    python engines/export.py person --checkpoint RUN/person/last.pt

A part of the samples are people cut out and set before another background; some show nobody, where the right answer
is nothing. Add `--resume` to continue a stopped run, with more `--minutes` to lengthen it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from augment import WarpRange, change_colour, random_warp, spoil, warp
from footage import label_path, read_ids, read_rgb, shared_folder, training_pictures, validation_pictures
from loop import Plan, Sample, arguments, begin, normalised, train
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rtseg.models.nets import LrasppMobileNetV3

INPUT_WH = (256, 256)
SHARES = {"portraits": 0.26, "fashion": 0.27, "people290": 0.1, "pennfudan": 0.05, "empty": 0.05, "synthetic": 0.27}
CUT_OUT_SOURCES = ("portraits", "fashion", "people290")
CUT_OUT_SHARE = 0.3
RANGES = WarpRange(smallest_crop=0.45, stretch=0.25, rotation_degrees=12.0, whole_share=0.2)
WHOLE = WarpRange(smallest_crop=0.5, stretch=0.3, rotation_degrees=8.0, whole_share=0.1)
Pairs = list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]


def build() -> LrasppMobileNetV3:
    """Return the network of this bundle."""
    return LrasppMobileNetV3(1, "large", reduced_tail=True, middle_channels=128, fine=True)


def limited(
    rgb: npt.NDArray[np.uint8], ids: npt.NDArray[np.uint8], longest: int = 480
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return picture and matte (0 or 255) no longer than `longest` pixels, to keep memory and time small."""
    matte = np.where(ids > 0, 255, 0).astype(np.uint8)
    height, width = matte.shape
    scale = longest / max(height, width)
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        matte = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
    return rgb, matte


def all_sets(synthetic: Path | None) -> tuple[dict[str, Pairs], list[npt.NDArray[np.uint8]]]:
    """Return every source of samples, decoded into memory, and the rooms."""
    names = ("portraits", "fashion", "people290", "pennfudan")
    sets = {n: [limited(read_rgb(p), read_ids(label_path(p))) for p in training_pictures(n)] for n in names}
    rooms = [read_rgb(p) for p in sorted((shared_folder() / "data" / "rooms").glob("*.jpg"))]
    sets["empty"] = [(room, np.zeros(room.shape[:2], np.uint8)) for room in rooms]
    if synthetic is not None:
        rgb = np.load(synthetic / "rgb.npy", mmap_mode="r")
        mattes = np.load(synthetic / "labels.npy", mmap_mode="r")
        sets["synthetic"] = [(rgb[i], mattes[i]) for i in range(len(rgb))]
    return sets, rooms


class PersonSamples:
    """Draw a source by its share, then a picture, perhaps another background, then an augmentation."""

    def __init__(self, sets: dict[str, Pairs], rooms: list[npt.NDArray[np.uint8]]) -> None:
        self._sets, self._rooms = sets, rooms
        self._names = list(sets)
        shares = np.array([SHARES[name] for name in self._names])
        self._shares = shares / shares.sum()

    def __call__(self, size_wh: tuple[int, int], rng: np.random.Generator) -> Sample:
        """Return rgb uint8 [H, W, 3] and a matte uint8 [H, W]."""
        name = self._names[rng.choice(len(self._names), p=self._shares)]
        rgb, matte = self._sets[name][rng.integers(len(self._sets[name]))]
        matrix = random_warp((rgb.shape[1], rgb.shape[0]), size_wh, RANGES, rng)
        seen, target = warp(np.asarray(rgb), np.asarray(matte), matrix, size_wh, 0, soft=True)
        if name in CUT_OUT_SOURCES and rng.random() < CUT_OUT_SHARE:
            seen = self._before_room(seen, target, rng)
        return spoil(change_colour(seen, rng), rng), target

    def _before_room(
        self, seen: npt.NDArray[np.uint8], matte: npt.NDArray[np.uint8], rng: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        """Return the person of `seen` before a room whose light is drawn half-way to the person's."""
        room = self._rooms[rng.integers(len(self._rooms))]
        size_wh = (seen.shape[1], seen.shape[0])
        matrix = random_warp((room.shape[1], room.shape[0]), size_wh, WHOLE, rng)
        behind, _ = warp(room, np.zeros(room.shape[:2], np.uint8), matrix, size_wh, 0, soft=True)
        if rng.random() < 0.4:
            behind = cv2.GaussianBlur(behind, (0, 0), rng.uniform(0.5, 3.0))
        behind = change_colour(behind, rng, 0.7)
        weight = cv2.GaussianBlur(matte, (0, 0), rng.uniform(0.5, 0.9)).astype(np.float32)[..., None] / 255
        mixed = behind + (seen.astype(np.float32) - behind) * weight
        return mixed.astype(np.uint8)


def matte_loss(output: Tensor, targets: Tensor) -> Tensor:
    """Return binary cross-entropy, doubled within a few pixels of an edge, plus half a Dice loss over the batch.

    Args:
        output: logits [N, 1, H, W].
        targets: matte uint8 [N, H, W].
    """
    logits = output.float().squeeze(1)
    truth = targets.float() / 255
    rim = F.max_pool2d(truth[:, None], 7, 1, 3) - (1 - F.max_pool2d(1 - truth[:, None], 7, 1, 3))
    weight = 1 + rim.squeeze(1)
    entropy = (F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight).mean()
    share = torch.sigmoid(logits)
    dice = 1 - (2 * (share * truth).sum() + 1) / (share.sum() + truth.sum() + 1)
    return entropy + 0.5 * dice


def person_iou(network: nn.Module, per_set: int = 40) -> dict[str, float]:
    """Return pooled IoU on some of each validation part, at the pictures' own sizes."""
    scores: dict[str, float] = {}
    for name in ("portraits", "fashion", "mattes", "davis_people"):
        inside = union = 0
        paths = validation_pictures(name)
        for path in paths[:: max(1, len(paths) // per_set)]:
            rgb, truth = read_rgb(path), read_ids(label_path(path))
            wanted = truth > (127 if name == "mattes" else 0)
            small = cv2.resize(rgb, INPUT_WH, interpolation=cv2.INTER_AREA)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                logits = network(normalised(torch.from_numpy(small)[None])).float()
            size = wanted.shape
            found = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[0, 0].numpy() > 0
            inside += int((wanted & found).sum())
            union += int((wanted | found).sum())
        scores[f"{name}_val_iou"] = inside / max(1, union)
    return scores


def main() -> None:
    """Train."""
    options = arguments(__doc__ or "", default_minutes=60).parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    phases = [(0.0, (128, 128), 32), (0.25, (192, 192), 16), (0.6, INPUT_WH, 12)]
    plan = Plan(options.minutes, phases, peak_rate=2e-3, seed=options.seed)
    run = begin(build(), plan, options.folder, options.resume, options.warm)
    train(run, plan, options.folder, PersonSamples(*all_sets(options.synthetic)), matte_loss, person_iou)


if __name__ == "__main__":
    main()
