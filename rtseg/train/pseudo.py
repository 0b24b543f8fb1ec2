"""Targets from a teacher, kept inside the truth where there is one, and left open where it is not sure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.errors import ConfigError
from rtseg.train.pictures import LabelledPicture, PictureSet
from rtseg.train.sets import RECORD, FileSet, target_path, targets_record
from rtseg.train.targets import IGNORED, TargetTable
from rtseg.types import FloatArray, UInt8Array

Probabilities: TypeAlias = Callable[[UInt8Array], FloatArray]
"""Gives class probabilities float32 [K, h, w], or a matte [1, h, w], at any size, of rgb uint8 [H, W, 3]."""
AGREEMENT: Final = 0.2
"""Probability that a group must have before a choice among its classes is believed."""


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
    filled = target.copy()
    if (target == IGNORED).all():
        sure = probabilities.max(0) > confidence
        filled[sure] = probabilities.argmax(0)[sure]
        return filled
    for index, members in enumerate(table.groups):
        mask = target == len(table.classes) + index
        if mask.any():
            inside = probabilities[np.array(members)][:, mask]
            of_group = inside.sum(0)
            trusted = (inside.max(0) > confidence * of_group) & (of_group > AGREEMENT)
            choice = np.array(members, np.uint8)[inside.argmax(0)]
            filled[mask] = np.where(trusted, choice, target[mask])
    return filled


def pseudo_matte(
    probability: FloatArray, target: UInt8Array, ignored: npt.NDArray[np.bool_] | None, confidence: float = 0.9
) -> tuple[UInt8Array, npt.NDArray[np.bool_]]:
    """Return a matte uint8 [H, W] and where it is unknown, bool [H, W], filled in where the teacher is sure.

    Args:
        probability: of the subject, float32 [H, W].
        target: matte uint8 [H, W].
        ignored: bool [H, W], where it is unknown; None: nowhere, and then also the truth becomes unknown where the
            teacher is sure of a subject that has no label, such as a passer-by.
        confidence: sure is a probability above it, or below 1 - it.
    """
    found = np.rint(probability * 255).astype(np.uint8)
    if ignored is None:
        missed = (probability > confidence) & (target < 128)
        # Along the edge of the subject the two only disagree about a pixel or two.
        near = cv2.dilate(target, np.ones((9, 9), np.uint8)) > 127
        return target, np.asarray(missed & ~near, np.bool_)
    sure = (probability > confidence) | (probability < 1 - confidence)
    return np.where(ignored, found, target), np.asarray(ignored & ~sure, np.bool_)


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

    Args:
        teacher: what labels them.
        pictures: as opened without `targets`.
        out_folder: one folder a set.
        confidence: see `pseudo_targets` and `pseudo_matte`.
        progress: told (pictures done, pictures in all).

    Raises:
        ConfigError: the folder holds targets that were made otherwise, the teacher's classes do not fit, or the set
            is rendered, so that nothing is left to guess.
    """
    if not isinstance(pictures, FileSet):
        raise ConfigError(f"teacher: got {pictures.settings.path} to label; expected pictures on disk. Leave it out.")
    order = order_of(teacher, pictures.table)
    _write_record(teacher, pictures, out_folder, confidence)
    for index, name in enumerate(pictures.names):
        path = target_path(out_folder, name)
        if not path.is_file():
            picture = pictures.original(index)
            planes = _at_size(teacher.probabilities(picture.rgb)[order], picture.target.shape)
            _write_picture(path, _encoded(planes, picture, pictures.table, confidence))
        if progress is not None:
            progress(index + 1, len(pictures.names))
    return out_folder


def order_of(teacher: Teacher, table: TargetTable | None) -> list[int]:
    """Return the teacher's plane of each class of the run."""
    if table is None:
        return [-1]
    if missing := [name for name in table.classes if name not in teacher.classes]:
        raise ConfigError(
            f"teacher {teacher.name}: got no class {', '.join(missing[:3])}; expected every class of the run. Choose "
            "another teacher."
        )
    return [list(teacher.classes).index(name) for name in table.classes]


def _write_record(teacher: Teacher, pictures: FileSet, folder: Path, confidence: float) -> None:
    record: dict[str, Any] = {"of": targets_record(pictures.table), "teacher": teacher.name, "confidence": confidence}
    path = folder / RECORD
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != record:
            raise ConfigError(
                f"targets {folder}: got a folder that another teacher or recipe wrote; expected this one's. Remove it, "
                "or name a new one."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{RECORD}.{os.getpid()}"
    partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    partial.replace(path)


def _at_size(planes: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    height, width = shape
    if planes.shape[1:] == (height, width):
        return planes
    return np.stack([np.asarray(cv2.resize(p, (width, height), interpolation=cv2.INTER_LINEAR)) for p in planes])


def _encoded(planes: FloatArray, picture: LabelledPicture, table: TargetTable | None, confidence: float) -> UInt8Array:
    """Return what is written, in OpenCV's order of channels; see `rtseg.train.sets.target_path`."""
    if table is not None:
        return pseudo_targets(planes, picture.target, table, confidence)
    matte, unknown = pseudo_matte(planes[0], picture.target, picture.ignored, confidence)
    return np.stack([np.zeros_like(matte), unknown.astype(np.uint8) * 255, matte], axis=2)


def _write_picture(path: Path, values: UInt8Array) -> None:
    """Write a PNG that is there wholly or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_bytes(cv2.imencode(".png", values)[1].tobytes())
    partial.replace(path)
