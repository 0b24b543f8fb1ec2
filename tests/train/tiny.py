"""The smallest run there is: squares to be told from their background, by the smallest network there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtseg.train.device import choose_device
from rtseg.train.loop import Materials, Trainer
from rtseg.train.losses import LossSettings, build_loss
from rtseg.train.progress import Silent
from rtseg.train.recipe import Recipe, recipe_from
from rtseg.train.run_folder import RunFolder
from rtseg.train.samples import TrainingSample
from rtseg.train.targets import target_table

CLASSES = ["ground", "square"]


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


def tables(steps: int = 12, **changes) -> dict:
    """The tables of a recipe whose set is never opened."""
    return {
        "network": {"name": "BiSeNetV2", "width": 0.125, "semantic_width": 0.5, "head_channels": 64},
        "classes": {"names": CLASSES},
        "set": [{"name": "squares", "path": "nowhere", "labelled": False}],
        "schedule": {"steps": steps, "rate": 0.01, "phases": [{"size_wh": [64, 64], "batch": 2}]},
        "average": {"horizon": 5},
        "validation": {"every": 0.5},
    } | changes


def tiny_recipe(folder: Path, steps: int = 12, **changes) -> Recipe:
    return recipe_from(tables(steps, **changes), folder)


def tiny_trainer(folder: Path, steps: int = 12, *, resume=False, source=None, listener=None, validation=(), **changes):
    """A trainer of squares in a folder, resumed where asked for."""
    recipe = tiny_recipe(folder, steps, **changes)
    table = target_table(CLASSES)
    run = RunFolder(folder)
    run.begin(recipe, resume=resume)
    loss = build_loss(LossSettings(), table)
    materials = Materials(
        sources=tuple((source or Squares()) for _ in recipe.schedule.phases), loss=loss, validation=validation
    )
    trainer = Trainer(
        recipe, materials, run, choose_device("cpu", threads=1), listener or Silent(), checkpoint_seconds=0.0
    )
    if resume:
        trainer.resume()
    return trainer


def weights_of(trainer) -> dict:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}
