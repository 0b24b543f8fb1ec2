"""PIDNet-S: three branches, for detail (P), context (I) and boundaries (D); the boundaries decide which one counts.

Source: Jiacong Xu, Zixiang Xiong, Shankar P. Bhattacharyya, "PIDNet: A Real-time Semantic Segmentation Network
Inspired by PID Controllers", 2022, arXiv 2206.02066 (the small variant has (m, n, C) = (2, 3, 32)).
Where the text leaves a detail open (order of batch norm and ReLU, strides of the pyramid), the authors' public code
decides, with one exception: the two bottlenecks at 1/64 have a ReLU between them here.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtseg.models.nets.bisenetv2 import FineHead
from rtseg.models.nets.blocks import conv_bn, initialise, size_hw_of, upsample
from rtseg.models.nets.deploy import deployed
from rtseg.models.nets.residual import (
    Bottleneck,
    ParallelAggregationPyramid,
    ResidualBlock,
    preactivated_head,
    residual_stage,
    stem,
)


class PixelAttention(nn.Module):
    """Pag: at each place, take from the context branch as much as its features agree with the detail's."""

    def __init__(self, channels: int, middle_channels: int) -> None:
        super().__init__()
        self.of_detail = conv_bn(channels, middle_channels, 1)
        self.of_context = conv_bn(channels, middle_channels, 1)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Return features of the shape of `detail`; `context` has the same channels and fewer pixels."""
        size_hw = size_hw_of(detail)
        product = self.of_detail(detail) * upsample(self.of_context(context), size_hw)
        trust = torch.sigmoid(product.sum(dim=1, keepdim=True))
        return detail + trust * (upsample(context, size_hw) - detail)


class LightBoundaryFusion(nn.Module):
    """Light-Bag: where the boundary branch fires the detail counts, elsewhere the context does."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_detail = conv_bn(channels, channels, 1)
        self.of_context = conv_bn(channels, channels, 1)

    def forward(self, detail: Tensor, context: Tensor, boundary: Tensor) -> Tensor:
        """Return features of the common shape [N, channels, H, W]."""
        edge = torch.sigmoid(boundary)
        fused: Tensor = self.of_detail((1 - edge) * context + detail) + self.of_context(context + edge * detail)
        return fused


class ContextBranch(nn.Module):
    """The I branch from 1/8 down to 1/64 and its pyramid; gives its features at every scale.

    Args:
        in_channels: channels at 1/8.
        channels: channels at 1/16 and 1/32.
        blocks: residual blocks a stage (the paper's n).
        pool_channels: channels of each view in the pyramid.
        out_channels: channels of the result.
    """

    def __init__(
        self, in_channels: int, channels: tuple[int, int], blocks: int, pool_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        sixteenth, last = channels
        self.sixteenth = residual_stage(in_channels, sixteenth, blocks, stride=2)
        self.last = residual_stage(sixteenth, last, blocks, stride=2)
        self.embed = nn.Sequential(Bottleneck(last, last, 2, activate=True), Bottleneck(2 * last, last))
        self.pyramid = ParallelAggregationPyramid(2 * last, pool_channels, out_channels)

    def forward(self, eighth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features at 1/16 and 1/32 after ReLU, and the pyramid's at 1/64."""
        sixteenth = F.relu(self.sixteenth(eighth))
        last = F.relu(self.last(sixteenth))
        return sixteenth, last, self.pyramid(self.embed(last))


class DetailBranch(nn.Module):
    """The P branch, kept at 1/8, which takes from the context branch twice by attention."""

    def __init__(self, channels: int, context_channels: tuple[int, int], blocks: int) -> None:
        super().__init__()
        self.first = residual_stage(channels, channels, blocks)
        self.second = residual_stage(channels, channels, blocks)
        self.third = Bottleneck(channels, channels)
        self.narrow = nn.ModuleList(conv_bn(c, channels, 1) for c in context_channels)
        self.attend = nn.ModuleList(PixelAttention(channels, channels // 2) for _ in context_channels)

    def forward(self, eighth: Tensor, sixteenth: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features after the first attention and the final ones, both before ReLU."""
        first: Tensor = self.attend[0](self.first(eighth), self.narrow[0](sixteenth))
        second = self.attend[1](self.second(F.relu(first)), self.narrow[1](last))
        return first, self.third(F.relu(second))


class BoundaryBranch(nn.Module):
    """The D branch, kept at 1/8, which adds the context branch's features twice."""

    def __init__(self, channels: int, context_channels: tuple[int, int]) -> None:
        super().__init__()
        self.first = ResidualBlock(channels, channels // 2, activate=False)
        self.second = Bottleneck(channels // 2, channels // 2)
        self.third = Bottleneck(channels, channels)
        sixteenth, last = context_channels
        self.difference = nn.ModuleList([conv_bn(sixteenth, channels // 2, 3), conv_bn(last, channels, 3)])

    def forward(self, eighth: Tensor, sixteenth: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features that the boundary head sees and the final ones, both before ReLU."""
        size_hw = size_hw_of(eighth)
        first = self.first(eighth) + upsample(self.difference[0](sixteenth), size_hw)
        second: Tensor = self.second(F.relu(first)) + upsample(self.difference[1](last), size_hw)
        return second, self.third(F.relu(second))


class PidNet(nn.Module):
    """The three-branch network; in training it also returns auxiliary and boundary logits.

    Args:
        classes: output classes.
        planes: channels of the stem (the paper's C); 32 is PIDNet-S.
        context_channels: channels of the I branch at 1/16 and 1/32; None takes the paper's (4, 8) times `planes`.
        blocks: residual blocks a stage up to 1/8 and of the P branch, and of the I branch (the paper's m and n).
        pool_channels: channels of each view in the pyramid; PIDNet-S has 96.
        head_channels: middle channels of the heads; PIDNet-S has 128.
        fine: True for logits at 1/2 from a head that also sees 1/4 (not in the paper), False for the paper's at 1/8.
        full_size: True upsamples the logits to the input's size in the graph, False leaves them at the head's.
    """

    TRAINING_ONLY: ClassVar[tuple[str, ...]] = ("auxiliary", "boundary_head")

    def __init__(
        self,
        classes: int = 19,
        planes: int = 32,
        context_channels: tuple[int, int] | None = None,
        blocks: tuple[int, int] = (2, 3),
        pool_channels: int = 96,
        head_channels: int = 128,
        fine: bool = False,
        full_size: bool = True,
    ) -> None:
        super().__init__()
        self.fine, self.full_size = fine, full_size
        detail, fused = 2 * planes, 4 * planes
        deep = context_channels or (4 * planes, 8 * planes)
        self.stem = stem(planes)
        self.quarter = residual_stage(planes, planes, blocks[0])
        self.eighth = residual_stage(planes, detail, blocks[0], stride=2)
        self.context = ContextBranch(detail, deep, blocks[1], pool_channels, fused)
        self.detail = DetailBranch(detail, deep, blocks[0])
        self.boundary = BoundaryBranch(detail, deep)
        self.fuse = LightBoundaryFusion(fused)
        self.activate = nn.Sequential(nn.BatchNorm2d(fused), nn.ReLU(inplace=True)) if fine else nn.Identity()
        self.head: nn.Module = (
            FineHead(fused, planes, head_channels, classes)
            if fine
            else preactivated_head(fused, head_channels, classes)
        )
        self.auxiliary: nn.Module | None = preactivated_head(detail, head_channels, classes)
        self.boundary_head: nn.Module | None = preactivated_head(detail, planes, 1)
        initialise(self)

    def forward(self, batch_nchw: Tensor) -> Tensor | tuple[Tensor, list[Tensor], Tensor]:
        """Return logits [N, classes, H, W]; in training also a list of auxiliary logits and boundary logits, at 1/8.

        The boundary logits are [N, 1, H/8, W/8]: their sigmoid is the probability of a boundary between classes.

        Args:
            batch_nchw: float [N, 3, H, W], RGB, normalised; any size. Training needs N >= 2 (see `PyramidScales`).
        """
        quarter = F.relu(self.quarter(self.stem(batch_nchw)))
        eighth = F.relu(self.eighth(quarter))
        sixteenth, last, context = self.context(eighth)
        first_detail, detail = self.detail(eighth, sixteenth, last)
        edges, boundary = self.boundary(eighth, sixteenth, last)
        fused = self.activate(self.fuse(detail, upsample(context, size_hw_of(detail)), boundary))
        logits: Tensor = self.head(fused, quarter) if self.fine else self.head(fused)
        if self.full_size:
            logits = upsample(logits, size_hw_of(batch_nchw))
        if not self.training or self.auxiliary is None or self.boundary_head is None:
            return logits
        return logits, [self.auxiliary(first_detail)], self.boundary_head(edges)

    def deploy(self) -> nn.Module:
        """Return a copy for export: eval mode, no training-only heads, batch norms folded; the outputs agree."""
        return deployed(self)


def pidnet_small(classes: int = 19, full_size: bool = True) -> PidNet:
    """Return PIDNet-S at the paper's size (7.6 M parameters)."""
    return PidNet(classes, full_size=full_size)


def pidnet_compact(classes: int = 19, fine: bool = False, full_size: bool = True) -> PidNet:
    """Return a variant under 3.9 M parameters. Not in the paper.

    Three quarters of the channels and two residual blocks a stage instead of three in the I branch.
    """
    return PidNet(classes, 24, blocks=(2, 2), pool_channels=64, head_channels=64, fine=fine, full_size=full_size)
