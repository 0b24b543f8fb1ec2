"""The frames on which a built network is held against the float one: labelled, of a built-in scene, or any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rtseg.builder.calibration import SCENES, check_ends, evenly
from rtseg.datasets import Dataset
from rtseg.datasets.taxonomy import OTHER
from rtseg.errors import ConfigError, SourceError
from rtseg.geometry import resize_labels
from rtseg.models.checks import Task
from rtseg.preprocess import to_network
from rtseg.sources import open_source
from rtseg.sources.synthetic import SyntheticSource
from rtseg.types import UInt8Array

LEAST_FRAMES: Final = 32
"""Fewer would let chance decide."""
DEFAULT_FRAMES: Final = 48
FRAMES_A_SCENE: Final = 8
_FIRST_SEED: Final = 901
"""Not one of the scenes that calibration looks at."""


@dataclass(frozen=True, slots=True, eq=False)
class ParityFrames:
    """Pictures at the network's size, with their truth where there is one."""

    name: str
    pictures: tuple[UInt8Array, ...]
    """rgb uint8 [h, w, 3]."""
    truths: tuple[UInt8Array, ...] | None
    """Ids of `classes` of every pixel, uint8 [h, w], 255 ignored; None: no labels."""
    classes: tuple[str, ...]
    """What the ids are; without truth the model's own classes."""
    table: UInt8Array
    """The id here of each label of the model, uint8 [256]; 254 for what is unknown here."""
    facts: dict[str, Any]
    """Where they come from, for the report."""


def labelled_frames(
    dataset: Dataset, model_classes: Sequence[str], size_wh: tuple[int, int], count: int = DEFAULT_FRAMES
) -> ParityFrames:
    """Return pictures of a labelled set, spread evenly over it, at the network's size.

    Raises:
        ConfigError: fewer than `LEAST_FRAMES` are asked for, or no class of the model is one of the taxonomy.
        SourceError: the set is too small or cannot be read.
    """
    chosen = dataset.evenly(_checked(count))
    if len(chosen) < LEAST_FRAMES:
        raise SourceError(
            f"parity data {dataset.name}: got {len(chosen)} pictures; expected at least {LEAST_FRAMES}. Add more, or "
            "leave --data out for the built-in scene."
        )
    taxonomy = dataset.taxonomy
    table = taxonomy.prediction_table(model_classes)
    if (table[: len(model_classes)] == OTHER).all():
        raise ConfigError(
            f"taxonomy {taxonomy.name}: got a model with {', '.join(list(model_classes)[:5])}; expected classes such "
            f"as {', '.join(taxonomy.classes[:5])}. Choose another taxonomy."
        )
    samples = list(chosen)
    return ParityFrames(
        name=dataset.name,
        pictures=tuple(np.array(to_network(sample.rgb, size_wh).rgb) for sample in samples),
        truths=tuple(resize_labels(sample.labels, size_wh) for sample in samples),
        classes=taxonomy.classes,
        table=table,
        facts={"taxonomy": taxonomy.name, "split_hash": chosen.split_hash()},
    )


def unlabelled_frames(
    spec: str, model_classes: Sequence[str], size_wh: tuple[int, int], count: int = DEFAULT_FRAMES
) -> ParityFrames:
    """Return frames of any source, spread evenly over it, at the network's size.

    Raises:
        ConfigError: fewer than `LEAST_FRAMES` are asked for, or the source never ends.
        SourceError: the source cannot be opened or is too short.
    """
    _checked(count)
    with open_source(spec) as source:
        check_ends(source, "parity data")
        name = source.info.source_id
        pictures = evenly((to_network(frame.picture, size_wh).rgb for frame in source.frames()), count)
    if len(pictures) < LEAST_FRAMES:
        raise SourceError(
            f"parity data {name}: got {len(pictures)} frames; expected {LEAST_FRAMES}. Give a longer one."
        )
    table = np.arange(256, dtype=np.uint8)
    return ParityFrames(name, tuple(np.array(p) for p in pictures), None, tuple(model_classes), table, {})


def scene_frames(
    task: Task, model_classes: Sequence[str], size_wh: tuple[int, int], count: int = DEFAULT_FRAMES
) -> ParityFrames:
    """Return frames of the built-in scene for a task, of several seeds, with their truth where the classes fit.

    Raises:
        ConfigError: fewer than `LEAST_FRAMES` are asked for.
    """
    _checked(count)
    pictures: list[UInt8Array] = []
    truths: list[UInt8Array] = []
    classes: tuple[str, ...] = ()
    for first in range(0, count, FRAMES_A_SCENE):
        source = SyntheticSource(
            SCENES[task].removeprefix("synthetic:"),
            frame_count=min(FRAMES_A_SCENE, count - first),
            fps=1,
            seed=_FIRST_SEED + first // FRAMES_A_SCENE,
        )
        classes = source.classes
        with source:
            for frame in source.frames():
                pictures.append(to_network(frame.picture, size_wh).rgb)
                truths.append(resize_labels(source.truth(frame.frame_index), size_wh))
    return _of_scene(SCENES[task], pictures, truths, classes, tuple(model_classes))


def _of_scene(
    name: str,
    pictures: Sequence[UInt8Array],
    truths: Sequence[UInt8Array],
    classes: tuple[str, ...],
    model_classes: tuple[str, ...],
) -> ParityFrames:
    """Return a scene's frames; without truth where the model knows none of its classes."""
    table = np.full(256, OTHER, np.uint8)
    for label, name_of_class in enumerate(model_classes):
        if name_of_class in classes:
            table[label] = classes.index(name_of_class)
    if (table == OTHER).all():
        return ParityFrames(name, tuple(pictures), None, model_classes, np.arange(256, dtype=np.uint8), {})
    return ParityFrames(name, tuple(pictures), tuple(truths), classes, table, {})


def _checked(count: int) -> int:
    if count < LEAST_FRAMES:
        raise ConfigError(
            f"parity: got {count} frames; expected at least {LEAST_FRAMES}, or chance decides. Leave it out."
        )
    return count
