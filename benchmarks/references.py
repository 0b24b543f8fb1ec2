"""Accuracy and speed of a shipped bundle beside the public reference of its job: same frames, same rule, one run.

Accuracy is on the validation parts that training never sees (README in engines/): through `rtseg.load(MODEL)(rgb)` at
its defaults, IoU from pixels pooled over a set; on DAVIS the mean over the sequences. The built-in scenes are scored at
960x540: 40 frames of seed 0 (every third of the first four seconds), and one frame each of 20 seeds not trained on.

Speed: one prepared picture at a time through the same backend (latency hint) at the default precision of each, in
turns; milliseconds of processor time of all threads, median; wall time beside it. Not timed: resizing and drawing.

    python benchmarks/references.py street|person [--model FOLDER] [--precision P] [--shared FOLDER] [--rounds 40]
                                    [--no-reference] [--skip-speed] [--skip-accuracy] [--card] [--json FILE]

`--card` writes the scores into the bundle's card.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rtseg
from rtseg.builder.cards import read_tables, write_card
from rtseg.datasets import Dataset, load_taxonomy, open_dataset
from rtseg.evaluate.pictures import score_pictures
from rtseg.evaluate.protocol import model_facts
from rtseg.evaluate.sequences import sequence_folders
from rtseg.segmenter import Segmenter
from rtseg.stats import machine_facts

ROOT = Path(__file__).resolve().parents[1]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CITYSCAPES_NET = {"layout": "NCHW", "channel_order": "RGB", "scale": 1 / 255, "output_kind": "logits"}
REFERENCES: dict[str, dict[str, dict[str, Any]]] = {
    "street": {
        "fddwnet_512x1024": CITYSCAPES_NET | IMAGENET | {"classes": "cityscapes"},
        "mininetv2_512x1024": CITYSCAPES_NET | IMAGENET | {"classes": "cityscapes"},
    },
    "person": {
        "mediapipe_selfie_256": {
            "layout": "NHWC",
            "channel_order": "RGB",
            "scale": 1 / 255,
            "mean": (0, 0, 0),
            "std": (1, 1, 1),
            "output_kind": "alpha",
            "classes": ("background", "person"),
            "edges": False,  # the network alone, as others run it
        },
    },
}
SETS = {
    "street": (("camvid", "camvid11", "val", None), ("idd_lite", "idd7", "train", "idd_lite")),
    "person": (
        ("portraits", "person", "train", "portraits"),
        ("fashion", "person", "train", "fashion"),
        ("mattes", "matte", "val", None),
    ),
}
UNSEEN = tuple((2000 + 2 * index, 7.3 * index % 60) for index in range(20))
FRAME_WH = (960, 540)


def validation_sets(job: str, data: Path) -> Iterator[tuple[str, Dataset]]:
    """Give the kept parts, by name."""
    lists = tomllib.loads((ROOT / "engines/splits/validation.toml").read_text(encoding="utf-8"))
    for name, taxonomy, split, listed in SETS[job]:
        dataset = open_dataset(data / name, load_taxonomy(taxonomy), split=split)
        yield name, dataset.only(lists[listed]) if listed else dataset


def real_scores(job: str, segmenter: Segmenter, data: Path) -> dict[str, float]:
    """Return the scores on real pictures, shares 0..1."""
    facts = model_facts(segmenter)
    found: dict[str, float] = {}
    for name, dataset in validation_sets(job, data):
        report = score_pictures(segmenter, dataset, facts=facts)
        if job == "street":
            found[f"{name}_val_miou"] = report.totals["miou"]
            found |= {f"{name}_val_{row.name.replace(' ', '_')}": row.iou for row in report.classes}
        else:
            found[f"{name}_val_iou"] = report.classes[1].iou
            if "mad" in report.totals:
                found[f"{name}_val_mad"] = report.totals["mad"]
    if job == "person":
        people = load_taxonomy("person")
        ious = [
            score_pictures(segmenter, open_dataset(folder, people), facts=facts).classes[1].iou
            for folder in sequence_folders(data / "davis_people")
        ]
        found["davis_people_val_iou"] = float(np.mean(ious))
    return found


def synthetic_scores(job: str, segmenter: Segmenter) -> dict[str, float]:
    """Return mIoU over the classes present (street), or IoU of the person, on the built-in scenes."""
    scene = "street" if job == "street" else "desk"
    seen = [(0, index / 30) for index in range(0, 120, 3)]
    found = {}
    for part, moments in (("seed0_first_4s", seen), ("unseen_seeds", UNSEEN)):
        total = np.zeros((256, 256), np.int64)
        for seed, at in moments:
            truth, rgb = scene_frame(scene, seed, at)
            joint = truth.astype(np.int64).ravel() * 256 + segmenter(rgb).labels.ravel()
            total += np.bincount(joint, minlength=1 << 16).reshape(256, 256)
        inside = np.diag(total).astype(float)
        ious = inside / np.maximum(total.sum(0) + total.sum(1) - inside, 1)
        score = ious[total.sum(1) > 0].mean() if job == "street" else ious[1]
        found[f"synthetic_{part}_{'miou' if job == 'street' else 'iou'}"] = float(score)
    return found


def scene_frame(scene: str, seed: int, at_seconds: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return labels uint8 [H, W] and picture uint8 [H, W, 3] of one moment."""
    from rtseg.scenes import DeskScene, StreetScene

    if scene == "street":
        rgb, labels = StreetScene(size_wh=FRAME_WH, seed=seed).render_with_labels(at_seconds)
        return labels, rgb
    rgb, alpha = DeskScene(size_wh=FRAME_WH, seed=seed).render_with_alpha(at_seconds)
    return (alpha > 0.5).astype(np.uint8), rgb


def speed(models: dict[str, Segmenter], rounds: int) -> dict[str, dict[str, float]]:
    """Return processor and wall milliseconds of one picture through each engine, medians, in turns."""
    calls: dict[str, Callable[[], object]] = {}
    for name, segmenter in models.items():
        width, height = segmenter.bundle.network.size_wh
        picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
        calls[name] = lambda backend=segmenter.backend, picture=picture: backend.submit(picture).result()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for index in range(rounds + 3):
        for name, call in calls.items():
            cpu, wall = time.process_time(), time.perf_counter()
            call()
            if index >= 3:  # the first rounds warm up
                spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: {
            "core_ms": round(1000 * statistics.median(c for c, _ in rows), 3),
            "wall_ms": round(1000 * statistics.median(w for _, w in rows), 3),
            "precision": models[name].backend.info.precision,
        }
        for name, rows in spent.items()
    }


def load_all(job: str, options: argparse.Namespace) -> dict[str, Segmenter]:
    """Load the bundle and its references."""
    own = rtseg.load(options.model or job, precision=options.precision)
    found = {"rtseg": own}
    if not options.no_reference:
        for name, facts in REFERENCES[job].items():
            found[name] = rtseg.load(options.shared / "weights" / f"{name}.onnx", **facts)
    return found


PROTOCOL = (
    "benchmarks/references.py: through rtseg at its defaults; IoU from pixels pooled over a set, mIoU over the classes "
    "present; CamVid val 480x360, 11 classes; IDD-Lite: hashed tenth, 7 classes; portraits, fashion: hashed tenths; "
    "alpha > 0.5; MAD over 0..1; DAVIS: mean over 5 sequences; synthetic 960x540: 40 frames of seed 0, 20 unseen seeds"
)


def write_scores(folder: Path, scores: dict[str, float]) -> None:
    """Put the scores into the card, beside what is said of the int8 file."""
    tables = read_tables(folder)
    kept = {name: value for name, value in tables.get("scores", {}).items() if isinstance(value, dict)}
    own = {name: round(value, 5) for name, value in scores.items() if name.endswith(("miou", "iou", "mad"))}
    tables["scores"] = {**own, "protocol": PROTOCOL, **kept}
    write_card(folder, tables)


def main() -> None:
    """Score, time, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=tuple(SETS))
    parser.add_argument("--model", help="bundle folder; default: the shipped one")
    parser.add_argument("--precision", help="default: the card's")
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("RTSEG_SHARED", ROOT.parent / "shared")))
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--no-reference", action="store_true")
    parser.add_argument("--skip-speed", action="store_true")
    parser.add_argument("--skip-accuracy", action="store_true", help="only the times")
    parser.add_argument("--card", action="store_true", help="write the scores into the bundle's card")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.card and options.skip_accuracy:
        parser.error("--card: got --skip-accuracy, which leaves no scores; expected one of the two. Drop one.")
    models = load_all(options.job, options)
    scores: dict[str, dict[str, float]] = {}
    for name, segmenter in models.items() if not options.skip_accuracy else ():
        scores[name] = real_scores(options.job, segmenter, options.shared / "data")
        print(json.dumps({name: {key: round(value, 4) for key, value in scores[name].items()}}), flush=True)
        if name == "rtseg":
            scores[name] |= synthetic_scores(options.job, segmenter)
            print(json.dumps({key: round(value, 4) for key, value in list(scores[name].items())[-2:]}), flush=True)
    timed = {} if options.skip_speed else speed(models, options.rounds)
    print(json.dumps(timed))
    if options.card:
        write_scores(models["rtseg"].bundle.folder, scores["rtseg"])
    if options.json:
        report = {
            "job": options.job,
            "scores": scores,
            "speed": timed,
            "protocol": PROTOCOL,
            "machine": machine_facts(),
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
