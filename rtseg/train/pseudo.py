"""Targets from a teacher, kept inside the truth where there is one, and ignored where it is not sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rtseg.train.pictures import PictureSet
from rtseg.train.targets import TargetTable
from rtseg.types import FloatArray, UInt8Array

Probabilities: TypeAlias = Callable[[UInt8Array], FloatArray]
"""Gives class probabilities float32 [K, h, w], or a matte [1, h, w], at any size, of rgb uint8 [H, W, 3]."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """What labels pictures; `rtseg.evaluate.ensemble.Ensemble.probabilities` fits."""

    name: str
    """Goes into the folder's record, with whatever makes two teachers different (bundles, views, hashes)."""
    classes: Sequence[str]
    """Class names of its planes; for mattes background and subject."""
    probabilities: Probabilities


def pseudo_targets(
    probabilities: FloatArray, target: UInt8Array, table: TargetTable, confidence: float = 0.6
) -> UInt8Array:
    """Return targets in which the teacher has filled in what the truth leaves open, uint8 [H, W].

    A class stays; of a group the teacher chooses the best member where its share of the group's probability exceeds
    `confidence`, else the group stays; 255 becomes the best class where its probability exceeds `confidence`, but only
    in a picture without any truth: elsewhere it is void, which is none of the classes.

    Args:
        probabilities: float32 [C, H, W].
        target: uint8 [H, W].
        table: the targets.
        confidence: see above, 0..1.
    """
    raise NotImplementedError


def label_set(
    teacher: Teacher,
    pictures: PictureSet,
    out_folder: Path,
    *,
    confidence: float = 0.6,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the targets of every picture of a set, and return the folder, which `SetSettings.targets` takes.

    Pictures that are there already are not labelled again, so a killed run goes on where it was.

    Raises:
        ConfigError: the folder holds targets that were made otherwise, or the teacher's classes do not fit.
    """
    raise NotImplementedError
