"""DDRNet-23-slim: two residual branches, one kept at 1/8 of the size, that exchange their features twice.

Source: Yuanduo Hong, Huihui Pan, Weichao Sun, Yisong Jia, "Deep Dual-resolution Networks for Real-time and Accurate
Semantic Segmentation of Road Scenes", 2021, arXiv 2101.06085 (the slim variant has half of
DDRNet-23's channels). Where the text leaves a detail open (the order of batch norm, ReLU and convolution in the
head and in DAPPM), the authors' public code decides.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from rtseg.models.nets.bisenetv2 import FineHead
from rtseg.models.nets.blocks import conv_bn, initialise, size_hw_of, upsample
from rtseg.models.nets.deploy import deployed
from rtseg.models.nets.residual import (
    Bottleneck,
    DeepAggregationPyramid,
    preactivated_head,
    residual_stage,
    stem,
)


class BilateralFusion(nn.Module):
    """Add each branch to the other: the deep one narrowed and enlarged, the detailed one strided down.

    Args:
        detail_channels: channels of the branch at 1/8.
        deep_channels: channels of the deep branch here.
        down_channels: outputs of the strided 3x3 convolutions from 1/8 down, one a halving; the last equals
            `deep_channels`.
    """

    def __init__(self, detail_channels: int, deep_channels: int, down_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.narrow = conv_bn(deep_channels, detail_channels, 1)
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip((detail_channels, *down_channels), down_channels, strict=False)):
            last = index + 1 == len(down_channels)
            layers.append(conv_bn(before, after, 3, 2, activation=None if last else nn.ReLU(inplace=True)))
        self.down = nn.Sequential(*layers)

    def forward(self, detail: Tensor, deep: Tensor) -> tuple[Tensor, Tensor]:
        """Return both branches, before their ReLU, from both before theirs."""
        enlarged = upsample(self.narrow(F.relu(deep)), size_hw_of(detail))
        return detail + enlarged, deep + self.down(F.relu(detail))


class DualResolutionBody(nn.Module):
    """Stem, shared stages to 1/8, two fused branches, pyramid pooling at 1/64.

    Args:
        planes: channels of the stem (32 in the slim variant); the branch at 1/8 has twice as many.
        deep_channels: channels of the deep branch at 1/16 and 1/32 (4 and 8 times `planes` in the paper).
        pool_channels: channels of each view in the pyramid (128 in the paper).
    """

    def __init__(self, planes: int, deep_channels: tuple[int, int], pool_channels: int) -> None:
        super().__init__()
        detail, (sixteenth, last) = 2 * planes, deep_channels
        self.out_channels = 2 * detail
        self.stem = stem(planes)
        self.quarter = residual_stage(planes, planes, 2)
        self.eighth = residual_stage(planes, detail, 2, stride=2)
        self.deep = nn.ModuleList(
            [residual_stage(detail, sixteenth, 2, stride=2), residual_stage(sixteenth, last, 2, stride=2)]
        )
        self.detail = nn.ModuleList(residual_stage(detail, detail, 2) for _ in range(2))
        self.fuse = nn.ModuleList(
            [BilateralFusion(detail, sixteenth, (sixteenth,)), BilateralFusion(detail, last, (sixteenth, last))]
        )
        self.last_detail = Bottleneck(detail, detail)
        self.last_deep = Bottleneck(last, last, stride=2)
        self.pyramid = DeepAggregationPyramid(2 * last, pool_channels, 2 * detail)

    def forward(self, batch_nchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at 1/4 after ReLU; at 1/8 after the first fusion and the final ones, both before ReLU."""
        quarter = F.relu(self.quarter(self.stem(batch_nchw)))
        eighth = F.relu(self.eighth(quarter))
        detail, deep = self.fuse[0](self.detail[0](eighth), self.deep[0](eighth))
        first_fused = detail
        detail, deep = self.fuse[1](self.detail[1](F.relu(detail)), self.deep[1](F.relu(deep)))
        detail = self.last_detail(F.relu(detail))
        context = upsample(self.pyramid(self.last_deep(F.relu(deep))), size_hw_of(detail))
        return quarter, first_fused, detail + context


class DdrNet(nn.Module):
    """The dual-resolution network; in training it also returns the logits of its auxiliary head.

    Args:
        classes: output classes.
        planes: channels of the stem; 32 is the paper's slim variant.
        deep_channels: channels of the deep branch at 1/16 and 1/32; None takes the paper's (4, 8) times `planes`.
        pool_channels: channels of each view in the pyramid; the paper's is 128.
        head_channels: middle channels of the heads; the slim variant's is 64.
        fine: True for logits at 1/2 from a head that also sees 1/4 (not in the paper), False for the paper's at 1/8.
        full_size: True upsamples the logits to the input's size in the graph, False leaves them at the head's.
    """

    TRAINING_ONLY: ClassVar[tuple[str, ...]] = ("auxiliary",)

    def __init__(
        self,
        classes: int = 19,
        planes: int = 32,
        deep_channels: tuple[int, int] | None = None,
        pool_channels: int = 128,
        head_channels: int = 64,
        fine: bool = False,
        full_size: bool = True,
    ) -> None:
        super().__init__()
        self.fine, self.full_size = fine, full_size
        self.body = DualResolutionBody(planes, deep_channels or (4 * planes, 8 * planes), pool_channels)
        fused = self.body.out_channels
        self.activate = nn.Sequential(nn.BatchNorm2d(fused), nn.ReLU(inplace=True)) if fine else nn.Identity()
        self.head: nn.Module = (
            FineHead(fused, planes, head_channels, classes)
            if fine
            else preactivated_head(fused, head_channels, classes)
        )
        self.auxiliary: nn.Module | None = preactivated_head(2 * planes, head_channels, classes)
        initialise(self)

    def forward(self, batch_nchw: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Return logits [N, classes, H, W]; in training also a list with the auxiliary logits at 1/8.

        Args:
            batch_nchw: float [N, 3, H, W], RGB, normalised; any size. Training needs N >= 2 (see `PyramidScales`).
        """
        quarter, first_fused, fused = self.body(batch_nchw)
        fused = self.activate(fused)
        logits: Tensor = self.head(fused, quarter) if self.fine else self.head(fused)
        if self.full_size:
            logits = upsample(logits, size_hw_of(batch_nchw))
        if self.training and self.auxiliary is not None:
            return logits, [self.auxiliary(first_fused)]
        return logits

    def deploy(self) -> nn.Module:
        """Return a copy for export: eval mode, no auxiliary head, batch norms folded; the outputs agree."""
        return deployed(self)


def ddrnet23_slim(classes: int = 19, full_size: bool = True) -> DdrNet:
    """Return the network at the paper's size (5.7 M parameters deployed)."""
    return DdrNet(classes, full_size=full_size)


def ddrnet_compact(classes: int = 19, fine: bool = False, full_size: bool = True) -> DdrNet:
    """Return a variant of three quarters of the slim one's channels, under 3.9 M parameters. Not in the paper.

    Every stage shrinks alike: most of the parameters lie at 1/32 and below, most of the time at 1/8 and above, so
    that a narrower deep branch alone would meet the limit and save 6 % of the multiply-adds.
    """
    return DdrNet(classes, planes=24, fine=fine, full_size=full_size)
