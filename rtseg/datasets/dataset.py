"""A labelled set: pairs of files, read one at a time into the ids of one taxonomy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rtseg.datasets.files import read_rgb, read_values
from rtseg.datasets.taxonomy import IGNORED, UNKNOWN, Taxonomy
from rtseg.errors import ConfigError, SourceError
from rtseg.types import FloatArray, UInt8Array

HASH_DIGITS = 12
"""Hexadecimal digits of a split hash."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One labelled picture."""

    name: str
    """Relative name, without suffix."""
    rgb: UInt8Array
    """The picture, uint8 [H, W, 3]."""
    labels: UInt8Array
    """True ids of the taxonomy, uint8 [H, W]; 255 is ignored. For a matte: 1 where alpha > 0.5."""
    alpha: FloatArray | None = None
    """True matte, float32 [H, W], 0..1, where the taxonomy is one of mattes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of one sample."""

    name: str
    """Relative name, without suffix."""
    image_path: Path
    label_path: Path


Truth: TypeAlias = "UInt8Array | FloatArray"
ReadTruth: TypeAlias = Callable[[Pair], Truth]
"""Gives ids uint8 [H, W], or a matte float32 [H, W]."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pairs in natural order; nothing is read before it is asked for, nothing is kept."""

    name: str
    """Name of its folder."""
    layout: str
    """How it lies on disk."""
    taxonomy: Taxonomy
    """What its samples' labels mean."""
    pairs: tuple[Pair, ...]
    read_truth: ReadTruth = field(repr=False)
    index_bytes: bytes = b""
    """What gives the label files their meaning, where they do not say it themselves; goes into the hash."""

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(index) for index in range(len(self)))

    def sample(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            SourceError: a file cannot be read, the sizes differ, or an id is unknown.
        """
        pair = self.pairs[index]
        rgb, truth = read_rgb(pair.image_path), self.read_truth(pair)
        if rgb.shape[:2] != truth.shape:
            raise SourceError(
                f"sample {pair.name}: got a picture of {rgb.shape[1]}x{rgb.shape[0]} with labels of "
                f"{truth.shape[1]}x{truth.shape[0]}; expected one size. Make the labels again from this picture."
            )
        if self.taxonomy.kind == "matte":
            alpha = truth.astype(np.float32)
            return Sample(pair.name, rgb, (alpha > 0.5).astype(np.uint8), alpha)
        return Sample(pair.name, rgb, truth.astype(np.uint8))

    def evenly(self, count: int) -> Dataset:
        """Return at most `count` samples, spread evenly over the set."""
        if count >= len(self):
            return self
        chosen = [self.pairs[index * len(self) // count] for index in range(count)]
        return replace(self, pairs=tuple(chosen))

    def only(self, names: Collection[str]) -> Dataset:
        """Return the samples of these names, with or without folder. Raises ConfigError for a name it has not."""
        known = {pair.name for pair in self.pairs} | {Path(pair.name).name for pair in self.pairs}
        if missing := sorted(set(names) - known):
            raise ConfigError(
                f"dataset {self.name}: got a list with {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}; "
                "expected names of its pictures without suffix. Check the list."
            )
        wanted = set(names)
        chosen = [pair for pair in self.pairs if pair.name in wanted or Path(pair.name).name in wanted]
        return replace(self, pairs=tuple(chosen))

    def split_hash(self) -> str:
        """Return 12 digits of the SHA-256 over the sorted names, each with the bytes of its label file."""
        digest = hashlib.sha256(self.index_bytes)
        for pair in sorted(self.pairs, key=lambda pair: pair.name):
            digest.update(pair.name.encode() + b"\0" + hashlib.sha256(pair.label_path.read_bytes()).digest())
        return digest.hexdigest()[:HASH_DIGITS]


def ids_reader(taxonomy: Taxonomy, own_classes: Sequence[str | None] | None = None) -> ReadTruth:
    """Return a reader of label files with one id a pixel (grey, palette, or in the taxonomy's colours)."""
    table = taxonomy.truth_table(own_classes)
    return lambda pair: translated(_ids(pair, taxonomy), table, pair)


def translated(ids: UInt8Array, table: npt.NDArray[np.int16], pair: Pair) -> UInt8Array:
    """Return ids through a table of true ids, uint8 [H, W]. Raises SourceError for ids that must not occur."""
    truth = table[ids]
    if (strange := np.unique(ids[truth == UNKNOWN])).size:
        known = ", ".join(str(index) for index in np.flatnonzero(table != UNKNOWN))
        raise SourceError(
            f"labels {pair.label_path}: got the ids {', '.join(map(str, strange[:8]))}; expected {known}. "
            "Choose another taxonomy, or --layout binary where everything above 0 is the subject."
        )
    return truth.astype(np.uint8)


def binary_reader(pair: Pair) -> UInt8Array:
    """Return 1 where a mask is above 0 (0/1, 0/255 and instance ids alike), uint8 [H, W]."""
    return (_plane(pair) > 0).astype(np.uint8)


def alpha_reader(pair: Pair) -> FloatArray:
    """Return a matte of 8 or 16 bits as float32 [H, W], 0..1; of an RGBA file its alpha. Raises SourceError."""
    plane = _plane(pair)
    if plane.max(initial=0) == 1:
        raise SourceError(
            f"labels {pair.label_path}: got a mask of 0 and 1; expected a matte up to {np.iinfo(plane.dtype).max}. "
            "Choose taxonomy person."
        )
    return plane.astype(np.float32) / np.float32(np.iinfo(plane.dtype).max)


def _ids(pair: Pair, taxonomy: Taxonomy) -> UInt8Array:
    values = read_values(pair.label_path)
    if taxonomy.colors and values.ndim == 3:
        return _by_color(values, taxonomy, pair)
    plane = _one_plane(values, pair)
    if plane.max(initial=0) > IGNORED:
        raise SourceError(f"labels {pair.label_path}: got ids up to {plane.max()}; expected 0 to 255. Convert them.")
    ids = plane.astype(np.uint8)
    if len(taxonomy.classes) == 2 and np.array_equal(np.unique(ids), (0, IGNORED)):
        raise SourceError(
            f"labels {pair.label_path}: got a mask of 0 and 255, and 255 may be subject or ignored; expected 0 and 1. "
            "Give --layout binary where 255 is the subject."
        )
    return ids


def _by_color(values: npt.NDArray[np.generic], taxonomy: Taxonomy, pair: Pair) -> UInt8Array:
    """Return the ids of labels drawn in the taxonomy's colours."""
    rgb = values[..., :3].astype(np.int64)
    codes = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    ids = np.full(codes.shape, UNKNOWN, np.int16)
    for code, index in taxonomy.colors.items():
        ids[codes == code] = index
    if (ids == UNKNOWN).any():
        strange = ", ".join(f"#{code:06x}" for code in np.unique(codes[ids == UNKNOWN])[:4])
        raise SourceError(
            f"labels {pair.label_path}: got the colours {strange}; expected those of taxonomy {taxonomy.name}. "
            "Choose another taxonomy."
        )
    return ids.astype(np.uint8)


def _plane(pair: Pair) -> npt.NDArray[np.uint8 | np.uint16]:
    values = read_values(pair.label_path)
    return _one_plane(values[..., 3:] if values.ndim == 3 and values.shape[2] == 4 else values, pair)


def _one_plane(values: npt.NDArray[np.generic], pair: Pair) -> npt.NDArray[np.uint8 | np.uint16]:
    """Return the one plane of a grey file, or of a colour file that is grey."""
    planes = values.reshape(*values.shape[:2], -1)
    if planes.dtype.kind != "u" or not (planes == planes[..., :1]).all():
        raise SourceError(
            f"labels {pair.label_path}: got {planes.shape[2]} channels of {planes.dtype}; expected one id a pixel, "
            "8 or 16 bits. Convert the labels."
        )
    return np.asarray(planes[..., 0])
