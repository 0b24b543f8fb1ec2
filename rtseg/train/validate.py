"""Scores of a model on labelled pictures while it trains, by the rule that `rtseg eval` has.

The mask at the network's size goes to the size of the labels (a matte bilinearly, classes by nearest), pixels are
pooled over a set, and the mean is over the classes that the truth has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtseg import metrics
from rtseg.datasets import Dataset, Sample, map_labels, open_dataset
from rtseg.datasets.taxonomy import OTHER
from rtseg.errors import ConfigError
from rtseg.preprocess import to_network
from rtseg.train.device import Device, normalised
from rtseg.train.paths import existing, listed_names
from rtseg.train.recipe import Recipe
from rtseg.train.settings import ScoredSet
from rtseg.types import Segmentation, UInt8Array


class Model(Protocol):
    """What is scored: the network in training, a segmenter."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""

    def __call__(self, rgb: UInt8Array, /) -> Segmentation:
        """Return the segmentation of one picture, rgb uint8 [H, W, 3]."""


class TorchModel:
    """A torch network called like a segmenter: the picture is resized, and the mask is of the network's size."""

    def __init__(
        self, network: nn.Module, classes: tuple[str, ...], size_wh: tuple[int, int], device: Device, *, matte: bool
    ) -> None:
        """Prepare.

        Args:
            network: in eval mode, on the device.
            classes: class names.
            size_wh: input width and height.
            device: where it runs.
            matte: True where its one output is a matte.
        """
        self.classes = classes
        """Class names; the index is the label."""
        self._network, self._size_wh, self._device, self._matte = network, size_wh, device, matte

    @torch.no_grad()
    def __call__(self, rgb: UInt8Array) -> Segmentation:
        """Return the segmentation of one picture, rgb uint8 [H, W, 3]."""
        small = torch.from_numpy(np.ascontiguousarray(to_network(rgb, self._size_wh).rgb))[None]
        with self._device.autocast():
            logits: Tensor = self._network(normalised(small.to(self._device.torch)))
        width, height = self._size_wh
        full = F.interpolate(logits.float(), size=(height, width), mode="bilinear", align_corners=False)[0]
        frame_wh = (rgb.shape[1], rgb.shape[0])
        if self._matte:
            alpha = (torch.sigmoid(full[0]) * 255).round().byte().cpu().numpy()
            return Segmentation(self.classes, frame_wh, network_alpha=alpha)
        return Segmentation(self.classes, frame_wh, network_labels=full.argmax(0).byte().cpu().numpy())


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """An opened set of `[[validation.set]]`."""

    settings: ScoredSet
    dataset: Dataset


def open_validation(recipe: Recipe, *, whole: bool = False) -> tuple[ValidationSet, ...]:
    """Return the validation sets of a recipe; `whole`: all of their pictures, whatever their limits.

    Raises:
        ConfigError: a path, a list or a taxonomy cannot be right, or has no class in common with the recipe's.
        SourceError: files are missing.
    """
    return tuple(ValidationSet(settings, _opened(recipe, settings, whole)) for settings in recipe.validation.set)


def _opened(recipe: Recipe, settings: ScoredSet, whole: bool) -> Dataset:
    taxonomy = recipe.taxonomy_of(settings.taxonomy)
    if all(index == OTHER for index in taxonomy.prediction_table(recipe.class_names)[: len(recipe.class_names)]):
        raise ConfigError(
            f"validation set {settings.name}: got taxonomy {taxonomy.name}, of which the classes "
            f"{', '.join(recipe.class_names[:4])} … are none; expected a common class. Add lines under [map]."
        )
    folder = existing(settings.path, recipe.base_folder, f"validation set {settings.name}")
    dataset = open_dataset(folder, taxonomy, layout=settings.layout, split=settings.split)
    if settings.only:
        dataset = dataset.only(listed_names(settings.only, recipe.base_folder, settings.name))
    return dataset.evenly(settings.limit) if settings.limit and not whole else dataset


def score(
    model: Model, samples: Dataset | Iterable[Sample], dataset: Dataset, keep_going: Callable[[], bool] = lambda: True
) -> dict[str, float]:
    """Return the scores of a model on a set, in a fixed order: the set's own score first.

    Args:
        model: called with each picture.
        samples: the pictures; the dataset itself, or some of it.
        dataset: whose taxonomy says what the labels mean.
        keep_going: asked before each picture; what was counted until then is scored.

    Returns:
        `iou` of the classes that the set is about, else `miou`; then `accuracy`, and for mattes `mad`.
    """
    taxonomy = dataset.taxonomy
    confusion = metrics.ConfusionMatrix(len(taxonomy.classes))
    matte_errors: list[float] = []
    for sample in samples:
        if not keep_going():
            break
        result = model(sample.rgb)
        confusion.add(sample.labels, map_labels(result.labels, model.classes, taxonomy))
        if sample.alpha is not None and result.alpha is not None:
            matte_errors.append(metrics.mean_absolute_difference(result.alpha, sample.alpha))
    iou = metrics.iou_by_class(confusion.counts)
    named = [float(iou[taxonomy.classes.index(name)]) for name in taxonomy.headline]
    found = {"iou": float(np.mean(named))} if named else {"miou": metrics.mean_iou(confusion.counts)}
    found["accuracy"] = metrics.pixel_accuracy(confusion.counts)
    return found | ({"mad": float(np.mean(matte_errors))} if matte_errors else {})


def score_sets(
    model: Model, sets: Sequence[ValidationSet], keep_going: Callable[[], bool] = lambda: True
) -> dict[str, float]:
    """Return all scores as "set/score", with `mean`, the weighted mean of the sets' own scores, first."""
    every: dict[str, float] = {}
    total = weights = 0.0
    for each in sets:
        found = score(model, each.dataset, each.dataset, keep_going)
        every |= {f"{each.settings.name}/{key}": value for key, value in found.items()}
        own = next(iter(found.values()))
        if not math.isnan(own):
            total, weights = total + each.settings.weight * own, weights + each.settings.weight
    return {"mean": total / weights if weights else math.nan, **every}
