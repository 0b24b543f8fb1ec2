"""The loss of a run: its terms, where they are computed, and the auxiliary outputs of a network in training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtseg.errors import ConfigError
from rtseg.train import class_terms, matte_terms
from rtseg.train.class_terms import TargetMap
from rtseg.train.samples import Task
from rtseg.train.targets import IGNORED, TargetTable

TrainingOutput: TypeAlias = "Tensor | tuple[Tensor, list[Tensor]] | tuple[Tensor, list[Tensor], Tensor]"
"""Logits [N, C, h, w]; in training often with a list of auxiliary logits, and with boundary logits [N, 1, h, w]."""


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
    distil: float = 0.0
    """Weight of the cross-entropy with a teacher's probabilities, see `[distil]`; where a teacher and the truth
    contradict each other, the truth alone counts."""
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
        weights = (self.cross_entropy, self.focal, self.dice, self.boundary, self.laplacian, self.distil)
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


class SegmentationLoss(nn.Module, ABC):
    """The weighted sum of the terms over an output; auxiliary outputs are taught by the terms of single pixels."""

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(
        self,
        output: TrainingOutput,
        target: Tensor,
        ignored: Tensor | None = None,
        soft: Tensor | None = None,
        taught: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss and its terms (detached, unweighted, of the main output), all float32.

        Args:
            output: what the network gave in training.
            target: uint8 [N, H, W], see Note [Training targets].
            ignored: mattes only: bool [N, H, W], True where the target is unknown.
            soft: uint8 [N, C, h, w], 0..255: a teacher's probabilities; None: no teacher spoke.
            taught: bool [N], of which samples.
        """
        logits, auxiliary, boundary = unpacked(output)
        terms = self.terms(logits, target, ignored)
        if soft is not None and taught is not None and self.settings.distil:
            terms["distil"] = self.distilled(logits, target, ignored, soft, taught)
        total = self._sum(terms)
        if auxiliary and self.settings.auxiliary:
            sides = torch.stack([self._sum(self.terms(side, target, ignored, whole=False)) for side in auxiliary])
            total = total + self.settings.auxiliary * sides.sum()
            terms["auxiliary"] = sides.mean()
        if boundary is not None:
            extra = self.boundary_terms(boundary, logits, target, ignored)
            total = total + self._sum(extra)
            terms |= extra
        return total, {name: value.detach() for name, value in terms.items()}

    @abstractmethod
    def terms(self, logits: Tensor, target: Tensor, ignored: Tensor | None, whole: bool = True) -> dict[str, Tensor]:
        """Return the terms of one output, by the names of their weights; `whole` False: only those of single pixels."""

    @abstractmethod
    def distilled(self, logits: Tensor, target: Tensor, ignored: Tensor | None, soft: Tensor, taught: Tensor) -> Tensor:
        """Return the mean cross-entropy with a teacher's probabilities, where the truth does not contradict them.

        Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531.
        """

    @abstractmethod
    def boundary_terms(
        self, boundary: Tensor, logits: Tensor, target: Tensor, ignored: Tensor | None
    ) -> dict[str, Tensor]:
        """Return the terms of a boundary branch with logits [N, 1, h, w], by the names of their weights.

        They are PIDNet's l_1 (balanced cross-entropy of the boundary) and l_3 (the main one, where it sees one).

        Source: Xu et al., "PIDNet", 2022, arXiv 2206.02066, section 3.4.
        """

    def _sees_one(self, boundary: Tensor, logits: Tensor) -> Tensor:
        """Return where the boundary branch is sure of a boundary, bool [N, H, W], at the size of the logits."""
        seen = F.interpolate(boundary.detach().float(), size=logits.shape[-2:], mode="bilinear", align_corners=False)
        return seen.sigmoid()[:, 0] > self.settings.boundary_branch_threshold

    def _sum(self, terms: dict[str, Tensor]) -> Tensor:
        return torch.stack([getattr(self.settings, name) * value for name, value in terms.items()]).sum()


class ClassLoss(SegmentationLoss):
    """For classes and groups.

    Args:
        settings: the terms.
        table: the targets.
        weights: float [T], how much a pixel of each target counts.
    """

    weights: Tensor

    def __init__(self, settings: LossSettings, table: TargetTable, weights: Tensor) -> None:
        super().__init__(settings)
        self.targets = TargetMap(table)
        self.register_buffer("weights", F.pad(weights, (0, 1)), persistent=False)

    def terms(self, logits: Tensor, target: Tensor, ignored: Tensor | None, whole: bool = True) -> dict[str, Tensor]:
        """Return the terms of one output."""
        of = self.settings
        logits, target = self._together(logits, _without(target, ignored))
        shares, ids = class_terms.log_shares(logits), self.targets.ids(target).reshape(-1)
        losses, weights = class_terms.surprise(shares, ids, self.targets), self.weights[ids]
        on_band = (whole and of.boundary > 0) or of.edge_weight > 0
        band = class_terms.contour_band(target, self.targets, of.edge_px).reshape(-1) if on_band else None
        if band is not None and of.edge_weight:
            weights = weights * (1 + of.edge_weight * band)
        found: dict[str, Tensor] = {}
        if of.cross_entropy:
            kept = class_terms.hard_examples(losses, ids < self.targets.targets, of.ohem_share, of.ohem_threshold)
            found["cross_entropy"] = weighted_mean(self._smoothed(losses, shares), weights * kept)
        if of.focal:
            found["focal"] = weighted_mean(class_terms.focal(losses, of.focal_gamma), weights)
        if whole and (of.dice or of.boundary):
            found |= self._overlaps(shares.exp(), ids, band)
        return found or {"cross_entropy": weighted_mean(losses, weights)}

    def distilled(self, logits: Tensor, target: Tensor, ignored: Tensor | None, soft: Tensor, taught: Tensor) -> Tensor:
        """Return the mean cross-entropy with a teacher; it is heard where it gives the truth more than one half."""
        logits, target = self._together(logits, _without(target, ignored))
        answers = _as_shares(soft, (logits.shape[2], logits.shape[3])).permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
        answers = answers / answers.sum(dim=1, keepdim=True).clamp(min=1e-3)
        ids = self.targets.ids(target).reshape(-1)
        right = F.pad(self.targets.member, (0, 0, 0, 1), value=1.0)[ids]
        heard = ((answers * right).sum(dim=1) > 0.5) & taught.repeat_interleave(target[0].numel())
        surprise = -(answers * class_terms.log_shares(logits)).sum(dim=1)
        return weighted_mean(surprise, heard.float())

    def boundary_terms(
        self, boundary: Tensor, logits: Tensor, target: Tensor, ignored: Tensor | None
    ) -> dict[str, Tensor]:
        """Return the terms of a boundary branch; a boundary is a contour between targets."""
        small = class_terms.sampled(_without(target, ignored), (boundary.shape[2], boundary.shape[3]))
        known = (self.targets.ids(small) < self.targets.targets).float()
        true = class_terms.contour_band(small, self.targets, 1).float()
        logits, target = self._together(logits, _without(target, ignored))
        ids = self.targets.ids(target).reshape(-1)
        losses = class_terms.surprise(class_terms.log_shares(logits), ids, self.targets)
        trusted = self._sees_one(boundary, logits).reshape(-1)
        return {
            "boundary_branch": balanced_entropy(boundary, true, known),
            "boundary_branch_classes": weighted_mean(losses, self.weights[ids] * trusted),
        }

    def _together(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return both at the size at which the loss is computed."""
        if self.settings.at == "logits":
            return logits, class_terms.sampled(target, (logits.shape[2], logits.shape[3]))
        size = target.shape[1:]
        return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False), target

    def _smoothed(self, losses: Tensor, shares: Tensor) -> Tensor:
        """Source: Szegedy et al., "Rethinking the Inception Architecture", 2015, arXiv 1512.00567."""
        if not self.settings.label_smoothing:
            return losses
        spread = self.settings.label_smoothing
        return (1 - spread) * losses - spread * shares.mean(dim=1)

    def _overlaps(self, shares: Tensor, ids: Tensor, band: Tensor | None) -> dict[str, Tensor]:
        """Return Dice over all pixels, and over the band.

        Source of the second: Cheng et al., "Boundary IoU", 2021, arXiv 2103.16562, as a loss: of the two bands only
        that along the true contours is kept, because where the guessed one lies has no gradient.
        """
        found: dict[str, Tensor] = {}
        if self.settings.dice:
            found["dice"] = class_terms.dice(shares, ids, self.targets)
        if self.settings.boundary and band is not None:
            inside = band.nonzero().squeeze(1)
            found["boundary"] = class_terms.dice(shares[inside], ids[inside], self.targets)
        return found


class MatteLoss(SegmentationLoss):
    """For one soft subject: logits [N, 1, h, w]."""

    def terms(self, logits: Tensor, target: Tensor, ignored: Tensor | None, whole: bool = True) -> dict[str, Tensor]:
        """Return the terms of one output; the target is a matte, 0..255."""
        of = self.settings
        logits, truth, known = self._together(logits, target, ignored)
        shares, edge = torch.sigmoid(logits), matte_terms.rim(truth, of.edge_px)
        weights = known * (1 + of.edge_weight * edge)
        losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        found: dict[str, Tensor] = {}
        if of.cross_entropy:
            flat = losses.reshape(-1)
            kept = class_terms.hard_examples(flat, known.reshape(-1) > 0, of.ohem_share, of.ohem_threshold)
            found["cross_entropy"] = weighted_mean(flat, weights.reshape(-1) * kept)
        if of.focal:
            found["focal"] = weighted_mean(matte_terms.focal(losses, shares, truth, of.focal_gamma), weights)
        if whole and of.dice:
            found["dice"] = matte_terms.dice(shares, truth, known)
        if whole and of.boundary:
            found["boundary"] = matte_terms.dice(shares, truth, known * edge)
        if whole and of.laplacian:
            found["laplacian"] = matte_terms.laplacian(shares, truth, known, of.laplacian_levels)
        return found or {"cross_entropy": weighted_mean(losses, weights)}

    def distilled(self, logits: Tensor, target: Tensor, ignored: Tensor | None, soft: Tensor, taught: Tensor) -> Tensor:
        """Return the mean cross-entropy with a teacher; it is heard where it is within one half of what is known."""
        logits, truth, known = self._together(logits, target, ignored)
        answers = _as_shares(soft, (logits.shape[1], logits.shape[2]))[:, 0]
        heard = ((answers - truth).abs() * known < 0.5) & taught[:, None, None]
        losses = F.binary_cross_entropy_with_logits(logits, answers, reduction="none")
        return weighted_mean(losses, heard.float())

    def boundary_terms(
        self, boundary: Tensor, logits: Tensor, target: Tensor, ignored: Tensor | None
    ) -> dict[str, Tensor]:
        """Return the terms of a boundary branch; a boundary is the rim of the subject."""
        size_hw = (boundary.shape[2], boundary.shape[3])
        known = torch.ones_like(target, dtype=torch.float32) if ignored is None else (~ignored).float()
        true = (matte_terms.rim(matte_terms.averaged(target.float() / 255, size_hw), 1) > 0.5).float()
        logits, truth, seen = self._together(logits, target, ignored)
        losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return {
            "boundary_branch": balanced_entropy(boundary, true, matte_terms.averaged(known, size_hw)),
            "boundary_branch_classes": weighted_mean(losses, seen * self._sees_one(boundary, logits)),
        }

    def _together(self, logits: Tensor, target: Tensor, ignored: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, truth 0..1 and what is known of it (1 or 0), [N, h, w], where the loss is computed."""
        logits, truth = logits.float(), target.float() / 255
        known = torch.ones_like(truth) if ignored is None else (~ignored).float()
        if self.settings.at == "target":
            size = target.shape[1:]
            return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[:, 0], truth, known
        size_hw = (logits.shape[2], logits.shape[3])
        known = (matte_terms.averaged(known, size_hw) > 0.999).float()
        return logits[:, 0], matte_terms.averaged(truth, size_hw), known


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
    if settings.task == "matte":
        return MatteLoss(settings)
    if table is None:
        raise ConfigError("loss: got no targets for classes; expected their table. Give it, or task = matte.")
    if settings.class_weighting == "none":
        return ClassLoss(settings, table, torch.ones(len(table)))
    if frequencies is None or len(frequencies) != len(table):
        raise ConfigError(f"loss: got no frequencies of the {len(table)} targets; expected them to weigh by.")
    return ClassLoss(settings, table, frequency_weights(frequencies, settings.class_power, settings.class_bounds))


def frequency_weights(
    frequencies: npt.NDArray[np.floating] | npt.NDArray[np.integer], power: float, bounds: tuple[float, float]
) -> Tensor:
    """Return one weight a target, float [T]: its share to the power of -`power`, with a mean of 1 a pixel, bounded."""
    share = np.maximum(frequencies / max(1e-12, float(frequencies.sum())), 1e-5)
    weights = share**-power
    weights = weights / (weights * share).sum()
    return torch.tensor(np.clip(weights, *bounds), dtype=torch.float32)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean, 0 where no weight is left."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def balanced_entropy(logits: Tensor, true: Tensor, known: Tensor) -> Tensor:
    """Return the mean cross-entropy of boundary logits [N, 1, H, W], both kinds of pixels weighing the same in all.

    Args:
        logits: of the boundary.
        true: float [N, H, W], 1 on a boundary.
        known: float [N, H, W], 0 where the truth is unknown.
    """
    edges = (true * known).sum() / known.sum().clamp(min=1)
    weight = known * torch.where(true > 0, 1 - edges, edges)
    entropy = F.binary_cross_entropy_with_logits(logits.float()[:, 0], true, reduction="none")
    return (entropy * weight).sum() / known.sum().clamp(min=1)


def _as_shares(soft: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return probabilities float32 [N, K, h, w], 0..1, of bytes at another size."""
    shares = soft.float() / 255
    if tuple(shares.shape[2:]) == size_hw:
        return shares
    return F.interpolate(shares, size=size_hw, mode="bilinear", align_corners=False)


def _without(target: Tensor, ignored: Tensor | None) -> Tensor:
    return target if ignored is None else target.masked_fill(ignored, IGNORED)


def unpacked(output: TrainingOutput) -> tuple[Tensor, list[Tensor], Tensor | None]:
    """Return logits, auxiliary logits and boundary logits of whatever a network gives in training."""
    if isinstance(output, Tensor):
        return output, [], None
    return output[0], list(output[1]), output[2] if len(output) > 2 else None
