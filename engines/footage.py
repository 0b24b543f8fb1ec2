"""Read the labelled sets beside the project (`shared/data`) and keep the fixed validation parts apart.

The folder is `RTSEG_SHARED`, else `shared/` beside the checkout. Nothing read here is ever written into the project.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

SPLITS = Path(__file__).parent / "splits" / "validation.toml"
HASHED_SETS = ("idd_lite", "portraits", "fashion")


@dataclass(frozen=True)
class Pair:
    """One labelled picture in memory: rgb uint8 [H, W, 3] and ids uint8 [H, W]."""

    name: str
    rgb: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


def shared_folder() -> Path:
    """Return the folder with `data/`, `media/` and `weights/`.

    Raises:
        FileNotFoundError: where it is absent.
    """
    named = os.environ.get("RTSEG_SHARED")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        raise FileNotFoundError(f"no training data: got {folder}; expected a folder with data/. Set RTSEG_SHARED.")
    return folder


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """Return a picture as rgb uint8 [H, W, 3]."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise FileNotFoundError(f"cannot read {path}")
    return np.ascontiguousarray(bgr[..., ::-1])


def read_ids(path: Path) -> npt.NDArray[np.uint8]:
    """Return a label picture as uint8 [H, W], ids untouched."""
    ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if ids is None:
        raise FileNotFoundError(f"cannot read {path}")
    return np.ascontiguousarray(ids if ids.ndim == 2 else ids[..., 0])


def is_validation(set_name: str, stem: str) -> bool:
    """Return whether the hash puts a picture into the fixed validation tenth of its set."""
    return int(hashlib.sha256(f"{set_name}/{stem}".encode()).hexdigest(), 16) % 10 == 0


def validation_stems(set_name: str) -> frozenset[str]:
    """Return the committed validation list of one hashed set (see `engines/splits/validation.toml`)."""
    return frozenset(tomllib.loads(SPLITS.read_text())[set_name])


def pictures(set_name: str, part: str) -> list[Path]:
    """Return the picture files of `set_name/part`, sorted by name."""
    folder = shared_folder() / "data" / set_name / part / "images"
    return sorted(p for p in folder.iterdir() if p.suffix in (".jpg", ".png"))


def label_path(picture: Path) -> Path:
    """Return the label file that belongs to a picture."""
    return picture.parent.parent / "labels" / f"{picture.stem}.png"


def training_pictures(set_name: str, part: str = "train") -> list[Path]:
    """Return the labelled pictures of a set that may be trained on: all but the validation list."""
    held_out = validation_stems(set_name) if set_name in HASHED_SETS else frozenset()
    return [p for p in pictures(set_name, part) if p.stem not in held_out]


def validation_pictures(set_name: str) -> list[Path]:
    """Return the labelled pictures kept for validation."""
    if set_name in HASHED_SETS:
        held_out = validation_stems(set_name)
        return [p for p in pictures(set_name, "train") if p.stem in held_out]
    if set_name == "davis_people":
        return [p for s in davis_sequences() for p in pictures(set_name, s)]
    return pictures(set_name, "val")


def davis_sequences() -> list[str]:
    """Return the names of the sequences under `davis_people`; all of them are kept for validation."""
    return sorted(p.name for p in (shared_folder() / "data" / "davis_people").iterdir() if p.is_dir())


def read_pairs(paths: list[Path]) -> Iterator[Pair]:
    """Yield picture and labels of each path."""
    for path in paths:
        yield Pair(path.stem, read_rgb(path), read_ids(label_path(path)))


def write_splits() -> None:
    """Write the validation lists; run once, the result is committed."""
    lines = ["# Kept for validation, never trained on: sha256('set/stem') % 10 == 0. Written by footage.py.", ""]
    for set_name in HASHED_SETS:
        stems = [p.stem for p in pictures(set_name, "train") if is_validation(set_name, p.stem)]
        lines.append(f"{set_name} = [{', '.join(repr(s).replace(chr(39), chr(34)) for s in stems)}]")
    SPLITS.parent.mkdir(exist_ok=True)
    SPLITS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write_splits()
