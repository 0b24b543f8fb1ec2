"""A user's own folder: what its classes are, how its labels are written, and which pictures are held out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from rtseg.datasets import Dataset, Taxonomy, list_taxonomies, load_taxonomy, open_dataset
from rtseg.datasets.files import read_values
from rtseg.errors import ConfigError, SourceError
from rtseg.models.bundle import Bundle
from rtseg.models.checks import check_classes

CLASSES_TOML: Final = "classes.toml"
CLASSES_TEXT: Final = "classes.txt"
HELD_OUT_SHARE: Final = 0.15
LABELS_LOOKED_AT: Final = 24
"""Label files that are read before a run begins, so that what is wrong with them shows at once."""


@dataclass(frozen=True, slots=True)
class UserData:
    """A folder that was looked at."""

    folder: Path
    taxonomy: Taxonomy
    """What its labels mean."""
    layout: str
    """One of `rtseg.datasets.LAYOUTS`."""
    training: Dataset
    held_out: Dataset
    """Pictures that are scored and never trained on."""
    splits: tuple[str, str] | None
    """Names of its own splits for the two; None: it has none, and a hash of the names has decided."""


def open_user_data(folder: Path, bundle: Bundle, classes: str | None = None) -> UserData:
    """Return a user's folder, opened and split.

    Args:
        folder: `images/` with `labels/`, or one of the other layouts of `rtseg.datasets`.
        bundle: whose classes count where nothing else says what the labels mean.
        classes: a taxonomy's name, a TOML file, or names "a,b,c" in the order of the ids; None: `classes.toml` or
            `classes.txt` of the folder, else the bundle's own classes.

    Raises:
        ConfigError: classes and labels do not fit.
        SourceError: there are no pictures, no labels, or too few of them.
    """
    if not folder.is_dir():
        raise SourceError(f"--data: got {folder}, no folder; expected one with images/ and labels/. Check the path.")
    taxonomy, layout = _taxonomy_and_layout(folder, bundle, classes)
    splits = _own_splits(folder)
    if splits is not None:
        training, held_out = (open_dataset(folder, taxonomy, layout=layout, split=name) for name in splits)
    else:
        whole = open_dataset(folder, taxonomy, layout=layout)
        training, held_out = _split(whole)
    for dataset in (training, held_out):
        for index in range(0, len(dataset), -(-len(dataset) // LABELS_LOOKED_AT)):
            dataset.read_truth(dataset.pairs[index])
    return UserData(folder, taxonomy, layout, training, held_out, splits)


def _taxonomy_and_layout(folder: Path, bundle: Bundle, classes: str | None) -> tuple[Taxonomy, str]:
    if classes is None:
        found = next((folder / n for n in (CLASSES_TOML, CLASSES_TEXT) if (folder / n).is_file()), None)
        if found is None:
            return _of_bundle(folder, bundle)
        classes = str(found)
    taxonomy = _named_taxonomy(classes)
    if taxonomy.kind == "matte":
        return taxonomy, "alpha"
    return taxonomy, "binary" if len(taxonomy.classes) == 2 and _values_seen(folder) == {0, 255} else "auto"


def _named_taxonomy(classes: str) -> Taxonomy:
    """Return the taxonomy of a name, a TOML file, a text file, or names with commas."""
    if classes in list_taxonomies() or classes.endswith(".toml"):
        return load_taxonomy(classes)
    if classes.endswith(".txt"):
        return _taxonomy_of_lines(Path(classes))
    if "," in classes:
        names = [name.strip() for name in classes.split(",")]
        return Taxonomy("classes", check_classes(names, what="--classes"))
    raise ConfigError(
        f"--classes: got {classes!r}; expected names such as road,car,other, a .toml or .txt file, or one of "
        f"{', '.join(list_taxonomies())}. Give one of these."
    )


def _taxonomy_of_lines(path: Path) -> Taxonomy:
    """Return the classes of a text file: a name a line, in the order of the ids, with "#rrggbb" where labels are drawn.

    Raises:
        ConfigError: it cannot be read, or names are empty or twice.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: got {error}; expected a class name a line. Check the file.") from error
    names, colors = [], {}
    for index, line in enumerate(lines):
        match = re.fullmatch(r"(.*\S)\s+#([0-9a-fA-F]{6})", line)
        names.append(match[1] if match else line)
        if match:
            colors[int(match[2], 16)] = index
    return Taxonomy("classes", check_classes(names, what=str(path)), colors=colors)


def _of_bundle(folder: Path, bundle: Bundle) -> tuple[Taxonomy, str]:
    """Return what the labels of a folder without classes mean to a bundle: its classes, or its subject."""
    if bundle.task == "semantic":
        return Taxonomy("classes", bundle.classes), "auto"
    values = _values_seen(folder)
    if values <= {0, 1} or values == {0, 1, 255}:
        return load_taxonomy("person"), "folder"
    return (load_taxonomy("person"), "binary") if values == {0, 255} else (load_taxonomy("matte"), "alpha")


def _values_seen(folder: Path) -> set[int]:
    """Return the values of some label files of a folder; nothing where it has no `labels/`."""
    places = [*folder.glob("labels/*"), *folder.glob("*/labels/*")]
    files = sorted(path for path in places if path.suffix.lower() in (".png", ".bmp", ".tif", ".tiff", ".webp"))
    values: set[int] = set()
    for path in files[:: max(1, len(files) // LABELS_LOOKED_AT)]:
        values |= {int(value) for value in np.unique(read_values(path))}
    return values


def _own_splits(folder: Path) -> tuple[str, str] | None:
    """Return the names of a folder's splits for training and scoring, None where it has no two."""
    if (folder / "images").is_dir() or (folder / "panoptic.json").is_file():
        return None
    for held_out in ("val", "valid", "test"):
        places = [
            (folder / name, folder / f"{name}annot", folder / "leftImg8bit" / name) for name in ("train", held_out)
        ]
        if all(any(place.is_dir() for place in places_of_one) for places_of_one in places):
            return "train", held_out
        lists = folder / "ImageSets" / "Segmentation"
        if (lists / "train.txt").is_file() and (lists / f"{held_out}.txt").is_file():
            return "train", held_out
    return None


def _split(whole: Dataset) -> tuple[Dataset, Dataset]:
    """Return training and held-out part of a set, decided by a hash of each name.

    A picture stays on its side when others are added. Raises SourceError for fewer than two pictures.
    """
    if len(whole) < 2:
        raise SourceError(
            f"dataset {whole.name}: got {len(whole)} picture with labels; expected at least 2, one to train on and one "
            "to score. Add pictures; some dozens are a good start."
        )
    names = [pair.name for pair in whole.pairs]
    ranks = {name: _hash_share(name) for name in names}
    held_out = {name for name in names if ranks[name] < HELD_OUT_SHARE} or {min(names, key=lambda n: ranks[n])}
    if len(held_out) == len(names):
        held_out.remove(max(names, key=lambda n: ranks[n]))
    return whole.only([name for name in names if name not in held_out]), whole.only(sorted(held_out))


def _hash_share(name: str) -> float:
    """Return a number 0..1 that follows from a name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) / 16**12


def taxonomy_tables(taxonomy: Taxonomy) -> dict[str, Any]:
    """Return a taxonomy as the tables of its TOML file."""
    tables: dict[str, Any] = {"classes": list(taxonomy.classes), "kind": taxonomy.kind}
    tables |= {"description": taxonomy.description} if taxonomy.description else {}
    tables |= {"ignored_ids": list(taxonomy.ignored_ids)} if taxonomy.ignored_ids else {}
    tables |= {"default": taxonomy.default} if taxonomy.default else {}
    tables |= {"headline": list(taxonomy.headline)} if taxonomy.headline else {}
    for key, mapping in (("map", taxonomy.mapping), ("merged", taxonomy.merged)):
        tables |= {key: dict(mapping)} if mapping else {}
    colors = {f"#{code:06x}": taxonomy.classes[index] for code, index in taxonomy.colors.items()}
    return tables | ({"colors": colors} if colors else {})


def trained_classes(taxonomy: Taxonomy) -> tuple[str, ...]:
    """Return the classes of a taxonomy that a network can learn: those that are neither ignored nor merged."""
    return tuple(
        name
        for index, name in enumerate(taxonomy.classes)
        if index not in taxonomy.ignored_ids and name not in taxonomy.merged
    )


def members_of(new: Sequence[str], old: Sequence[str], taxonomy: Taxonomy) -> tuple[tuple[int, ...], ...]:
    """Return for each new class the old ones it takes in: by its name, else by the taxonomy's map.

    A class of the same name alone is taken, so that "car" keeps its own weights though "truck" is mapped to it too;
    what a taxonomy only has by default is no reason to begin as the mean of everything.
    """
    found = []
    for name in new:
        mapped = tuple(i for i, n in enumerate(old) if taxonomy.mapping.get(n) == name)
        found.append((old.index(name),) if name in old else mapped)
    return tuple(found)
