"""Class sets of the street data and how a coarse label teaches the 19 fine classes.

A training target is one byte a pixel: 0..18 is a Cityscapes train id, 19 and up names one of `COARSE_SETS` (any of its
classes is right), 255 is ignored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

STREET_CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
STREET_PALETTE = (
    "#804080", "#f423e8", "#464646", "#66669c", "#be9999", "#999999", "#faaa1e", "#dcdc00", "#6b8e23", "#98fb98",
    "#4682b4", "#dc143c", "#ff0000", "#00008e", "#000046", "#003c64", "#005064", "#0000e6", "#770b20",
)  # fmt: skip
IGNORED = 255
CAMVID_TO_FINE: tuple[tuple[int, ...], ...] = (
    (10,), (2, 3), (5,), (0,), (1,), (8, 9), (6, 7), (4,), (13, 14, 15, 16), (11,), (12, 17, 18),
)  # fmt: skip
IDD_TO_FINE: tuple[tuple[int, ...], ...] = (
    (0,), (1, 9), (11, 12), (13, 14, 15, 16, 17, 18), (3, 4, 5, 6, 7), (2, 8), (10,),
)  # fmt: skip
COARSE_SETS: tuple[tuple[int, ...], ...] = tuple(
    sorted({s for sets in (CAMVID_TO_FINE, IDD_TO_FINE) for s in sets if len(s) > 1})
)


def extended_ids(sets: tuple[tuple[int, ...], ...]) -> npt.NDArray[np.uint8]:
    """Return a table uint8 [256] from a set's ids to training targets."""
    table = np.full(256, IGNORED, np.uint8)
    for own, fine in enumerate(sets):
        table[own] = fine[0] if len(fine) == 1 else len(STREET_CLASSES) + COARSE_SETS.index(fine)
    return table


def coarse_ids(sets: tuple[tuple[int, ...], ...]) -> npt.NDArray[np.uint8]:
    """Return a table uint8 [256] from fine train ids to a set's own ids, 255 where it has none."""
    table = np.full(256, IGNORED, np.uint8)
    for own, fine in enumerate(sets):
        table[list(fine)] = own
    return table


def membership() -> npt.NDArray[np.float32]:
    """Return float32 [19 + coarse sets, 19]: 1 where the class is allowed by the target."""
    classes = len(STREET_CLASSES)
    table = np.zeros((classes + len(COARSE_SETS), classes), np.float32)
    table[np.arange(classes), np.arange(classes)] = 1
    for index, fine in enumerate(COARSE_SETS):
        table[classes + index, list(fine)] = 1
    return table


class MixedTaxonomyLoss(torch.nn.Module):
    """Mean of -log of the probability of the allowed classes, weighted by target id.

    Args:
        weights: float [19 + coarse sets], one weight a target id.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.classes = len(STREET_CLASSES)
        self.register_buffer("weights", weights)
        allowed = torch.from_numpy(membership()[self.classes :])
        self.register_buffer("forbidden", torch.where(allowed > 0, 0.0, -1e4))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            logits: float [N, 19, H, W].
            targets: uint8 or long [N, H, W]; 255 is ignored.
        """
        rows = logits.permute(0, 2, 3, 1).reshape(-1, self.classes)
        ids = targets.reshape(-1).long()
        fine = torch.where(ids < self.classes, ids, -100)
        weights: Tensor = self.weights
        total = F.cross_entropy(rows, fine, weights[: self.classes], ignore_index=-100, reduction="sum")
        mass = weights[ids[ids < self.classes]].sum()
        coarse = ((ids >= self.classes) & (ids != IGNORED)).nonzero().squeeze(1)
        if len(coarse):
            kept, kinds = rows[coarse], ids[coarse]
            masked = kept + self.forbidden[kinds - self.classes]
            missing = torch.logsumexp(kept, 1) - torch.logsumexp(masked, 1)
            total = total + (missing * weights[kinds]).sum()
            mass = mass + weights[kinds].sum()
        return total / mass.clamp(min=1.0)


def frequency_weights(counts: npt.NDArray[np.int64], power: float = 0.25, highest: float = 4.0) -> Tensor:
    """Return one weight a target id: the share to the power -`power`, scaled to a mean of 1 a pixel, bounded."""
    share = np.maximum(counts / max(1, counts.sum()), 1e-5)
    weights = share**-power
    weights = weights / (weights * share).sum()
    return torch.from_numpy(np.clip(weights, 0.4, highest).astype(np.float32))
