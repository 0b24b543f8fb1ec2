"""MobileNetV3 (large and small) with the lite reduced ASPP head, and an optional fine head for soft mattes.

Source: Andrew Howard, Mark Sandler, Grace Chu, Liang-Chieh Chen, Bo Chen, Mingxing Tan, Weijun Wang, Yukun Zhu,
Ruoming Pang, Vijay Vasudevan, Quoc V. Le, Hartwig Adam, "Searching for MobileNetV3", 2019, arXiv 1905.02244
(tables 1 and 2 for the blocks, figure 10 and section 6.4 for the head).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtseg.models.nets.blocks import conv_bn, initialise, scaled, size_hw_of, upsample

Variant = Literal["large", "small"]


@dataclass(frozen=True)
class BlockRow:
    """One row of the paper's tables: kernel, expanded and output channels, squeeze-excite, h-swish, stride."""

    kernel_px: int
    expanded: int
    out: int
    excite: bool
    hard_swish: bool
    stride: int


LARGE = (
    BlockRow(3, 16, 16, False, False, 1),
    BlockRow(3, 64, 24, False, False, 2),
    BlockRow(3, 72, 24, False, False, 1),
    BlockRow(5, 72, 40, True, False, 2),
    BlockRow(5, 120, 40, True, False, 1),
    BlockRow(5, 120, 40, True, False, 1),
    BlockRow(3, 240, 80, False, True, 2),
    BlockRow(3, 200, 80, False, True, 1),
    BlockRow(3, 184, 80, False, True, 1),
    BlockRow(3, 184, 80, False, True, 1),
    BlockRow(3, 480, 112, True, True, 1),
    BlockRow(3, 672, 112, True, True, 1),
    BlockRow(5, 672, 160, True, True, 2),
    BlockRow(5, 960, 160, True, True, 1),
    BlockRow(5, 960, 160, True, True, 1),
)
SMALL = (
    BlockRow(3, 16, 16, True, False, 2),
    BlockRow(3, 72, 24, False, False, 2),
    BlockRow(3, 88, 24, False, False, 1),
    BlockRow(5, 96, 40, True, True, 2),
    BlockRow(5, 240, 40, True, True, 1),
    BlockRow(5, 240, 40, True, True, 1),
    BlockRow(5, 120, 48, True, True, 1),
    BlockRow(5, 144, 48, True, True, 1),
    BlockRow(5, 288, 96, True, True, 2),
    BlockRow(5, 576, 96, True, True, 1),
    BlockRow(5, 576, 96, True, True, 1),
)


class SqueezeExcite(nn.Module):
    """Weight the channels by a hard-sigmoid gate computed from their means; a quarter of the channels inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = scaled(channels, 0.25)
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.expand = nn.Conv2d(inner, channels, 1)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return the batch weighted, same shape."""
        gate = self.expand(F.relu(self.reduce(batch_nchw.mean(dim=(2, 3), keepdim=True))))
        return batch_nchw * F.hardsigmoid(gate)


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter depthwise, squeeze-excite, project linearly; shortcut where the shape allows."""

    def __init__(self, in_channels: int, row: BlockRow, width: float, stride: int, halve: bool) -> None:
        super().__init__()
        factor = width / 2 if halve else width
        # The paper's reduced tail halves the last stage's own channels; its input comes from the stage before.
        expanded = scaled(row.expanded, width if row.stride == 2 and halve else factor)
        self.out_channels = scaled(row.out, factor)
        activation = nn.Hardswish if row.hard_swish else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != in_channels:
            layers.append(conv_bn(in_channels, expanded, 1, activation=activation()))
        layers.append(conv_bn(expanded, expanded, row.kernel_px, stride, groups=expanded, activation=activation()))
        if row.excite:
            layers.append(SqueezeExcite(expanded))
        layers.append(conv_bn(expanded, self.out_channels, 1))
        self.body = nn.Sequential(*layers)
        self.shortcut = stride == 1 and in_channels == self.out_channels

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, out_channels, H / stride, W / stride]."""
        out: Tensor = self.body(batch_nchw)
        return batch_nchw + out if self.shortcut else out


class MobileNetV3(nn.Module):
    """The convolutional body without classifier; returns its features at 1/2, 1/4, 1/8 and the last stage.

    Args:
        variant: "large" or "small".
        width: multiplies every channel count; 1.0 is the paper's.
        reduced_tail: halves the channels of the last stage (the paper's RF2 for segmentation).
        last_stride: 16 keeps the last stage at 1/16 as the paper does for segmentation, 32 is the classifier's.
    """

    def __init__(
        self, variant: Variant = "large", width: float = 1.0, reduced_tail: bool = False, last_stride: int = 16
    ) -> None:
        super().__init__()
        channels = scaled(16, width)
        self.first = conv_bn(3, channels, 3, 2, activation=nn.Hardswish())
        self.blocks = nn.ModuleList()
        reduction, tail = 2, False
        taps: dict[int, int] = {2: channels}
        for row in LARGE if variant == "large" else SMALL:
            stride = 1 if row.stride == 2 and reduction * 2 > last_stride else row.stride
            tail = tail or (row.stride == 2 and reduction >= 16)
            block = InvertedResidual(channels, row, width, stride, reduced_tail and tail)
            channels, reduction = block.out_channels, reduction * stride
            self.blocks.append(block)
            taps[reduction] = channels
        expanded = 6 * channels
        self.last = conv_bn(channels, expanded, 1, activation=nn.Hardswish())
        self.tap_channels = (taps[2], taps[4], taps[8], expanded)

    def forward(self, batch_nchw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the last features at 1/2, 1/4 and 1/8 of the size, and those of the last stage."""
        height = int(batch_nchw.shape[-2])
        features = self.first(batch_nchw)
        by_reduction = {2: features}
        for block in self.blocks:
            features = block(features)
            by_reduction[round(height / int(features.shape[-2]))] = features
        return by_reduction[2], by_reduction[4], by_reduction[8], self.last(features)


class LiteAspp(nn.Module):
    """The paper's head: a 1x1 branch gated by pooled context at the last stage, plus a 1x1 skip from 1/8.

    Args:
        last_channels: channels of the last stage.
        skip_channels: channels of the 1/8 features.
        middle_channels: filters of the branch (the paper's F, 128 or 256).
        classes: channels of the output.
    """

    def __init__(self, last_channels: int, skip_channels: int, middle_channels: int, classes: int) -> None:
        super().__init__()
        self.branch = conv_bn(last_channels, middle_channels, 1, activation=nn.ReLU(inplace=True))
        self.gate = nn.Conv2d(last_channels, middle_channels, 1, bias=False)
        self.low = nn.Conv2d(skip_channels, classes, 1)
        self.high = nn.Conv2d(middle_channels, classes, 1)

    def forward(self, last: Tensor, skip: Tensor) -> Tensor:
        """Return logits [N, classes, H/8, W/8].

        The gate pools over the whole picture: at the small inputs used here the paper's 49x49 window covers it.
        """
        context = torch.sigmoid(self.gate(last.mean(dim=(2, 3), keepdim=True)))
        branch = upsample(self.branch(last) * context, size_hw_of(skip))
        logits: Tensor = self.low(skip) + self.high(branch)
        return logits


class FineStep(nn.Module):
    """Double the resolution once: upsample, add a projection of the encoder's features there, mix."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.narrow = conv_bn(in_channels, out_channels, 1)
        self.skip = conv_bn(skip_channels, out_channels, 1)
        self.mix = conv_bn(out_channels, out_channels, 3, activation=nn.ReLU(inplace=True))

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Return features [N, out_channels, H, W] at the size of `skip`."""
        mixed: Tensor = self.mix(F.relu(upsample(self.narrow(coarse), size_hw_of(skip)) + self.skip(skip)))
        return mixed


class FineHead(nn.Module):
    """The lite ASPP's features carried to 1/4 and 1/2 of the size, so that a matte's edge sits on the subject's.

    Not in the paper, whose head stops at 1/8. The plain head's gate is kept; its two 1x1 classifiers become
    projections to `middle_channels // 2` channels.
    """

    def __init__(self, taps: tuple[int, int, int, int], middle_channels: int, classes: int) -> None:
        super().__init__()
        half, quarter, eighth, last = taps
        self.aspp = LiteAspp(last, eighth, middle_channels, middle_channels // 2)
        self.norm = conv_bn(middle_channels // 2, middle_channels // 2, 3, activation=nn.ReLU(inplace=True))
        self.to_quarter = FineStep(middle_channels // 2, quarter, 32)
        self.to_half = FineStep(32, half, 16)
        self.last = nn.Conv2d(16, classes, 3, padding=1)

    def forward(self, half: Tensor, quarter: Tensor, eighth: Tensor, last: Tensor) -> Tensor:
        """Return logits [N, classes, H/2, W/2]."""
        coarse = self.norm(F.relu(self.aspp(last, eighth)))
        logits: Tensor = self.last(self.to_half(self.to_quarter(coarse, quarter), half))
        return logits


class LrasppMobileNetV3(nn.Module):
    """MobileNetV3 with the lite ASPP head; logits at the input's size.

    Args:
        classes: output channels; 1 for a matte.
        variant: "large" or "small".
        width: multiplies the body's channels.
        reduced_tail: the paper's RF2.
        middle_channels: the paper's F.
        fine: True for `FineHead`, False for the paper's head.
        last_stride: 16 as in the paper, or 32.
    """

    def __init__(
        self,
        classes: int = 19,
        variant: Variant = "large",
        width: float = 1.0,
        reduced_tail: bool = True,
        middle_channels: int = 128,
        fine: bool = False,
        last_stride: int = 16,
    ) -> None:
        super().__init__()
        self.body = MobileNetV3(variant, width, reduced_tail, last_stride)
        taps = self.body.tap_channels
        self.fine = fine
        self.head: nn.Module = (
            FineHead(taps, middle_channels, classes) if fine else LiteAspp(taps[3], taps[2], middle_channels, classes)
        )
        initialise(self)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return logits [N, classes, H, W].

        Args:
            batch_nchw: float [N, 3, H, W], RGB, normalised; H and W are multiples of 32.
        """
        half, quarter, eighth, last = self.body(batch_nchw)
        logits = self.head(half, quarter, eighth, last) if self.fine else self.head(last, eighth)
        return upsample(logits, size_hw_of(batch_nchw))
