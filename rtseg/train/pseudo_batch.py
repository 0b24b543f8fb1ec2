"""Pseudo-labels of a batch, by the averaged copy of the network that is being trained."""

from __future__ import annotations

from torch import Tensor


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
    raise NotImplementedError


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
    raise NotImplementedError
