"""Terms of the loss for classes, each of which understands groups: a group is right by the sum of its classes.

Note [Rows]
    The terms work on rows: one pixel of the batch a row, its target id beside it. Nothing of the size pixels x classes
    is made but the logarithms of the shares themselves, because memory bandwidth is what a CPU lacks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtseg.train.targets import IGNORED, TargetTable


class TargetMap(nn.Module):
    """A `TargetTable` as tensors that follow the loss to its device."""

    member: Tensor
    """float [T, C]: 1 where the class is right under the target."""
    forbidden: Tensor
    """float [T, C]: 0 where it is right, else a large negative number."""
    implied: Tensor
    """float [T, T]: 1 where a pixel of the second target is certainly one of the first."""
    told: Tensor
    """float [T, T]: 1 where it is certainly one, or certainly none."""
    apart: Tensor
    """bool [T + 1, T + 1]: the two targets have no class in common; False for what is ignored (the last)."""

    def __init__(self, table: TargetTable) -> None:
        super().__init__()
        member = torch.from_numpy(table.membership())
        count = member.float()
        common = count @ count.T
        implied, apart = common == count.sum(1)[None], common == 0
        self.classes, self.targets = len(table.classes), len(table)
        self.register_buffer("member", count, persistent=False)
        self.register_buffer("forbidden", torch.where(member, 0.0, -1e4), persistent=False)
        self.register_buffer("implied", implied.float(), persistent=False)
        self.register_buffer("told", (implied | apart).float(), persistent=False)
        self.register_buffer("apart", F.pad(apart, (0, 1, 0, 1)), persistent=False)

    def ids(self, target: Tensor) -> Tensor:
        """Return targets uint8 [...] as int64 [...], what is ignored as T."""
        ids = target.long()
        return torch.where(ids == IGNORED, self.targets, ids)


def sampled(target: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return the targets [N, H, W] that lie nearest to the centres of the pixels of another size, [N, h, w]."""
    height, width = target.shape[1:]
    if size_hw == (height, width):
        return target
    rows = torch.arange(size_hw[0], device=target.device).add(0.5).mul(height / size_hw[0]).long()
    columns = torch.arange(size_hw[1], device=target.device).add(0.5).mul(width / size_hw[1]).long()
    return target[:, rows[:, None], columns[None]]


def log_shares(logits: Tensor) -> Tensor:
    """Return the logarithms of the class probabilities, float32 [N * H * W, C], of logits [N, C, H, W]."""
    rows = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    return F.log_softmax(rows.float(), dim=1)


def surprise(shares: Tensor, ids: Tensor, table: TargetMap) -> Tensor:
    """Return minus the logarithm of the probability of the target of each row, [P], at least 0; 0 where ignored.

    Args:
        shares: log probabilities [P, C].
        ids: int64 [P], T where ignored.
        table: the targets.
    """
    fine = torch.where(ids < table.classes, ids, -100)
    found = F.nll_loss(shares, fine, ignore_index=-100, reduction="none")
    coarse = ((ids >= table.classes) & (ids < table.targets)).nonzero().squeeze(1)
    if len(coarse):
        allowed = shares[coarse] + table.forbidden[ids[coarse]]
        found = found.index_put((coarse,), -torch.logsumexp(allowed, dim=1))
    return found.clamp(min=0)


def hard_examples(losses: Tensor, known: Tensor, share: float, threshold: float) -> Tensor:
    """Return which rows to keep, bool [P]: those less sure than `threshold`, at least `share` of the known ones.

    Args:
        losses: minus log probability of the truth, [P].
        known: bool [P].
        share: 0..1.
        threshold: probability of the truth under which a row is always kept.

    Source: Shrivastava et al., "Training Region-based Object Detectors with Online Hard Example Mining", 2016, arXiv
        1604.03540; with a threshold as in Wu et al., "Bridging Category-level and Instance-level Semantic Image
        Segmentation", 2016, arXiv 1605.06885.
    """
    if share >= 1:
        return known
    surprising = torch.where(known, losses.detach(), -1.0)
    limit = -torch.log(torch.tensor(threshold, device=losses.device))
    wanted = max(1, int(share * int(known.sum())))
    if int((surprising > limit).sum()) < wanted:
        limit = surprising.topk(wanted).values[-1]
        return known & (surprising >= limit)
    return surprising > limit


def focal(losses: Tensor, gamma: float) -> Tensor:
    """Return the focal loss of each row from minus the log probability of its target.

    Source: Lin et al., "Focal Loss for Dense Object Detection", 2017, arXiv 1708.02002.
    """
    return (1 - torch.exp(-losses)).clamp(min=1e-6) ** gamma * losses


def dice(shares: Tensor, ids: Tensor, table: TargetMap) -> Tensor:
    """Return 1 - the soft Dice coefficient, averaged over the targets that occur in the batch.

    A pixel of a group says nothing about the classes inside it and is left out of their sums, but counts against every
    other class, and for the group. All sums follow from one small table: the probability mass that each class has on
    the pixels of each target.

    Args:
        shares: probabilities [P, C].
        ids: int64 [P], T where ignored.
        table: the targets.

    Source: Milletari et al., "V-Net", 2016, arXiv 1606.04797.
    """
    mass = shares.new_zeros(table.targets + 1, table.classes).index_add(0, ids, shares)[: table.targets]
    counts = torch.bincount(ids, minlength=table.targets + 1)[: table.targets].to(shares.dtype)
    of_target = table.member @ mass.T
    shared = (of_target * table.implied).sum(1)
    found = (of_target * table.told).sum(1)
    true = table.implied @ counts
    missed = 1 - (2 * shared + 1) / (found + true + 1)
    present = (counts > 0).to(shares.dtype)
    return (missed * present).sum() / present.sum().clamp(min=1)


def contour_band(target: Tensor, table: TargetMap, width_px: int) -> Tensor:
    """Return the pixels at most `width_px` from a contour between things that differ for certain, bool [N, H, W].

    Args:
        target: uint8 [N, H, W]; no contour runs along what is ignored, nor between a group and a class inside it.
        table: the targets.
        width_px: 1 is the pixels on both sides of the contour.
    """
    ids = table.ids(target)
    band = torch.zeros(ids.shape, dtype=torch.bool, device=ids.device)
    beside = table.apart[ids[:, :, 1:], ids[:, :, :-1]]
    below = table.apart[ids[:, 1:], ids[:, :-1]]
    band[:, :, 1:] |= beside
    band[:, :, :-1] |= beside
    band[:, 1:] |= below
    band[:, :-1] |= below
    if width_px == 1:
        return band
    wide = F.max_pool2d(band[:, None].float(), 2 * width_px - 1, stride=1, padding=width_px - 1)
    return wide[:, 0] > 0
