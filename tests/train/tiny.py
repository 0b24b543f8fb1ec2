"""The smallest run there is: squares to be told from their background, by the smallest network there is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rtseg.datasets import Taxonomy, open_dataset
from rtseg.train.device import choose_device
from rtseg.train.loop import Materials, Trainer
from rtseg.train.losses import LossSettings, build_loss
from rtseg.train.progress import Silent
from rtseg.train.recipe import Recipe, recipe_from
from rtseg.train.run_folder import RunFolder
from rtseg.train.samples import TrainingSample
from rtseg.train.settings import ScoredSet
from rtseg.train.targets import target_table
from rtseg.train.validate import ValidationSet

CLASSES = ["ground", "square"]
NETWORK = {"name": "BiSeNetV2", "width": 0.125, "semantic_width": 0.5, "head_channels": 64}


class Squares:
    """A bright square somewhere on noise."""

    def draw(self, index: int, size_wh: tuple[int, int]) -> TrainingSample:
        rng = np.random.default_rng([7, index])
        width, height = size_wh
        rgb = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
        target = np.zeros((height, width), np.uint8)
        x, y = rng.integers(0, width // 2), rng.integers(0, height // 2)
        rgb[y : y + height // 2, x : x + width // 2] += 130
        target[y : y + height // 2, x : x + width // 2] = 1
        return TrainingSample(rgb, target)


def write_squares(folder: Path, count: int = 6, size_wh: tuple[int, int] = (64, 64), subject: int = 1) -> Path:
    """Write images/ and labels/ of squares; the square's label is `subject`."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        sample = Squares().draw(1000 + index, size_wh)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), sample.rgb)
        cv2.imwrite(str(folder / "labels" / f"{index}.png"), sample.target * np.uint8(subject))
    return folder


def squares_dataset(folder: Path, count: int = 6) -> tuple[ValidationSet, ...]:
    """A validation set of squares on disk."""
    dataset = open_dataset(write_squares(folder, count), Taxonomy("squares", tuple(CLASSES)))
    return (ValidationSet(ScoredSet(name="squares", path=str(folder), taxonomy="squares"), dataset),)


def tables(steps: int = 12, **changes) -> dict:
    """The tables of a recipe whose set is never opened."""
    return {
        "network": NETWORK,
        "classes": {"names": CLASSES},
        "set": [{"name": "squares", "path": "nowhere", "labelled": False}],
        "schedule": {"steps": steps, "rate": 0.01, "phases": [{"size_wh": [64, 64], "batch": 2}]},
        "average": {"horizon": 5},
        "validation": {"every": 0.5},
    } | changes


def tiny_recipe(folder: Path, steps: int = 12, **changes) -> Recipe:
    return recipe_from(tables(steps, **changes), folder)


def tiny_trainer(
    folder: Path,
    steps: int = 12,
    *,
    resume=False,
    source=None,
    listener=None,
    validation=(),
    device=None,
    every_step=False,
    replicas=1,
    **changes,
):
    """A trainer of squares in a folder, resumed where asked for; `every_step` writes a checkpoint after each."""
    if "validation_settings" in changes:
        changes["validation"] = changes.pop("validation_settings")
    recipe = tiny_recipe(folder, steps, **changes)
    table = target_table(CLASSES)
    run = RunFolder(folder)
    run.begin(recipe, resume=resume)
    materials = Materials(
        sources=tuple((source or Squares()) for _ in recipe.schedule.phases),
        loss=build_loss(LossSettings(), table),
        membership=_membership(table),
        validation=validation,
    )
    device = device or choose_device("cpu", threads=1)
    seconds = 0.0 if every_step else 1e9
    trainer = Trainer(
        recipe, materials, run, device, listener or Silent(), replicas=replicas, checkpoint_seconds=seconds
    )
    if resume:
        trainer.resume()
    return trainer


def _membership(table):
    import torch

    return torch.from_numpy(table.membership())


def weights_of(trainer) -> dict:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}
