"""The loss of a run: its terms, where they are computed, and the auxiliary outputs of a network in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from rtseg.errors import ConfigError
from rtseg.train.samples import Task
from rtseg.train.targets import TargetTable

TrainingOutput: TypeAlias = "Tensor | tuple[Tensor, list[Tensor]] | tuple[Tensor, list[Tensor], Tensor]"
"""Logits [N, C, h, w]; in training often with a list of auxiliary logits, and with boundary logits [N, 1, h, w]."""
Terms: TypeAlias = "dict[str, Tensor]"


@dataclass(frozen=True, slots=True)
class LossSettings:
    """The table `[loss]` of a recipe; a term of weight 0 is not computed."""

    task: Task = "semantic"
    """semantic: classes and groups; matte: one soft subject."""
    cross_entropy: float = 1.0
    """Weight of the cross-entropy (of a group: of the sum of its classes' probabilities)."""
    focal: float = 0.0
    """Weight of the focal loss."""
    focal_gamma: float = 2.0
    """How strongly the focal loss turns away from easy pixels."""
    dice: float = 0.0
    """Weight of the Dice loss."""
    boundary: float = 0.0
    """Weight of the Dice loss over the band along the true contours."""
    laplacian: float = 0.0
    """Mattes only: weight of the difference of the Laplacian pyramids."""
    laplacian_levels: int = 4
    """Levels of the pyramids."""
    edge_px: int = 2
    """Half width of the band along the true contours, in pixels of the place where the loss is computed."""
    edge_weight: float = 0.0
    """How much more a pixel of that band counts in cross-entropy and focal loss (1: twice)."""
    ohem_share: float = 1.0
    """Online hard examples: the share of the pixels that is kept in any case; 1 keeps all."""
    ohem_threshold: float = 0.7
    """Pixels whose right answer has less than this probability are always kept."""
    label_smoothing: float = 0.0
    """Semantic only: share of the truth that is spread over all classes."""
    auxiliary: float = 0.4
    """Weight of each auxiliary output."""
    class_weighting: Literal["none", "frequency"] = "none"
    """frequency: a target counts by its share of the pixels to the power of minus `class_power`."""
    class_power: float = 0.25
    """See `class_weighting`."""
    class_bounds: tuple[float, float] = (0.4, 4.0)
    """Smallest and largest class weight, before which they are scaled to a mean of 1 a pixel."""
    at: Literal["logits", "target"] = "logits"
    """logits: the target is brought to the size of the logits; target: the logits to the size of the target."""
    boundary_branch: float = 20.0
    """Weight of the boundary branch of a network that has one (PIDNet's lambda_1)."""
    boundary_branch_classes: float = 1.0
    """Weight of the cross-entropy where that branch sees a boundary (PIDNet's lambda_3)."""
    boundary_branch_threshold: float = 0.8
    """Probability above which it sees one (PIDNet's t)."""

    def __post_init__(self) -> None:
        """Check what a recipe may have wrong."""
        weights = (self.cross_entropy, self.focal, self.dice, self.boundary, self.laplacian)
        if min(weights) < 0 or not any(weights):
            raise ConfigError(f"loss: got the weights {weights}; expected none below 0 and one above. Weigh a term.")
        if self.task == "semantic" and self.laplacian:
            raise ConfigError("loss: got laplacian for classes; expected it for mattes only. Set it to 0.")
        if self.task == "matte" and (self.label_smoothing or self.class_weighting != "none"):
            raise ConfigError("loss: got label_smoothing or class_weighting for a matte; expected neither. Drop them.")
        for name in ("ohem_share", "ohem_threshold", "boundary_branch_threshold"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"loss {name}: got {getattr(self, name)}; expected above 0 and at most 1. Change it.")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"loss label_smoothing: got {self.label_smoothing}; expected 0 to below 1. Change it.")
        if self.edge_px < 1 or self.laplacian_levels < 1:
            raise ConfigError(
                f"loss: got edge_px {self.edge_px}, laplacian_levels {self.laplacian_levels}; expected 1."
            )


class SegmentationLoss(nn.Module):
    """The weighted sum of the terms, over the output and its auxiliary outputs."""

    def forward(
        self, output: TrainingOutput, target: Tensor, ignored: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss and its terms (detached, unweighted, of the main output), all float32.

        Args:
            output: what the network gave in training.
            target: uint8 [N, H, W], see Note [Training targets].
            ignored: mattes only: bool [N, H, W], True where the target is unknown.
        """
        raise NotImplementedError


def build_loss(
    settings: LossSettings,
    table: TargetTable | None = None,
    frequencies: npt.NDArray[np.floating] | npt.NDArray[np.integer] | None = None,
) -> SegmentationLoss:
    """Return the loss of a run.

    Args:
        settings: its terms.
        table: the targets; None for mattes.
        frequencies: how often each target occurs, [T], in any unit; needed for class_weighting = frequency.

    Raises:
        ConfigError: something that the settings need is missing.
    """
    raise NotImplementedError
