"""A teacher's probabilities as targets: kept once for each picture, or asked for about each augmented sample.

Note [Kept answers]
    A file holds uint8 [G, h, w, 4]: the probabilities, 0..255, of the run's classes in groups of four planes, which is
    what OpenCV warps at a time; the last group is filled up with zeros. It has the picture's proportions and at most
    `LONGEST_PX` pixels along the longer side, and stays on disk: the system's file cache decides what is in memory.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from rtseg.errors import ConfigError
from rtseg.train.pictures import LabelledPicture, SetSettings
from rtseg.train.pseudo import Teacher, order_of
from rtseg.train.samples import SampleSource, TrainingSample
from rtseg.train.sets import RECORD, FileSet, targets_record
from rtseg.train.targets import TargetTable
from rtseg.types import FloatArray, UInt8Array

LONGEST_PX: Final = 512
PLANES: Final = 4
"""Planes a group; OpenCV warps at most four at once."""


class SoftSet:
    """A set whose pictures carry a teacher's probabilities. Threading: several threads at once."""

    def __init__(self, pictures: FileSet, folder: Path) -> None:
        self._pictures, self._folder = pictures, folder

    @property
    def settings(self) -> SetSettings:
        """Its table in the recipe."""
        return self._pictures.settings

    @property
    def table(self) -> TargetTable | None:
        """The targets; None: mattes."""
        return self._pictures.table

    @property
    def pseudo(self) -> bool:
        """True where the targets leave classes open."""
        return self._pictures.pseudo

    def __len__(self) -> int:
        return len(self._pictures)

    def picture(self, index: int) -> LabelledPicture:
        """Return one picture. Raises SourceError where its files cannot be read."""
        soft = np.load(_answers_path(self._folder, self._pictures.names[index]), mmap_mode="r")
        return replace(self._pictures.picture(index), soft=soft)


class TaughtSource:
    """Samples about each of which a teacher is asked, as it was augmented. Threading: several threads at once.

    Args:
        source: draws them.
        teacher: knows the subject of a matte.
    """

    def __init__(self, source: SampleSource, teacher: Teacher) -> None:
        self._source, self._teacher = source, teacher
        self._one_at_a_time = threading.Lock()

    def draw(self, index: int, size_wh: tuple[int, int]) -> TrainingSample:
        """Return sample `index` with the teacher's matte, uint8 [1, h, w]; see `SampleSource`."""
        sample = self._source.draw(index, size_wh)
        with self._one_at_a_time:
            shares = self._teacher.probabilities(sample.rgb)[-1:]
        return replace(sample, soft=_bytes(shares))


def keep_answers(
    teacher: Teacher,
    pictures: FileSet,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> SoftSet:
    """Write a teacher's probabilities for every picture of a set, and return the set that gives them with it.

    Pictures that are there already are not asked about again, so a killed run goes on where it was.

    Args:
        teacher: what is asked.
        pictures: the set, of classes.
        folder: one a set. See Note [Kept answers].
        progress: told (pictures done, pictures in all).

    Raises:
        ConfigError: the folder holds another teacher's answers, or the teacher lacks classes of the run.
    """
    order = order_of(teacher, pictures.table)
    _check_record(teacher, pictures, folder)
    for index, name in enumerate(pictures.names):
        path = _answers_path(folder, name)
        if not path.is_file():
            rgb = pictures.original(index).rgb
            _write(path, _groups(teacher.probabilities(rgb)[order], rgb.shape[1], rgb.shape[0]))
        if progress is not None:
            progress(index + 1, len(pictures.names))
    return SoftSet(pictures, folder)


def planes_of(groups: UInt8Array, count: int) -> UInt8Array:
    """Return planes uint8 [K, h, w] of groups uint8 [G, h, w, 4]."""
    planes = groups.transpose(0, 3, 1, 2).reshape(-1, *groups.shape[1:3])
    return np.ascontiguousarray(planes[:count])


def _groups(shares: FloatArray, width: int, height: int) -> UInt8Array:
    """Return probabilities float32 [K, H, W] as bytes in groups; see Note [Kept answers]."""
    scale = min(1.0, LONGEST_PX / max(width, height))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.zeros((-(-len(shares) // PLANES) * PLANES, size_wh[1], size_wh[0]), np.uint8)
    for index, plane in enumerate(shares):
        small[index] = _bytes(np.asarray(cv2.resize(plane, size_wh, interpolation=cv2.INTER_AREA), np.float32))
    return np.ascontiguousarray(small.reshape(-1, PLANES, *small.shape[1:]).transpose(0, 2, 3, 1))


def _bytes(shares: FloatArray) -> UInt8Array:
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)


def _answers_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _check_record(teacher: Teacher, pictures: FileSet, folder: Path) -> None:
    record: dict[str, Any] = {"of": targets_record(pictures.table), "teacher": teacher.name, "soft": LONGEST_PX}
    path = folder / RECORD
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != record:
            raise ConfigError(
                f"distil {folder}: got a folder that another teacher or recipe wrote; expected this one's. Remove it, "
                "or name a new one."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _write(path: Path, groups: UInt8Array) -> None:
    """Write an array that is there wholly or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    with partial.open("wb") as file:
        np.save(file, groups)
    partial.replace(path)


def taught(sources: Sequence[SampleSource], teacher: Teacher) -> tuple[SampleSource, ...]:
    """Return sources whose samples a teacher has answered about."""
    return tuple(TaughtSource(source, teacher) for source in sources)
