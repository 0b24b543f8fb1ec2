"""Terms of the loss for mattes: each takes probabilities and truth [N, H, W], 0..1, and what is known of the truth."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def averaged(plane: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return planes [N, H, W] averaged over the pixels of another size, [N, h, w]."""
    if tuple(plane.shape[1:]) == size_hw:
        return plane
    return F.adaptive_avg_pool2d(plane[:, None], size_hw)[:, 0]


def rim(truth: Tensor, width_px: int) -> Tensor:
    """Return how much the truth changes within `width_px` of each pixel, [N, H, W], 0..1: 1 along an edge."""
    return _highest(truth, width_px) + _highest(-truth, width_px)


def _highest(plane: Tensor, width_px: int) -> Tensor:
    """Return the maximum over squares, by maxima of shifted planes: much quicker than a pooling layer on a CPU."""
    found = F.pad(plane[:, None], (width_px,) * 4, mode="replicate")[:, 0]
    for dim in (1, 2):
        reach = 1
        while reach < 2 * width_px + 1:
            step = min(reach, 2 * width_px + 1 - reach)
            length = found.shape[dim] - step
            found = torch.maximum(found.narrow(dim, 0, length), found.narrow(dim, step, length))
            reach += step
    return found


def focal(losses: Tensor, shares: Tensor, truth: Tensor, gamma: float) -> Tensor:
    """Return the focal loss of each pixel for a soft truth.

    Source: Li et al., "Generalized Focal Loss", 2020, arXiv 2006.04388 (the quality focal loss).
    """
    return (shares - truth).abs().clamp(min=1e-6) ** gamma * losses


def dice(shares: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return 1 - the soft Dice coefficient over the batch, so that a picture with nobody has no share of its own.

    Args:
        shares: probabilities.
        truth: mattes.
        weight: how much each pixel counts; 0 where the truth is unknown.

    Source: Milletari et al., "V-Net", 2016, arXiv 1606.04797.
    """
    both = (weight * shares * truth).sum()
    return 1 - (2 * both + 1) / ((weight * shares).sum() + (weight * truth).sum() + 1)


def laplacian(shares: Tensor, truth: Tensor, known: Tensor, levels: int) -> Tensor:
    """Return the mean absolute difference of the Laplacian pyramids, each level times 2 to its number.

    Source: Niklaus and Liu, "Context-aware Synthesis for Video Frame Interpolation", 2018, arXiv 1803.10967, used for
        mattes in Hou and Liu, "Context-Aware Image Matting", 2019, arXiv 1909.09725. The pyramid is linear, so that of
        the difference is taken; what is unknown differs by nothing.
    """
    rest = ((shares - truth) * known)[:, None]
    total = rest.new_zeros(())
    for level in range(levels):
        if min(rest.shape[2:]) < 4:
            break
        smaller = _halved(rest)
        detail = rest - F.interpolate(smaller, size=rest.shape[2:], mode="bilinear", align_corners=False)
        total = total + 2**level * detail.abs().mean()
        rest = smaller
    return total


def _halved(planes: Tensor) -> Tensor:
    """Return planes [N, 1, H, W] at half size, blurred with the binomial filter of five taps first."""
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=planes.device) / 16
    kernel = (taps[:, None] * taps[None])[None, None]
    return F.conv2d(F.pad(planes, (2, 2, 2, 2), mode="replicate"), kernel, stride=2)
