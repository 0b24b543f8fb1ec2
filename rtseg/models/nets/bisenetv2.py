"""BiSeNetV2: a wide shallow branch for detail and a narrow deep one for meaning, each guiding the other.

Source: Changqian Yu, Changxin Gao, Jingbo Wang, Gang Yu, Chunhua Shen, Nong Sang, "BiSeNet V2: Bilateral Network
with Guided Aggregation for Real-time Semantic Segmentation", 2020, arXiv 2004.02147.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtseg.models.nets.blocks import conv_bn, initialise, scaled, size_hw_of, upsample


def _conv_bn_relu(in_channels: int, out_channels: int, kernel_px: int = 3, stride: int = 1) -> nn.Sequential:
    return conv_bn(in_channels, out_channels, kernel_px, stride, activation=nn.ReLU(inplace=True))


class DetailBranch(nn.Module):
    """Three stages of plain 3x3 convolutions down to 1/8 of the size (table 1 of the paper)."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = channels
        self.to_half = nn.Sequential(_conv_bn_relu(3, first, stride=2), _conv_bn_relu(first, first))
        self.to_quarter = nn.Sequential(
            _conv_bn_relu(first, second, stride=2), _conv_bn_relu(second, second), _conv_bn_relu(second, second)
        )
        self.to_eighth = nn.Sequential(
            _conv_bn_relu(second, third, stride=2), _conv_bn_relu(third, third), _conv_bn_relu(third, third)
        )

    def forward(self, batch_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features at 1/4 and at 1/8 of the input's size."""
        quarter = self.to_quarter(self.to_half(batch_nchw))
        return quarter, self.to_eighth(quarter)


class Stem(nn.Module):
    """Reduce the picture to 1/4 by two ways at once, strided convolutions and max pooling (figure 4a)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv_bn_relu(3, channels, stride=2)
        self.narrow = nn.Sequential(
            _conv_bn_relu(channels, channels // 2, kernel_px=1), _conv_bn_relu(channels // 2, channels, stride=2)
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.fuse = _conv_bn_relu(2 * channels, channels)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, C, H/4, W/4]."""
        half = self.first(batch_nchw)
        fused: Tensor = self.fuse(torch.cat([self.narrow(half), self.pool(half)], dim=1))
        return fused


class GatherExpansion(nn.Module):
    """Widen by 3x3, look round depthwise, narrow again; with a shortcut (figure 5). Stride 1 or 2."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int = 6) -> None:
        super().__init__()
        wide = in_channels * expansion
        layers: list[nn.Module] = [_conv_bn_relu(in_channels, in_channels)]
        if stride == 2:
            layers.append(conv_bn(in_channels, wide, stride=2, groups=in_channels))
            layers.append(conv_bn(wide, wide, groups=wide, activation=nn.ReLU(inplace=True)))
        else:
            layers.append(conv_bn(in_channels, wide, groups=in_channels, activation=nn.ReLU(inplace=True)))
        layers.append(conv_bn(wide, out_channels, kernel_px=1))
        self.body = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.shortcut = nn.Sequential(
                conv_bn(in_channels, in_channels, stride=2, groups=in_channels),
                conv_bn(in_channels, out_channels, kernel_px=1),
            )

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, out_channels, H / stride, W / stride]."""
        return F.relu(self.body(batch_nchw) + self.shortcut(batch_nchw))


class ContextEmbedding(nn.Module):
    """Add the mean of the whole picture to every place (figure 4b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.squeeze = _conv_bn_relu(channels, channels, kernel_px=1)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features of the same shape."""
        mean = self.squeeze(self.norm(batch_nchw.mean(dim=(2, 3), keepdim=True)))
        embedded: Tensor = self.last(batch_nchw + mean)
        return embedded


class SemanticBranch(nn.Module):
    """Stem, three stages of gather-and-expansion down to 1/32, context embedding (table 1)."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        stem, eighth, sixteenth, last = channels
        self.stem = Stem(stem)
        self.eighth = nn.Sequential(GatherExpansion(stem, eighth, 2), GatherExpansion(eighth, eighth, 1))
        self.sixteenth = nn.Sequential(GatherExpansion(eighth, sixteenth, 2), GatherExpansion(sixteenth, sixteenth, 1))
        self.last = nn.Sequential(
            GatherExpansion(sixteenth, last, 2), *(GatherExpansion(last, last, 1) for _ in range(3))
        )
        self.context = ContextEmbedding(last)

    def forward(self, batch_nchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features at 1/8, at 1/16, and at 1/32 with context."""
        eighth = self.eighth(self.stem(batch_nchw))
        sixteenth = self.sixteenth(eighth)
        return eighth, sixteenth, self.context(self.last(sixteenth))


class GuidedAggregation(nn.Module):
    """Fuse detail (1/8) and semantics (1/32): each is weighted by the other at its own scale (figure 6)."""

    def __init__(self, detail_channels: int, semantic_channels: int, out_channels: int) -> None:
        super().__init__()
        self.detail_keep = nn.Sequential(
            conv_bn(detail_channels, detail_channels, groups=detail_channels),
            nn.Conv2d(detail_channels, out_channels, 1, bias=False),
        )
        self.detail_down = nn.Sequential(
            conv_bn(detail_channels, out_channels, stride=2), nn.AvgPool2d(3, stride=2, padding=1)
        )
        self.semantic_up = conv_bn(semantic_channels, out_channels)
        self.semantic_keep = nn.Sequential(
            conv_bn(semantic_channels, semantic_channels, groups=semantic_channels),
            nn.Conv2d(semantic_channels, out_channels, 1, bias=False),
        )
        self.fuse = conv_bn(out_channels, out_channels)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """Return features [N, out_channels, H/8, W/8]."""
        size_hw = size_hw_of(detail)
        fine = self.detail_keep(detail) * torch.sigmoid(upsample(self.semantic_up(semantic), size_hw))
        coarse = self.detail_down(detail) * torch.sigmoid(self.semantic_keep(semantic))
        fused: Tensor = self.fuse(fine + upsample(coarse, size_hw))
        return fused


def segmentation_head(in_channels: int, middle_channels: int, classes: int) -> nn.Sequential:
    """Return a 3x3 convolution to `middle_channels` and a 1x1 one to class logits."""
    return nn.Sequential(
        _conv_bn_relu(in_channels, middle_channels), nn.Dropout(0.1), nn.Conv2d(middle_channels, classes, 1)
    )


class FineHead(nn.Module):
    """Class logits at 1/2 of the size: the aggregate joined with the detail branch's 1/4 features.

    Not in the paper, whose head stays at 1/8: at a small input that grid is too coarse for poles and people. The
    last step from 1/4 to 1/2 is a pixel shuffle, which costs one 1x1 convolution at 1/4.
    """

    def __init__(self, in_channels: int, quarter_channels: int, middle_channels: int, classes: int) -> None:
        super().__init__()
        self.coarse = _conv_bn_relu(in_channels, middle_channels)
        self.quarter = _conv_bn_relu(quarter_channels, middle_channels, kernel_px=1)
        self.join = _conv_bn_relu(middle_channels, middle_channels)
        self.last = nn.Conv2d(middle_channels, 4 * classes, 1)

    def forward(self, fused: Tensor, quarter: Tensor) -> Tensor:
        """Return logits [N, classes, H/2, W/2]."""
        joined = upsample(self.coarse(fused), size_hw_of(quarter)) + self.quarter(quarter)
        return F.pixel_shuffle(self.last(self.join(joined)), 2)


class BiSeNetV2(nn.Module):
    """The two-branch network; in training it also returns the logits of its auxiliary heads.

    Args:
        classes: output classes.
        width: multiplies the detail branch, the aggregation and the heads; 1.0 is the paper's.
        semantic_width: multiplies the semantic branch; 1.0 is the paper's (16, 32, 64, 128).
        head_channels: middle channels of the head at width 1 (the paper's C_t, 1024).
        fine: True for `FineHead` (logits at 1/2), False for the paper's head (logits at 1/8).
        full_size: True upsamples the logits to the input's size in the graph, False leaves them at the head's.
    """

    def __init__(
        self,
        classes: int = 19,
        width: float = 1.0,
        semantic_width: float = 1.0,
        head_channels: int = 1024,
        fine: bool = False,
        full_size: bool = True,
    ) -> None:
        super().__init__()
        detail = (scaled(64, width), scaled(64, width), scaled(128, width))
        stem, eighth, sixteenth, last = (scaled(c, semantic_width) for c in (16, 32, 64, 128))
        fused, middle = scaled(128, width), scaled(head_channels, width)
        self.full_size = full_size
        self.detail = DetailBranch(detail)
        self.semantic = SemanticBranch((stem, eighth, sixteenth, last))
        self.aggregate = GuidedAggregation(detail[2], last, fused)
        self.head: nn.Module = (
            FineHead(fused, detail[1], middle, classes) if fine else segmentation_head(fused, middle, classes)
        )
        self.fine = fine
        self.auxiliary = nn.ModuleList(segmentation_head(c, 64, classes) for c in (eighth, sixteenth, last))
        initialise(self)

    def forward(self, batch_nchw: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Return logits [N, classes, H, W]; in training also a list of auxiliary logits at 1/8, 1/16 and 1/32.

        Args:
            batch_nchw: float [N, 3, H, W], RGB, normalised; H and W are multiples of 32.
        """
        quarter, detail = self.detail(batch_nchw)
        eighth, sixteenth, semantic = self.semantic(batch_nchw)
        fused = self.aggregate(detail, semantic)
        logits: Tensor = self.head(fused, quarter) if self.fine else self.head(fused)
        if self.full_size:
            logits = upsample(logits, size_hw_of(batch_nchw))
        if not self.training:
            return logits
        return logits, [head(x) for head, x in zip(self.auxiliary, (eighth, sixteenth, semantic), strict=True)]
