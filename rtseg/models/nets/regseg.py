"""RegSeg: one narrow branch at 1/16 whose dilated, grouped convolutions see the whole picture, and a light decoder.

Source: Roland Gao, "Rethinking Dilated Convolution for Real-time Semantic Segmentation", 2021, arXiv 2111.09957 (the D
block, the dilations (1,1) + (1,2) + 4 x (1,4) + 7 x (1,14), the decoder). Trained from scratch in the paper, without
ImageNet. Where the text leaves a detail open, the author's public code decides.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rtseg.models.nets.blocks import conv_bn, initialise, scaled, size_hw_of, upsample
from rtseg.models.nets.deploy import deployed
from rtseg.models.nets.residual import GlobalMean

Dilations = tuple[tuple[int, ...], ...]
# The last block of each list widens its stage. The paper's view is 3807 pixels wide, for pictures of 2048x1024.
PAPER_DILATIONS: Dilations = ((1,), (1, 2), *[(1, 4)] * 4, *[(1, 14)] * 7)
# A view of 2207 pixels, for pictures of half the size and less: at 1/16 of 512x256 a dilation of 14 sees mostly
# padding. One of the settings the author compares, 0.3 points under the best at full size; not measured at small ones.
SMALL_PICTURE_DILATIONS: Dilations = ((1,), (1, 2), (1, 4), *[(1, 6)] * 10)


class DilatedPair(nn.Module):
    """Grouped 3x3 convolutions of several dilations, each on its own share of the channels."""

    def __init__(self, channels: int, dilations: tuple[int, ...], group_width: int, stride: int) -> None:
        super().__init__()
        share = channels // len(dilations)
        self.shares = [share] * len(dilations)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(share, share, 3, stride, d, d, groups=share // group_width, bias=False) for d in dilations
        )

    def absorb(self, norm: nn.BatchNorm2d) -> None:
        """Fold the batch norm that follows into the convolutions, each taking its share of the channels."""
        start = 0
        for index, convolution in enumerate(self.convolutions):
            if isinstance(convolution, nn.Conv2d):
                share = _channels_of(norm, start, convolution.out_channels)
                self.convolutions[index] = fuse_conv_bn_eval(convolution, share)
                start += convolution.out_channels

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, channels, H / stride, W / stride]."""
        if len(self.shares) == 1:
            only: Tensor = self.convolutions[0](batch_nchw)
            return only
        parts = torch.split(batch_nchw, self.shares, dim=1)
        return torch.cat([conv(part) for conv, part in zip(self.convolutions, parts, strict=True)], dim=1)


def _channels_of(norm: nn.BatchNorm2d, start: int, count: int) -> nn.BatchNorm2d:
    """Return the batch norm of `count` channels from `start`, in eval mode."""
    part = nn.BatchNorm2d(count, eps=norm.eps)
    state = {name: value[start : start + count] if value.ndim else value for name, value in norm.state_dict().items()}
    part.load_state_dict(state)
    return part.eval()


class ChannelGate(nn.Module):
    """Squeeze-and-excitation with a sigmoid gate."""

    def __init__(self, channels: int, inner_channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            GlobalMean(),
            nn.Conv2d(channels, inner_channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner_channels, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return the batch weighted by channel, same shape."""
        weighted: Tensor = batch_nchw * self.gate(batch_nchw)
        return weighted


class DilatedBlock(nn.Module):
    """The D block: 1x1, dilated pair, channel gate, 1x1, and a shortcut (mean-pooled where the stride is 2)."""

    def __init__(
        self, in_channels: int, out_channels: int, dilations: tuple[int, ...], group_width: int = 16, stride: int = 1
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(in_channels, out_channels, 1, activation=nn.ReLU(inplace=True)),
            DilatedPair(out_channels, dilations, group_width, stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            ChannelGate(out_channels, in_channels // 4),
            conv_bn(out_channels, out_channels, 1),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            pool = nn.AvgPool2d(2, 2, ceil_mode=True)
            self.shortcut = nn.Sequential(pool, conv_bn(in_channels, out_channels, 1))
        elif in_channels != out_channels:
            self.shortcut = conv_bn(in_channels, out_channels, 1)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, out_channels, H / stride, W / stride]."""
        return F.relu(self.body(batch_nchw) + self.shortcut(batch_nchw))


class DilatedBody(nn.Module):
    """Stem and D blocks; gives its features at 1/4, 1/8 and 1/16.

    Args:
        width: multiplies every channel count; 1.0 is the paper's (32, 48, 128, 256, 320).
        dilations: one entry a block after the first at 1/16.
    """

    def __init__(self, width: float, dilations: Dilations) -> None:
        super().__init__()
        half, quarter = scaled(32, width, 16), scaled(48, width, 16)
        eighth, sixteenth, last = (scaled(c, width, 32) for c in (128, 256, 320))
        self.tap_channels = (quarter, eighth, last)
        self.stem = conv_bn(3, half, 3, 2, activation=nn.ReLU(inplace=True))
        self.quarter = DilatedBlock(half, quarter, (1,), stride=2)
        self.eighth = nn.Sequential(
            DilatedBlock(quarter, eighth, (1,), stride=2), *(DilatedBlock(eighth, eighth, (1,)) for _ in range(2))
        )
        self.sixteenth = nn.Sequential(
            DilatedBlock(eighth, sixteenth, (1,), stride=2),
            *(DilatedBlock(sixteenth, sixteenth, pair) for pair in dilations[:-1]),
            DilatedBlock(sixteenth, last, dilations[-1]),
        )

    def forward(self, batch_nchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features at 1/4, 1/8 and 1/16."""
        quarter = self.quarter(self.stem(batch_nchw))
        eighth = self.eighth(quarter)
        return quarter, eighth, self.sixteenth(eighth)


class RegSeg(nn.Module):
    """Body and decoder; logits come at 1/4, and the paper has no auxiliary head.

    Args:
        classes: output classes.
        width: multiplies the body's channels; the decoder's stay.
        dilations: of the blocks at 1/16; `SMALL_PICTURE_DILATIONS` for inputs much under 2048x1024.
        full_size: True upsamples the logits to the input's size in the graph, False leaves them at 1/4.
    """

    TRAINING_ONLY: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, classes: int = 19, width: float = 1.0, dilations: Dilations = PAPER_DILATIONS, full_size: bool = True
    ) -> None:
        super().__init__()
        self.full_size = full_size
        self.body = DilatedBody(width, dilations)
        quarter, eighth, last = self.body.tap_channels
        self.from_last = conv_bn(last, 128, 1, activation=nn.ReLU(inplace=True))
        self.from_eighth = conv_bn(eighth, 128, 1, activation=nn.ReLU(inplace=True))
        self.from_quarter = conv_bn(quarter, 8, 1, activation=nn.ReLU(inplace=True))
        self.mix_eighth = conv_bn(128, 64, 3, activation=nn.ReLU(inplace=True))
        self.mix_quarter = conv_bn(72, 64, 3, activation=nn.ReLU(inplace=True))
        self.last = nn.Conv2d(64, classes, 1)
        initialise(self)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return logits [N, classes, H, W], in training too.

        Args:
            batch_nchw: float [N, 3, H, W], RGB, normalised; any size.
        """
        quarter, eighth, last = self.body(batch_nchw)
        mixed = self.from_eighth(eighth) + upsample(self.from_last(last), size_hw_of(eighth))
        mixed = upsample(self.mix_eighth(mixed), size_hw_of(quarter))
        logits: Tensor = self.last(self.mix_quarter(torch.cat([mixed, self.from_quarter(quarter)], dim=1)))
        return upsample(logits, size_hw_of(batch_nchw)) if self.full_size else logits

    def deploy(self) -> nn.Module:
        """Return a copy for export: eval mode, all batch norms folded; the outputs agree."""
        copied = deployed(self)
        for block in copied.modules():
            if isinstance(block, DilatedBlock):
                pair, norm = block.body[1], block.body[2]
                if isinstance(pair, DilatedPair) and isinstance(norm, nn.BatchNorm2d):
                    pair.absorb(norm)
                    block.body[2] = nn.Identity()
        return copied
