"""COCO panoptic: a JSON file that says what each segment is, and PNG files with a segment id a pixel.

Source: Kirillov et al., "Panoptic Segmentation", 2018, arXiv 1801.00868; format at cocodataset.org.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rtseg.datasets.dataset import Dataset, Pair, ReadTruth
from rtseg.datasets.files import natural_key, read_values, refuse_missing
from rtseg.datasets.taxonomy import IGNORED, Taxonomy
from rtseg.errors import SourceError
from rtseg.types import UInt8Array


def open_coco_panoptic(json_path: Path, taxonomy: Taxonomy) -> Dataset:
    """Return the set that a panoptic JSON file describes, its categories as classes of the taxonomy.

    The label files are in the folder named like the JSON file; the pictures in `images/` beside it, or in the folder
    of its split (`annotations/panoptic_val2017.json`: `val2017/` beside `annotations/`).

    Raises:
        SourceError: the file is not of that kind, or files are missing.
    """
    encoded = json_path.read_bytes()
    try:
        written = json.loads(encoded)
        categories = {int(c["id"]): str(c["name"]) for c in written["categories"]}
        pictures = {int(image["id"]): str(image["file_name"]) for image in written["images"]}
        annotations = [(pictures[int(a["image_id"])], a) for a in written["annotations"]]
        segments = {str(a["file_name"]): _segments(a, categories, taxonomy) for _, a in annotations}
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{json_path}: got {error!r}; expected a COCO panoptic JSON file. Fetch it again.") from error
    images, labels = _picture_folder(json_path), json_path.with_suffix("")
    pairs = [Pair(Path(name).stem, images / name, labels / str(a["file_name"])) for name, a in annotations]
    refuse_missing([pair.image_path.name for pair in pairs if not pair.label_path.is_file()], labels)
    pairs.sort(key=lambda pair: natural_key(pair.name))
    return Dataset(
        json_path.parent.name, "coco-panoptic", taxonomy, tuple(pairs), _reader(segments), index_bytes=encoded
    )


def _segments(annotation: dict[str, Any], categories: dict[int, str], taxonomy: Taxonomy) -> dict[int, int]:
    """Return segment id -> id of the taxonomy; what is none of its classes is ignored."""
    found = {0: IGNORED}
    for segment in annotation["segments_info"]:
        name = taxonomy.class_of(categories[int(segment["category_id"])])
        found[int(segment["id"])] = IGNORED if name is None else taxonomy.classes.index(name)
    return found


def _reader(segments: dict[str, dict[int, int]]) -> ReadTruth:
    def read(pair: Pair) -> UInt8Array:
        values = read_values(pair.label_path)
        if values.ndim != 3 or values.dtype != np.uint8:
            raise SourceError(f"labels {pair.label_path}: got {values.dtype} {values.shape}; expected RGB of 8 bits.")
        rgb = values.astype(np.int64)
        known = segments[pair.label_path.name]
        ids, where = np.unique(rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2], return_inverse=True)
        if strange := [int(i) for i in ids if int(i) not in known]:
            raise SourceError(
                f"labels {pair.label_path}: got the segments {strange[:4]}, which the JSON file has not; expected "
                "only its own. Fetch both again."
            )
        found = np.array([known[int(i)] for i in ids], np.uint8)
        return np.asarray(found[where.reshape(rgb.shape[:2])])

    return read


def _picture_folder(json_path: Path) -> Path:
    split = json_path.stem.removeprefix("panoptic_").removeprefix("panoptic")
    places: list[Path] = [json_path.parent / "images", *((json_path.parents[1] / split,) if split else ())]
    for folder in places:
        if folder.is_dir():
            return folder
    raise SourceError(f"{json_path}: got no folder {' or '.join(map(str, places))}; expected the pictures there.")
