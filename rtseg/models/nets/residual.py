"""What the two- and three-branch networks share: residual stages, the pre-activated head, pyramid pooling.

Source: Yuanduo Hong, Huihui Pan, Weichao Sun, Yisong Jia, "Deep Dual-resolution Networks for Real-time and Accurate
Semantic Segmentation of Road Scenes", 2021, arXiv 2101.06085 (blocks, head, DAPPM); Jiacong Xu, Zixiang Xiong,
Shankar P. Bhattacharyya, "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers", 2022,
arXiv 2206.02066 (PAPPM).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtseg.models.nets.blocks import conv_bn, size_hw_of, upsample


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the last ReLU may be left to the caller, who adds other branches first."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, activate: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(in_channels, out_channels, 3, stride, activation=nn.ReLU(inplace=True)),
            conv_bn(out_channels, out_channels, 3),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride)
        self.activate = activate

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, out_channels, H / stride, W / stride]."""
        total: Tensor = self.body(batch_nchw) + self.shortcut(batch_nchw)
        return F.relu(total) if self.activate else total


class Bottleneck(nn.Module):
    """1x1, 3x3, and 1x1 to twice the channels, with a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, activate: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(in_channels, channels, 1, activation=nn.ReLU(inplace=True)),
            conv_bn(channels, channels, 3, stride, activation=nn.ReLU(inplace=True)),
            conv_bn(channels, 2 * channels, 1),
        )
        self.shortcut = _shortcut(in_channels, 2 * channels, stride)
        self.activate = activate

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, 2 * channels, H / stride, W / stride]."""
        total: Tensor = self.body(batch_nchw) + self.shortcut(batch_nchw)
        return F.relu(total) if self.activate else total


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return conv_bn(in_channels, out_channels, 1, stride)


def stem(channels: int) -> nn.Sequential:
    """Return two strided 3x3 convolutions from a picture to `channels` at 1/4 of its size."""
    return nn.Sequential(
        conv_bn(3, channels, 3, 2, activation=nn.ReLU(inplace=True)),
        conv_bn(channels, channels, 3, 2, activation=nn.ReLU(inplace=True)),
    )


def residual_stage(in_channels: int, out_channels: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """Return that many residual blocks, the first one with the stride, the last one without its ReLU."""
    layers = [
        ResidualBlock(out_channels if index else in_channels, out_channels, 1 if index else stride, index + 1 < blocks)
        for index in range(blocks)
    ]
    return nn.Sequential(*layers)


def bn_relu_conv(in_channels: int, out_channels: int, kernel_px: int = 1, groups: int = 1) -> nn.Sequential:
    """Return batch norm, ReLU and a convolution without bias, in this order."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=False),
        nn.Conv2d(in_channels, out_channels, kernel_px, padding=kernel_px // 2, groups=groups, bias=False),
    )


def preactivated_head(in_channels: int, middle_channels: int, classes: int) -> nn.Sequential:
    """Return the networks' head: BN, ReLU, 3x3 convolution, BN, ReLU, and a 1x1 convolution to class logits."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=False),
        conv_bn(in_channels, middle_channels, 3, activation=nn.ReLU(inplace=True)),
        nn.Conv2d(middle_channels, classes, 1),
    )


class PyramidScales(nn.Module):
    """The four pooled views of a pyramid (windows of 5, 9, 17 and the whole), each projected and resized back.

    The windows' zero padding counts in their means, as in both papers' code: at a small input the wide windows are
    mostly padding. In training the batch needs two pictures or more, since the last view has one value a channel.
    """

    WINDOWS_AND_STRIDES = ((5, 2), (9, 4), (17, 8))

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        pools: list[nn.Module] = [nn.AvgPool2d(k, stride, k // 2) for k, stride in self.WINDOWS_AND_STRIDES]
        pools.append(GlobalMean())
        self.views = nn.ModuleList(nn.Sequential(pool, bn_relu_conv(in_channels, channels)) for pool in pools)

    def forward(self, batch_nchw: Tensor) -> list[Tensor]:
        """Return four tensors [N, channels, H, W], from the narrowest window to the whole picture."""
        size_hw = size_hw_of(batch_nchw)
        return [upsample(view(batch_nchw), size_hw) for view in self.views]


class GlobalMean(nn.Module):
    """The mean of every channel, [N, C, 1, 1]; exports as one ReduceMean."""

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return the means, [N, C, 1, 1]."""
        return batch_nchw.mean(dim=(2, 3), keepdim=True)


class DeepAggregationPyramid(nn.Module):
    """DAPPM: pooled views added one after the other, a 3x3 convolution between (DDRNet)."""

    def __init__(self, in_channels: int, channels: int, out_channels: int) -> None:
        super().__init__()
        self.direct = bn_relu_conv(in_channels, channels)
        self.scales = PyramidScales(in_channels, channels)
        self.processes = nn.ModuleList(bn_relu_conv(channels, channels, 3) for _ in range(4))
        self.compress = bn_relu_conv(5 * channels, out_channels)
        self.shortcut = bn_relu_conv(in_channels, out_channels)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, out_channels, H, W]."""
        levels = [self.direct(batch_nchw)]
        for process, view in zip(self.processes, self.scales(batch_nchw), strict=True):
            levels.append(process(view + levels[-1]))
        aggregated: Tensor = self.compress(torch.cat(levels, dim=1)) + self.shortcut(batch_nchw)
        return aggregated


class ParallelAggregationPyramid(nn.Module):
    """PAPPM: the same views, all processed at once by one grouped convolution (PIDNet)."""

    def __init__(self, in_channels: int, channels: int, out_channels: int) -> None:
        super().__init__()
        self.direct = bn_relu_conv(in_channels, channels)
        self.scales = PyramidScales(in_channels, channels)
        self.process = bn_relu_conv(4 * channels, 4 * channels, 3, groups=4)
        self.compress = bn_relu_conv(5 * channels, out_channels)
        self.shortcut = bn_relu_conv(in_channels, out_channels)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, out_channels, H, W]."""
        direct = self.direct(batch_nchw)
        views = self.process(torch.cat([view + direct for view in self.scales(batch_nchw)], dim=1))
        aggregated: Tensor = self.compress(torch.cat([direct, views], dim=1)) + self.shortcut(batch_nchw)
        return aggregated
