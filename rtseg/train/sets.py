"""Sets of training pictures on disk, opened from their table in a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rtseg.datasets import Dataset, Taxonomy, load_taxonomy, open_dataset
from rtseg.datasets.files import pictures_under, read_rgb, read_values
from rtseg.errors import ConfigError
from rtseg.train.kept import Kept
from rtseg.train.paths import existing, expanded, listed_names
from rtseg.train.pictures import LabelledPicture as LabelledPicture
from rtseg.train.pictures import PictureSet as PictureSet
from rtseg.train.pictures import SetSettings as SetSettings
from rtseg.train.synthetic import SyntheticSet
from rtseg.train.targets import IGNORED, TargetTable
from rtseg.types import UInt8Array

RECORD: Final = "targets.json"
"""What a folder of targets is of; see `targets_record`."""
SUBJECT: Final = 255
"""Target of a pixel that the subject covers wholly."""


class FileSet:
    """Pictures read from files, some of which stay in memory. Threading: several threads at once."""

    def __init__(
        self,
        settings: SetSettings,
        table: TargetTable | None,
        names: Sequence[str],
        read: Callable[[int], LabelledPicture],
        *,
        pseudo: bool,
    ) -> None:
        """Prepare.

        Args:
            settings: its table in the recipe.
            table: the targets; None: mattes.
            names: of its pictures.
            read: reads one by its index.
            pseudo: whether the targets leave classes open.
        """
        self.settings, self.table, self.pseudo = settings, table, pseudo
        self.names = tuple(names)
        """Relative names of the pictures, without suffix."""
        self._read = read
        self._kept: Kept[LabelledPicture] = Kept(settings.memory_mb << 20)

    def __len__(self) -> int:
        return len(self.names)

    def picture(self, index: int) -> LabelledPicture:
        """Return one picture. Raises SourceError where its files cannot be read."""
        found = self._kept.get(index)
        if found is None:
            found = shrunk(self.original(index), self.settings.longest_px, soft=self.table is None)
            self._kept.put(index, found, found.rgb.nbytes + found.target.nbytes)
        return found

    def original(self, index: int) -> LabelledPicture:
        """Return one picture at the size that it has on disk, read again. Raises SourceError."""
        return self._read(index)


def open_set(
    settings: SetSettings,
    base_folder: Path,
    table: TargetTable | None,
    *,
    cache_folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PictureSet:
    """Return the set that a table of a recipe means; a synthetic one is rendered where that was not done yet.

    Args:
        settings: the table.
        base_folder: the recipe's folder, against which paths are meant.
        table: the targets of the run; None: mattes.
        cache_folder: where synthetic frames are kept; None: the user's cache.
        progress: told (frames done, frames in all) while frames are rendered.

    Raises:
        ConfigError: a path or a list is missing, or options do not fit.
        SourceError: files of the set are missing or broken.
    """
    if settings.is_synthetic:
        taxonomy = _taxonomy(settings, base_folder) if settings.taxonomy else None
        return SyntheticSet(settings, table, taxonomy, cache_folder, progress)
    if settings.empty and table is not None:
        raise ConfigError(f"set {settings.name}: got empty for classes; expected it for mattes. Drop it.")
    root = existing(settings.path, base_folder, f"set {settings.name}")
    if settings.labelled and not settings.empty and settings.taxonomy:
        return _labelled(settings, root, base_folder, table)
    return _unlabelled(settings, root, base_folder, table)


def _labelled(settings: SetSettings, root: Path, base_folder: Path, table: TargetTable | None) -> PictureSet:
    taxonomy = _taxonomy(settings, base_folder)
    dataset = open_dataset(root, taxonomy, layout=settings.layout, split=settings.split)
    wanted = _wanted([pair.name for pair in dataset.pairs], settings, base_folder)
    dataset = replace(dataset, pairs=tuple(pair for pair in dataset.pairs if pair.name in wanted))
    names = [pair.name for pair in dataset.pairs]
    if table is None:
        if len(taxonomy.classes) != 2:
            raise ConfigError(
                f"set {settings.name}: got taxonomy {taxonomy.name} of {len(taxonomy.classes)} classes for mattes; "
                "expected one of two, such as person or matte. Choose another."
            )
        read, coarse = _matte_reader(dataset), False
    else:
        lookup = table.lookup(taxonomy)
        if (lookup == IGNORED).all():
            raise ConfigError(f"set {settings.name}: got labels that are none of the classes; expected some. Map them.")
        read, coarse = _ids_reader(dataset, lookup), bool(((lookup >= len(table.classes)) & (lookup < IGNORED)).any())
    if settings.targets:
        paths = [pair.image_path for pair in dataset.pairs]
        read = _targets_reader(paths, names, _targets_folder(settings, base_folder, table), table)
    return FileSet(settings, table, names, read, pseudo=coarse)


def _unlabelled(settings: SetSettings, root: Path, base_folder: Path, table: TargetTable | None) -> PictureSet:
    root = root / settings.split if settings.split else root
    paths = pictures_under(root / "images" if (root / "images").is_dir() else root)
    wanted = _wanted([path.stem for path in paths], settings, base_folder)
    paths = [path for path in paths if path.stem in wanted]
    names = [path.stem for path in paths]
    if settings.targets:
        read = _targets_reader(paths, names, _targets_folder(settings, base_folder, table), table)
    else:
        read = _bare_reader(paths, empty=settings.empty, matte=table is None)
    return FileSet(settings, table, names, read, pseudo=not settings.empty)


def _taxonomy(settings: SetSettings, base_folder: Path) -> Taxonomy:
    is_file = settings.taxonomy.endswith(".toml")
    return load_taxonomy(base_folder / settings.taxonomy if is_file else settings.taxonomy)


def _wanted(names: Sequence[str], settings: SetSettings, base_folder: Path) -> frozenset[str]:
    """Return the names that the lists leave; a list that has nothing to do with the set is refused."""
    found = frozenset(names)
    for spec, keep in ((settings.only, True), (settings.exclude, False)):
        if not spec:
            continue
        listed = listed_names(spec, base_folder, settings.name)
        matching = {name for name in names if name in listed or Path(name).name in listed}
        if not matching:
            raise ConfigError(
                f"set {settings.name}: got the list {spec} with none of its names; expected some, such as "
                f"{names[0]}. Check the list, or drop it."
            )
        found = found & matching if keep else found - matching
    if not found:
        raise ConfigError(f"set {settings.name}: got lists that leave no picture; expected some. Check the lists.")
    return found


def _ids_reader(dataset: Dataset, lookup: UInt8Array) -> Callable[[int], LabelledPicture]:
    def read(index: int) -> LabelledPicture:
        sample = dataset.sample(index)
        return LabelledPicture(sample.rgb, np.asarray(cv2.LUT(sample.labels, lookup), np.uint8))

    return read


def _matte_reader(dataset: Dataset) -> Callable[[int], LabelledPicture]:
    def read(index: int) -> LabelledPicture:
        sample = dataset.sample(index)
        if sample.alpha is not None:
            return LabelledPicture(sample.rgb, np.rint(sample.alpha * SUBJECT).astype(np.uint8))
        void = sample.labels == IGNORED
        target = np.where(sample.labels == 1, np.uint8(SUBJECT), np.uint8(0))
        return LabelledPicture(sample.rgb, target, void if void.any() else None)

    return read


def _bare_reader(paths: Sequence[Path], *, empty: bool, matte: bool) -> Callable[[int], LabelledPicture]:
    def read(index: int) -> LabelledPicture:
        rgb = read_rgb(paths[index])
        if not matte:
            return LabelledPicture(rgb, np.full(rgb.shape[:2], IGNORED, np.uint8))
        return LabelledPicture(
            rgb, np.zeros(rgb.shape[:2], np.uint8), None if empty else np.ones(rgb.shape[:2], np.bool_)
        )

    return read


def targets_record(table: TargetTable | None) -> dict[str, object]:
    """Return what the ids in a folder of targets mean; it is written beside them and must be the same when read."""
    if table is None:
        return {"task": "matte"}
    return {"task": "semantic", "classes": list(table.classes), "groups": [list(group) for group in table.groups]}


def _targets_folder(settings: SetSettings, base_folder: Path, table: TargetTable | None) -> Path:
    folder = expanded(settings.targets, base_folder, f"set {settings.name}")
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"set {settings.name}: got targets {folder}, {error}; expected labelled ones.") from error
    if record.get("of") != targets_record(table):
        raise ConfigError(
            f"set {settings.name}: got targets in {folder} of other classes; expected those of this run. Label again."
        )
    return folder


def _targets_reader(
    paths: Sequence[Path], names: Sequence[str], folder: Path, table: TargetTable | None
) -> Callable[[int], LabelledPicture]:
    missing = [name for name in names if not target_path(folder, name).is_file()]
    if missing:
        raise ConfigError(
            f"targets {folder}: got none of {', '.join(missing[:3])} ({len(missing)} in all); expected every picture. "
            "Label the set to its end."
        )

    def read(index: int) -> LabelledPicture:
        values = np.asarray(read_values(target_path(folder, names[index])), np.uint8)
        if table is not None:
            return LabelledPicture(read_rgb(paths[index]), values)
        void = values[..., 1] > 0
        return LabelledPicture(
            read_rgb(paths[index]), np.ascontiguousarray(values[..., 0]), void if void.any() else None
        )

    return read


def target_path(folder: Path, name: str) -> Path:
    """Return where the target of a picture is kept: ids, or for mattes RGB with the matte in R and the unknown in G."""
    return folder / f"{name}.png"


def shrunk(picture: LabelledPicture, longest_px: int, *, soft: bool) -> LabelledPicture:
    """Return a picture whose longer side is at most so many pixels; 0: as it is. `soft`: the target is a matte."""
    height, width = picture.target.shape
    scale = longest_px / max(height, width)
    if not 0 < scale < 1:
        return picture
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if soft else cv2.INTER_NEAREST_EXACT
    ignored = None
    if picture.ignored is not None:
        ignored = cv2.resize(picture.ignored.astype(np.uint8) * 255, size_wh, interpolation=cv2.INTER_AREA) > 0
    return LabelledPicture(
        np.asarray(cv2.resize(picture.rgb, size_wh, interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(cv2.resize(picture.target, size_wh, interpolation=how), np.uint8),
        ignored,
    )
