"""One number a class, added to its logits after training, so that rare classes are neither missed nor seen everywhere.

A network learns how common each class is in its training samples. Where those favour rare classes (weights of the
loss, views chosen for them, rendered scenes), it names them too often on real footage. The numbers are fitted on
validation pictures by trying steps on one class at a time, and go into the bias of the last convolution: they cost
nothing at run time.

Source of the idea: Menon et al., "Long-tail learning via logit adjustment", 2020, arXiv 2007.07314; there the numbers
follow from the frequencies, here from the score itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from rtseg import metrics
from rtseg.errors import ConfigError
from rtseg.preprocess import to_network
from rtseg.train.device import normalised
from rtseg.train.validate import ValidationSet
from rtseg.types import FloatArray, UInt8Array

PIXELS_A_PICTURE: Final = 4000
"""Pixels of each picture that are looked at, drawn at random."""
STEPS: Final = (1.0, 0.5, 0.25)
"""Steps that are tried, the coarse ones first."""
ROUNDS: Final = 2
"""Rounds over all classes a step."""
PRICE: Final = 4e-4
"""Score that one unit of one class must bring, so that nothing is moved by chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Pixels of one validation set with their logits."""

    logits: FloatArray
    """float32 [P, C]."""
    truth: UInt8Array
    """uint8 [P], ids of the set's own classes."""
    picture: npt.NDArray[np.int64]
    """int64 [P], number of the picture that each is from."""
    table: UInt8Array
    """uint8 [C], the set's class of each of the network's."""
    class_count: int
    """Classes of the set."""
    weight: float
    """Of the set in the mean."""

    def of_parity(self, odd: bool) -> Pixels:
        """Return the pixels of every second picture."""
        chosen = self.picture % 2 == int(odd)
        return Pixels(
            self.logits[chosen], self.truth[chosen], self.picture[chosen], self.table, self.class_count, self.weight
        )


@dataclass(frozen=True, slots=True)
class Offsets:
    """What was fitted, and how it does on pictures that it was not fitted on."""

    values: tuple[float, ...]
    """One number a class of the network."""
    before: float
    """Mean score without them, 0..1."""
    after: float
    """Mean score with numbers fitted on the other half of the pictures, over both halves."""


@torch.no_grad()
def pixels_of(
    network: nn.Module, chosen: ValidationSet, class_names: Sequence[str], size_wh: tuple[int, int]
) -> Pixels:
    """Return some pixels of every picture of a set with their logits.

    Args:
        network: in eval mode, on the CPU.
        chosen: the set.
        class_names: of the network.
        size_wh: its input.
    """
    taxonomy, rng = chosen.dataset.taxonomy, np.random.default_rng(0)
    logits, truth, picture = [], [], []
    for number, sample in enumerate(chosen.dataset):
        batch = torch.from_numpy(np.ascontiguousarray(to_network(sample.rgb, size_wh).rgb))[None]
        planes = F.interpolate(network(normalised(batch)), size=size_wh[::-1], mode="bilinear", align_corners=False)
        height, width = sample.labels.shape
        rows, columns = rng.integers(height, size=PIXELS_A_PICTURE), rng.integers(width, size=PIXELS_A_PICTURE)
        found = planes[0].numpy()[:, rows * size_wh[1] // height, columns * size_wh[0] // width]
        logits.append(found.T.astype(np.float32))
        truth.append(sample.labels[rows, columns])
        picture.append(np.full(PIXELS_A_PICTURE, number))
    return Pixels(
        np.concatenate(logits), np.concatenate(truth), np.concatenate(picture),
        taxonomy.prediction_table(class_names)[: len(class_names)], len(taxonomy.classes), chosen.settings.weight,
    )  # fmt: skip


def mean_score(sets: Sequence[Pixels], offsets: FloatArray) -> float:
    """Return the weighted mean over sets of their mIoU, 0..1, with offsets float32 [C] added to the logits."""
    scores = [
        metrics.mean_iou(
            metrics.confusion_matrix(
                each.truth[None], each.table[(each.logits + offsets).argmax(1)][None], each.class_count
            )
        )
        for each in sets
    ]
    return float(np.average(scores, weights=[each.weight for each in sets]))


def fitted(sets: Sequence[Pixels]) -> FloatArray:
    """Return the offsets float32 [C] that score best, found one class at a time; 0 where a class is never right."""
    classes = sets[0].logits.shape[1]
    known = [index for index in range(classes) if any(_occurs(each, index) for each in sets)]

    def worth(offsets: FloatArray) -> float:
        return mean_score(sets, offsets) - PRICE * float(np.abs(offsets).sum())

    offsets = np.zeros(classes, np.float32)
    best = worth(offsets)
    for step in (step for step in STEPS for _ in range(ROUNDS)):
        for index in known:
            for change in (-step, step):
                trial = offsets.copy()
                trial[index] += change
                if (found := worth(trial)) > best:
                    best, offsets = found, trial
    return offsets


def fit_offsets(
    network: nn.Module, sets: Sequence[ValidationSet], class_names: Sequence[str], size_wh: tuple[int, int]
) -> Offsets:
    """Return the offsets of a network's classes, and how those of each half of the pictures do on the other.

    Args:
        network: in eval mode, on the CPU.
        sets: labelled pictures that it was not trained on.
        class_names: of the network.
        size_wh: its input.

    Raises:
        ConfigError: there is no set.
    """
    if not sets:
        raise ConfigError("export.offsets: got no validation set; expected some. Name one, or leave it out.")
    pixels = [pixels_of(network, each, class_names, size_wh) for each in sets]
    nothing = np.zeros(len(class_names), np.float32)
    halves = [[each.of_parity(odd) for each in pixels] for odd in (False, True)]
    crossed = [mean_score(halves[1 - half], fitted(halves[half])) for half in (0, 1)]
    plain = [mean_score(half, nothing) for half in halves]
    return Offsets(tuple(float(v) for v in fitted(pixels)), float(np.mean(plain)), float(np.mean(crossed)))


@torch.no_grad()
def add_offsets(network: nn.Module, heads: Mapping[str, int], values: Sequence[float]) -> None:
    """Add offsets to the logits of a network, in the bias of its last convolution.

    Args:
        network: whose weights are changed.
        heads: from `rtseg.train.networks.head_weights`.
        values: one a class.

    Raises:
        ConfigError: no bias of the network moves its logits by them.
    """
    aside = tuple(getattr(network, "TRAINING_ONLY", ()))
    state = network.state_dict()
    biases = [name for name in heads if name.endswith(".bias") and not name.startswith(aside or ("\0",))]
    if len(biases) != 1:
        raise ConfigError(f"export.offsets: got {len(biases)} biases of the output; expected one. Leave offsets out.")
    rows = heads[biases[0]]
    state[biases[0]] += torch.tensor(values, dtype=state[biases[0]].dtype).repeat_interleave(rows)


def _occurs(pixels: Pixels, index: int) -> bool:
    own = pixels.table[index]
    return bool(own < pixels.class_count and (pixels.truth == own).any())
