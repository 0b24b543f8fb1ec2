"""Score a bundle by the rule of the data's README and print JSON.

    python engines/score.py street            # or person; --through onnxruntime scores the ONNX file alone

Pixels are pooled over a set; mIoU is over the classes present in the truth. Synthetic frames are 960x540 and come from
seed 0 at 30 frames a second and from seeds and times that were not trained on (see prerender.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from footage import davis_sequences, label_path, pictures, read_ids, read_rgb, validation_pictures
from prerender import scene
from taxonomy import CAMVID_TO_FINE, IDD_TO_FINE, coarse_ids

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

Rgb = npt.NDArray[np.uint8]
Predict = Callable[[Rgb], npt.NDArray[Any]]
FRAME_WH = (960, 540)
UNSEEN = tuple((2000 + 2 * i, 7.3 * i % 60) for i in range(20))


def ort_predictor(folder: Path) -> Predict:
    """Return a function from rgb to labels uint8 [H, W], or alpha float32 [H, W], with ONNX Runtime in fp32.

    Resizes with area averaging to the network and bilinearly back to the picture.
    """
    import onnxruntime

    card = tomllib.loads((folder / "model.toml").read_text())
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    size_wh = tuple(card["input"]["size_wh"])
    mean, std = (np.array(card["input"][key], np.float32) for key in ("mean", "std"))

    def predict(rgb: Rgb) -> npt.NDArray[Any]:
        small = cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        batch = ((small - mean) / std).transpose(2, 0, 1)[None]
        planes = session.run(None, {"image": batch.astype(np.float32)})[0][0]
        full = cv2.resize(planes.transpose(1, 2, 0), (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
        return full if full.ndim == 2 else full.argmax(2).astype(np.uint8)

    return predict


def rtseg_predictor(folder: Path) -> Predict:
    """Return a function from rgb to labels, or alpha where there is one, through `rtseg.load` at its defaults."""
    import rtseg

    segmenter = rtseg.load(str(folder))

    def predict(rgb: Rgb) -> npt.NDArray[Any]:
        result = segmenter(rgb)
        return result.labels if result.alpha is None else result.alpha

    return predict


def confusion_of(pairs: Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]], classes: int) -> npt.NDArray[np.int64]:
    """Return int64 [classes, classes], truth by prediction, over pixels whose truth is a class."""
    total = np.zeros((classes, classes), np.int64)
    for truth, found in pairs:
        known = truth < classes
        joint = truth[known].astype(np.int64) * classes + found[known]
        total += np.bincount(joint, minlength=classes * classes).reshape(classes, classes)
    return total


def class_ious(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return IoU of each class, NaN where the truth has none of it."""
    inside = np.diag(confusion).astype(float)
    union = confusion.sum(0) + confusion.sum(1) - inside
    return np.where(confusion.sum(1) > 0, inside / np.maximum(union, 1), np.nan)


def summary(confusion: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return mIoU over the classes present, and the classes' own."""
    ious = class_ious(confusion)
    return {"miou": round(float(np.nanmean(ious)), 4), "classes": [None if np.isnan(v) else round(v, 3) for v in ious]}


def street_scores(predict: Predict) -> dict[str, Any]:
    """Return mIoU on CamVid val, the kept tenth of IDD-Lite and the synthetic street."""
    found: dict[str, Any] = {}
    for name, sets in (("camvid", CAMVID_TO_FINE), ("idd_lite", IDD_TO_FINE)):
        table = coarse_ids(sets)
        pairs = ((read_ids(label_path(p)), table[predict(read_rgb(p))]) for p in validation_pictures(name))
        found[f"{name}_val"] = summary(confusion_of(pairs, len(sets)))
    demo = scene("street", FRAME_WH, 0)
    frames = (demo.render_with_labels(i / 30) for i in range(0, 120, 3))
    found["synthetic_seed0_first_4s"] = summary(confusion_of(((ids, predict(rgb)) for rgb, ids in frames), 19))
    frames = (scene("street", FRAME_WH, seed).render_with_labels(at) for seed, at in UNSEEN)
    found["synthetic_unseen_seeds"] = summary(confusion_of(((ids, predict(rgb)) for rgb, ids in frames), 19))
    return found


def person_scores(predict: Predict) -> dict[str, Any]:
    """Return IoU on the kept people, IoU and MAD on mattes, mean over sequences on DAVIS, and the synthetic desk."""
    found: dict[str, Any] = {}
    for name in ("portraits", "fashion"):
        found[f"{name}_val"] = {"iou": _person_iou(predict, validation_pictures(name), 0)}
    found["mattes_val"] = {"iou": _person_iou(predict, validation_pictures("mattes"), 127), "mad": _mad(predict)}
    runs = [_person_iou(predict, pictures("davis_people", s), 0) for s in davis_sequences()]
    found["davis_people_val"] = {"iou": round(float(np.mean(runs)), 4)}
    demo = scene("desk", FRAME_WH, 0)
    frames = (demo.render_with_alpha(i / 30) for i in range(0, 120, 3))
    found["synthetic_seed0_first_4s"] = _pooled((alpha > 0.5, predict(rgb) > 0.5) for rgb, alpha in frames)
    frames = (scene("desk", FRAME_WH, seed).render_with_alpha(at) for seed, at in UNSEEN)
    found["synthetic_unseen_seeds"] = _pooled((alpha > 0.5, predict(rgb) > 0.5) for rgb, alpha in frames)
    return found


def _pooled(pairs: Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> dict[str, float]:
    confusion = confusion_of(((t.astype(np.uint8), f.astype(np.uint8)) for t, f in pairs), 2)
    return {"iou": round(float(class_ious(confusion)[1]), 4)}


def _person_iou(predict: Predict, paths: list[Path], above: int) -> float:
    pairs = ((read_ids(label_path(p)) > above, predict(read_rgb(p)) > 0.5) for p in paths)
    return _pooled(pairs)["iou"]


def _mad(predict: Predict) -> float:
    paths = validation_pictures("mattes")
    errors = [np.abs(predict(read_rgb(p)) - read_ids(label_path(p)) / 255.0).mean() for p in paths]
    return round(float(np.mean(errors)), 5)


def card_scores(kind: str, found: dict[str, Any], through: str) -> dict[str, Any]:
    """Return the numbers flat, as the card keeps them, with the protocol."""
    flat = {f"{part}_{key}": v for part, each in found.items() for key, v in each.items() if key != "classes"}
    own = (
        "mIoU over the classes present; CamVid val: 101 pictures at 480x360, 11 classes, void ignored; IDD-Lite: the "
        "hashed tenth at 320x227, 7 classes, 255 ignored"
        if kind == "street"
        else "person where alpha > 0.5; portraits and fashion: the hashed tenths; mattes: 20 pictures, MAD over 0..1; "
        "DAVIS: mean over 5 sequences"
    )
    flat["protocol"] = (
        f"through {through} at its defaults; IoU from pixels pooled over a set; {own}; synthetic at 960x540: 40 frames "
        "of seed 0 (every third of the first four seconds at 30 fps) and one frame each of 20 seeds never trained on"
    )
    return flat


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("street", "person"))
    parser.add_argument("--folder", type=Path, help="bundle folder; default engines/KIND")
    parser.add_argument("--through", choices=("rtseg", "onnxruntime"), default="rtseg")
    parser.add_argument("--card", type=Path, help="write the flat scores here for export.py")
    options = parser.parse_args()
    folder = options.folder or Path(__file__).parent / options.kind
    predict = (rtseg_predictor if options.through == "rtseg" else ort_predictor)(folder)
    cv2.setNumThreads(1)
    found = (street_scores if options.kind == "street" else person_scores)(predict)
    print(json.dumps(found, indent=1))
    if options.card:
        options.card.write_text(json.dumps(card_scores(options.kind, found, options.through)))


if __name__ == "__main__":
    main()
