"""The layouts that are read, and how to tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from rtseg.datasets.coco import open_coco_panoptic
from rtseg.datasets.dataset import Dataset, Pair, ReadTruth, Truth, alpha_reader, binary_reader, ids_reader
from rtseg.datasets.files import labels_for, natural_key, pictures_under, refuse_missing
from rtseg.datasets.taxonomy import Taxonomy, load_taxonomy
from rtseg.errors import ConfigError, SourceError

LAYOUTS: Final = ("auto", "folder", "binary", "alpha", "camvid", "cityscapes", "voc", "coco-panoptic")
"""folder: images/ + labels/ with the taxonomy's ids; binary: the same, above 0 is the subject; alpha: mattes 0..255."""

VOC_CLASSES: Final = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
).split()
"""Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", 2010."""

_TRAIN_IDS: Final = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip
"""labelIds -> labelTrainIds of the 19. Source: the Cityscapes scripts."""

_TRAIN_MARK: Final = "_gtFine_labelTrainIds"


def open_dataset(
    path: str | Path, taxonomy: Taxonomy | str, *, layout: str = "auto", split: str | None = None
) -> Dataset:
    """Return the labelled set at a path; nothing but names is read.

    Args:
        path: its folder (or a panoptic JSON file).
        taxonomy: what the labels are to mean; a name or a taxonomy.
        layout: one of `LAYOUTS`; auto looks at the folder.
        split: train, val … where there are several; None: the only one, else val.

    Raises:
        ConfigError: an option cannot be right.
        SourceError: there is no such set, or labels are missing.
    """
    root = Path(path).expanduser()
    chosen = load_taxonomy(taxonomy) if isinstance(taxonomy, str) else taxonomy
    if layout not in LAYOUTS:
        raise ConfigError(f"layout: got {layout!r}; expected one of {', '.join(LAYOUTS)}. Use auto.")
    if not root.exists():
        raise SourceError(f"dataset: got {root}, which does not exist; expected a folder. Check the path.")
    if layout == "auto":
        layout = _layout_of(root, chosen, split)
    if (chosen.kind == "matte") != (layout == "alpha"):
        raise ConfigError(
            f"dataset {root.name}: got layout {layout} with taxonomy {chosen.name}; expected alpha with matte, and the "
            "others with taxonomies of classes. Change one of them."
        )
    return _OPENERS[layout](root, chosen, split)


def _layout_of(root: Path, taxonomy: Taxonomy, split: str | None) -> str:
    """Return the layout that a folder has."""
    if root.suffix == ".json" or (root / "panoptic.json").is_file():
        return "coco-panoptic"
    if (root / "leftImg8bit").is_dir():
        return "cityscapes"
    if (root / "JPEGImages").is_dir():
        return "voc"
    if any(folder.is_dir() for folder in root.glob("*annot")):
        return "camvid"
    if any((folder / "images").is_dir() for folder in (root, root / (split or ""))) or _splits(root, "*/images"):
        return "alpha" if taxonomy.kind == "matte" else "folder"
    raise SourceError(
        f"dataset: got {root}, which has no images/ and labels/, nor a layout of {', '.join(LAYOUTS[3:])}; expected "
        "one of these. Name the folder that holds images/."
    )


def _folder(root: Path, taxonomy: Taxonomy, split: str | None, read: ReadTruth, layout: str) -> Dataset:
    if split is not None or not (root / "images").is_dir():
        root = root / _split_of(root, _splits(root, "*/images"), split)
    pictures = pictures_under(root / "images")
    pairs = [Pair(image.stem, image, label) for image, label in labels_for(pictures, root / "labels")]
    return Dataset(_name_of(root), layout, taxonomy, tuple(pairs), read)


def _name_of(root: Path) -> str:
    """Return the name of a folder, with its parent's where it is only the name of a split."""
    root = root.resolve()
    return f"{root.parent.name}/{root.name}" if root.name in ("train", "val", "test") else root.name


def _open_folder(root: Path, taxonomy: Taxonomy, split: str | None) -> Dataset:
    return _folder(root, taxonomy, split, ids_reader(taxonomy), "folder")


def _open_binary(root: Path, taxonomy: Taxonomy, split: str | None) -> Dataset:
    if len(taxonomy.classes) != 2:
        raise ConfigError(
            f"dataset {root.name}: got binary masks with taxonomy {taxonomy.name} of {len(taxonomy.classes)} classes; "
            "expected one of two, such as person. Choose another."
        )
    return _folder(root, taxonomy, split, binary_reader, "binary")


def _open_alpha(root: Path, taxonomy: Taxonomy, split: str | None) -> Dataset:
    return _folder(root, taxonomy, split, alpha_reader, "alpha")


def _open_camvid(root: Path, taxonomy: Taxonomy, split: str | None) -> Dataset:
    """SegNet's split: val/ and valannot/ …; its 12th id is void."""
    chosen = _split_of(root, [name.removesuffix("annot") for name in _splits(root, "*annot")], split)
    own = load_taxonomy("camvid11")
    own_classes = None if taxonomy.name == own.name else [*own.classes, None]
    pairs = [
        Pair(image.stem, image, label)
        for image, label in labels_for(pictures_under(root / chosen), root / f"{chosen}annot")
    ]
    return Dataset(f"{root.name}/{chosen}", "camvid", taxonomy, tuple(pairs), ids_reader(taxonomy, own_classes))


def _open_cityscapes(root: Path, taxonomy: Taxonomy, split: str | None) -> Dataset:
    """leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with gtFine/…_labelTrainIds.png, else _labelIds.png."""
    images = root / "leftImg8bit"
    chosen = _split_of(root, _splits(images, "*"), split)
    pairs = [_cityscapes_pair(root, image) for image in pictures_under(images / chosen, deep=True)]
    refuse_missing([pair.image_path.name for pair in pairs if not pair.label_path.is_file()], root / "gtFine")
    train_names = load_taxonomy("cityscapes19").classes
    named = [train_names[_TRAIN_IDS[index]] if index in _TRAIN_IDS else None for index in range(34)]
    by_train_id, by_label_id = ids_reader(taxonomy, train_names), ids_reader(taxonomy, named)

    def read(pair: Pair) -> Truth:
        return (by_train_id if pair.label_path.stem.endswith(_TRAIN_MARK) else by_label_id)(pair)

    return Dataset(f"{root.name}/{chosen}", "cityscapes", taxonomy, tuple(pairs), read)


def _cityscapes_pair(root: Path, image: Path) -> Pair:
    inner = image.parent.relative_to(root / "leftImg8bit")
    stem = image.stem.removesuffix("_leftImg8bit")
    labels = [root / "gtFine" / inner / f"{stem}{mark}.png" for mark in (_TRAIN_MARK, "_gtFine_labelIds")]
    return Pair(f"{inner.as_posix()}/{stem}", image, labels[0] if labels[0].is_file() else labels[1])


def _open_voc(root: Path, taxonomy: Taxonomy, split: str | None) -> Dataset:
    """JPEGImages/ and SegmentationClass/, with the names of a split in ImageSets/Segmentation/."""
    lists = root / "ImageSets" / "Segmentation"
    if lists.is_dir():
        chosen = _split_of(root, sorted(path.stem for path in lists.glob("*.txt")), split)
        names = (lists / f"{chosen}.txt").read_text(encoding="utf-8").split()
    else:
        names = [path.stem for path in pictures_under(root / "SegmentationClass")]
    images, labels = root / "JPEGImages", root / "SegmentationClass"
    pairs = [Pair(name, images / f"{name}.jpg", labels / f"{name}.png") for name in sorted(names, key=natural_key)]
    refuse_missing([pair.image_path.name for pair in pairs if not pair.label_path.is_file()], labels)
    return Dataset(root.name, "voc", taxonomy, tuple(pairs), ids_reader(taxonomy, VOC_CLASSES))


def _open_coco(root: Path, taxonomy: Taxonomy, split: str | None) -> Dataset:
    if split is not None:
        raise ConfigError(f"dataset {root.name}: got split {split!r} for COCO; expected none. Name the JSON file.")
    return open_coco_panoptic(root if root.suffix == ".json" else root / "panoptic.json", taxonomy)


def _splits(root: Path, pattern: str) -> list[str]:
    """Return the names of the folders that hold a split, such as train from train/images."""
    found = [path for path in root.glob(pattern) if path.is_dir()]
    return sorted(path.parent.name if pattern == "*/images" else path.name for path in found)


def _split_of(root: Path, splits: list[str], asked: str | None) -> str:
    """Return the split to read: the one asked for, else the only one, else val."""
    chosen = asked or (splits[0] if len(splits) == 1 else "val")
    if chosen not in splits:
        raise ConfigError(
            f"dataset {root.name}: got split {asked or 'none'}; expected one of {', '.join(splits) or 'none found'}. "
            "Give --split."
        )
    return chosen


_OPENERS: Final[dict[str, Callable[[Path, Taxonomy, str | None], Dataset]]] = {
    "folder": _open_folder,
    "binary": _open_binary,
    "alpha": _open_alpha,
    "camvid": _open_camvid,
    "cityscapes": _open_cityscapes,
    "voc": _open_voc,
    "coco-panoptic": _open_coco,
}
