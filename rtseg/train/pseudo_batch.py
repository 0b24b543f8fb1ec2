"""Pseudo-labels of a batch, by the averaged copy of the network that is being trained."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rtseg.train.pseudo import AGREEMENT
from rtseg.train.targets import IGNORED


def pseudo_batch(
    logits: Tensor, targets: Tensor, membership: Tensor, may_fill: Tensor, confidence: float = 0.6
) -> Tensor:
    """Return targets uint8 [N, H, W] in which the network has filled in what the truth leaves open.

    The rule is that of `rtseg.train.pseudo.pseudo_targets`.

    Args:
        logits: float [N, C, h, w], of the averaged network; upsampled to the targets where smaller.
        targets: uint8 [N, H, W].
        membership: bool [T, C], see `TargetTable.membership`.
        may_fill: bool [N], `TrainingSample.pseudo` of each sample.
        confidence: 0..1.
    """
    classes = logits.shape[1]
    bare = (targets == IGNORED).flatten(1).all(dim=1)
    coarse = (targets >= classes) & (targets != IGNORED)
    wanted = may_fill[:, None, None] & (coarse | bare[:, None, None])
    places = wanted.nonzero(as_tuple=True)
    if not len(places[0]):
        return targets
    shares = F.softmax(_resized(logits, targets).permute(0, 2, 3, 1)[places].float(), dim=1)
    own = targets[places].long()
    everything = torch.ones_like(membership[:1])
    allowed = torch.cat([membership, everything])[own.clamp(max=len(membership))]
    inside = shares * allowed
    best, choice = inside.max(dim=1)
    mass = inside.sum(dim=1)
    trusted = (best > confidence * mass) & (mass > AGREEMENT)
    filled = targets.clone()
    filled[places] = torch.where(trusted, choice, own).to(torch.uint8)
    return filled


def pseudo_matte_batch(
    logits: Tensor, targets: Tensor, ignored: Tensor, may_fill: Tensor, confidence: float = 0.9
) -> tuple[Tensor, Tensor]:
    """Return mattes uint8 [N, H, W] and ignored bool [N, H, W], filled in where the network is sure.

    Args:
        logits: float [N, 1, h, w], of the averaged network.
        targets: uint8 [N, H, W], mattes.
        ignored: bool [N, H, W], where they are unknown.
        may_fill: bool [N].
        confidence: an unknown pixel is filled where the probability is above it or below 1 - it.
    """
    shares = torch.sigmoid(_resized(logits, targets).float())[:, 0]
    sure = (shares > confidence) | (shares < 1 - confidence)
    filled = ignored & sure & may_fill[:, None, None]
    found = (shares * 255).round().to(torch.uint8)
    return torch.where(filled, found, targets), ignored & ~filled


def _resized(logits: Tensor, targets: Tensor) -> Tensor:
    size_hw = (targets.shape[1], targets.shape[2])
    if tuple(logits.shape[2:]) == size_hw:
        return logits
    return F.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
