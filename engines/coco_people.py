"""Make training sets of people from COCO instances: pictures, and labels 0 (none), 1 (person), 255 (unknown).

    python engines/coco_people.py --instances instances_val2017.json --pictures val2017 --out FOLDER \
        [--teacher mediapipe_selfie_256.onnx]

Writes `coco_single` (one person a picture), `coco_few` (several, or none at all) and, with a teacher, `coco_boxes`:
there the polygons of pictures with several people give way to a matting network that looks at one person's box at a
time, since COCO's outlines are coarse. It decides only inside the boxes, only where it is sure, and only for people
that are large enough to see; what lies outside every box is background. Crowds are unknown.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]
Matte = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
PERSON, UNKNOWN, LONGEST_PX = 1, 255, 640
SMALLEST_BOX_PX, SMALLEST_BOX_SHARE = 44, 0.015
SURE, LARGEST_UNKNOWN_SHARE, SMALLEST_PERSON_SHARE = (0.15, 0.8), 0.35, 0.03


def people_of(instances: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the person annotations of every picture, by file name; an empty list where there is nobody."""
    content = json.loads(instances.read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in content["images"]}
    person = next(row["id"] for row in content["categories"] if row["name"] == "person")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in content["annotations"]:
        if row["category_id"] == person:
            found[names[row["image_id"]]].append(row)
    return {name: found.get(name, []) for name in names.values()}


def run_lengths(counts: Sequence[int] | str, size_hw: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return the mask bool [H, W] of COCO's run lengths, column by column; a plain list or its compressed text."""
    runs = counts if not isinstance(counts, str) else _decompressed(counts)
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size_hw[1], size_hw[0]).T


def _decompressed(text: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for character in text.encode():
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs


def outlined(people: Sequence[dict[str, Any]], size_wh: tuple[int, int]) -> Plane:
    """Return labels uint8 [H, W] from the polygons; crowds are unknown."""
    labels = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    for row in people:
        if row.get("iscrowd"):
            labels[run_lengths(row["segmentation"]["counts"], row["segmentation"]["size"])] = UNKNOWN
    for row in people:
        if not row.get("iscrowd"):
            polygons = [np.round(np.reshape(points, (-1, 2))).astype(np.int32) for points in row["segmentation"]]
            cv2.fillPoly(labels, polygons, PERSON)
    return labels


def seen_in_boxes(rgb: npt.NDArray[np.uint8], people: Sequence[dict[str, Any]], matte: Matte) -> Plane:
    """Return labels uint8 [H, W] from a matting network that is shown one box at a time."""
    height, width = rgb.shape[:2]
    alpha = np.zeros((height, width), np.float32)
    inside, unknown = np.zeros((2, height, width), np.bool_)
    for row in people:
        box = _grown(row["bbox"], 0.06, 2, (width, height))
        inside[box] = True
        _, _, box_width, box_height = row["bbox"]
        large = min(box_width, box_height) >= SMALLEST_BOX_PX
        if row.get("iscrowd") or not (large and box_width * box_height >= SMALLEST_BOX_SHARE * width * height):
            unknown[box] = True
            continue
        shown = _grown(row["bbox"], 0.2, 0, (width, height))
        found = np.zeros_like(alpha)
        found[shown] = matte(np.ascontiguousarray(rgb[shown]))
        if (found[shown] > 0.5).mean() < 0.12:
            unknown[box] = True
        alpha[box] = np.maximum(alpha[box], found[box])
    labels = np.where(inside & (alpha > 0.5), PERSON, 0).astype(np.uint8)
    unsure = (unknown & (alpha < SURE[1])) | ((alpha > SURE[0]) & (alpha < SURE[1]))
    labels[inside & unsure] = UNKNOWN
    return labels


def _grown(box_xywh: Sequence[float], share: float, margin_px: int, size_wh: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns of a box that is larger by a share of its sides and a margin, inside the picture."""
    x, y, width, height = box_xywh
    across, down = share * width + margin_px, share * height + margin_px
    columns = slice(max(0, round(x - across)), min(size_wh[0], max(1, round(x + width + across))))
    return slice(max(0, round(y - down)), min(size_wh[1], max(1, round(y + height + down)))), columns


def mirrored_matte(model: Path) -> Matte:
    """Return the mean matte of a picture and its mirror image by a public ONNX network of one soft subject."""
    import rtseg

    segmenter = rtseg.load(
        model, classes=("background", "person"), layout="NHWC", channel_order="RGB", scale=1 / 255,
        mean=(0, 0, 0), std=(1, 1, 1), output_kind="alpha", edges=False,
    )  # fmt: skip

    def matte(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        views = [segmenter(rgb).alpha, segmenter(np.ascontiguousarray(rgb[:, ::-1])).alpha]
        if views[0] is None or views[1] is None:
            raise ValueError(f"teacher {model}: got no alpha; expected a network that gives one")
        return ((views[0] + views[1][:, ::-1]) / 2).astype(np.float32)

    return matte


def useful(labels: Plane) -> bool:
    """Tell whether a teacher left enough of a picture known, with someone in it."""
    return bool(
        (labels == UNKNOWN).mean() <= LARGEST_UNKNOWN_SHARE and (labels == PERSON).mean() >= SMALLEST_PERSON_SHARE
    )


def save(folder: Path, name: str, rgb: npt.NDArray[np.uint8], labels: Plane) -> None:
    """Write `images/NAME.jpg` and `labels/NAME.png`, no side longer than 640 pixels."""
    height, width = labels.shape
    scale = min(1.0, LONGEST_PX / max(height, width))
    size_wh = (round(width * scale), round(height * scale))
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    picture = cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA)[..., ::-1]
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    small = cv2.resize(labels, size_wh, interpolation=cv2.INTER_NEAREST_EXACT)
    cv2.imwrite(str(folder / "labels" / f"{name}.png"), small)


def main() -> None:
    """Write the sets and say how many pictures each has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher", type=Path)
    options = parser.parse_args()
    matte = mirrored_matte(options.teacher) if options.teacher else None
    counts: dict[str, int] = defaultdict(int)
    for file_name, people in sorted(people_of(options.instances).items()):
        bgr = cv2.imread(str(options.pictures / file_name))
        if bgr is None:
            continue
        rgb = np.ascontiguousarray(bgr[..., ::-1])
        set_name = "coco_single" if len(people) == 1 else "coco_boxes" if matte and people else "coco_few"
        if set_name == "coco_boxes" and matte is not None:
            labels = seen_in_boxes(rgb, people, matte)
        else:
            labels = outlined(people, (rgb.shape[1], rgb.shape[0]))
        if set_name != "coco_boxes" or useful(labels):
            save(options.out / set_name, Path(file_name).stem, rgb, labels)
            counts[set_name] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
