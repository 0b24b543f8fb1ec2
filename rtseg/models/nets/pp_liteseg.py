"""PP-LiteSeg-T: the STDC1 encoder, a simple pyramid, and a decoder that fuses by spatial attention.

Sources: Juncai Peng, Yi Liu, Shiyu Tang, Yuying Hao, Lutao Chu, Guowei Chen, Zewu Wu, Zeyu Chen, Zhiliang Yu, Yuning
Du, Qingqing Dang, Baohua Lai, Qiwen Liu, Xiaoguang Hu, Dianhai Yu, Yanjun Ma, "PP-LiteSeg: A Superior Real-Time
Semantic Segmentation Model", 2022, arXiv 2204.02681; Mingyuan Fan, Shenqi Lai, Junshi Huang, Xiaoming Wei, Zhenhua
Chai, Junfeng Luo, Xiaolin Wei, "Rethinking BiSeNet For Real-time Semantic Segmentation", 2021, arXiv 2104.13188 (the
encoder). The decoder's channels (32, 64, 128) are those of the public configuration of the T variant.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from rtseg.models.nets.blocks import conv_bn, initialise, scaled, size_hw_of, upsample
from rtseg.models.nets.deploy import deployed
from rtseg.models.nets.residual import GlobalMean


def _conv_bn_relu(in_channels: int, out_channels: int, kernel_px: int = 3, stride: int = 1) -> nn.Sequential:
    return conv_bn(in_channels, out_channels, kernel_px, stride, activation=nn.ReLU(inplace=True))


class ShortTermConcatenation(nn.Module):
    """The STDC module: four convolutions of halving width, all their outputs side by side.

    At stride 2 a depthwise convolution shrinks the picture after the first 1x1, whose own output is mean-pooled.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = out_channels // 2, out_channels // 4, out_channels // 8
        self.first = _conv_bn_relu(in_channels, half, kernel_px=1)
        self.shrink: nn.Module = conv_bn(half, half, 3, 2, groups=half) if stride == 2 else nn.Identity()
        self.pool: nn.Module = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else nn.Identity()
        self.rest = nn.ModuleList(
            [_conv_bn_relu(half, quarter), _conv_bn_relu(quarter, eighth), _conv_bn_relu(eighth, eighth)]
        )

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, out_channels, H / stride, W / stride]."""
        first = self.first(batch_nchw)
        views, features = [self.pool(first)], self.shrink(first)
        for convolution in self.rest:
            features = convolution(features)
            views.append(features)
        return torch.cat(views, dim=1)


class Stdc(nn.Module):
    """The STDC1 encoder: features at 1/8, 1/16 and 1/32.

    Args:
        width: multiplies every channel count; 1.0 is the paper's (32, 64, 256, 512, 1024).
        modules: STDC modules a stage; (2, 2, 2) is STDC1.
    """

    def __init__(self, width: float = 1.0, modules: tuple[int, int, int] = (2, 2, 2)) -> None:
        super().__init__()
        half, quarter = scaled(32, width), scaled(64, width)
        self.tap_channels = (scaled(256, width, 16), scaled(512, width, 16), scaled(1024, width, 16))
        self.stem = nn.Sequential(_conv_bn_relu(3, half, stride=2), _conv_bn_relu(half, quarter, stride=2))
        self.stages = nn.ModuleList()
        before = quarter
        for channels, count in zip(self.tap_channels, modules, strict=True):
            layers = [
                ShortTermConcatenation(channels if index else before, channels, 1 if index else 2)
                for index in range(count)
            ]
            self.stages.append(nn.Sequential(*layers))
            before = channels

    def forward(self, batch_nchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features at 1/8, 1/16 and 1/32."""
        features = self.stem(batch_nchw)
        eighth = self.stages[0](features)
        sixteenth = self.stages[1](eighth)
        return eighth, sixteenth, self.stages[2](sixteenth)


class StdcClassifier(nn.Module):
    """The encoder with the paper's ImageNet head; for pretraining, and to hold its size against the paper's.

    Args:
        classes: output classes.
        width: multiplies the encoder's channels.
    """

    def __init__(self, classes: int = 1000, width: float = 1.0) -> None:
        super().__init__()
        self.body = Stdc(width)
        channels = self.body.tap_channels[2]
        hidden = max(1024, channels)
        self.last = nn.Sequential(_conv_bn_relu(channels, hidden, kernel_px=1), GlobalMean(), nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(hidden, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
            nn.Linear(hidden, classes, bias=False),
        )
        initialise(self)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return class logits [N, classes]."""
        logits: Tensor = self.head(self.last(self.body(batch_nchw)[2]))
        return logits


class SimplePyramid(nn.Module):
    """SPPM: means over grids of 1, 2 and 4 cells a side, projected, enlarged and added.

    Args:
        in_channels: channels read.
        out_channels: channels of each projection and of the result.
    """

    CELLS = (1, 2, 4)

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(_conv_bn_relu(in_channels, out_channels, kernel_px=1) for _ in self.CELLS)
        self.mix = _conv_bn_relu(out_channels, out_channels)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return features [N, out_channels, H, W]."""
        size_hw = size_hw_of(batch_nchw)
        views = [
            upsample(projection(cell_means(batch_nchw, cells)), size_hw)
            for cells, projection in zip(self.CELLS, self.projections, strict=True)
        ]
        mixed: Tensor = self.mix(views[0] + views[1] + views[2])
        return mixed


def cell_means(batch_nchw: Tensor, cells: int) -> Tensor:
    """Return the means of `cells` x `cells` equal parts of the picture, [N, C, cells, cells].

    An adaptive pool has no ONNX form where the size is not a multiple of the grid; there the means are products with
    two small constant matrices, which agree with `adaptive_avg_pool2d` at every size.
    """
    height, width = size_hw_of(batch_nchw)
    if cells == 1:
        return batch_nchw.mean(dim=(2, 3), keepdim=True)
    rows = torch.tensor(_cell_weights(height, cells), dtype=batch_nchw.dtype, device=batch_nchw.device)
    columns = torch.tensor(_cell_weights(width, cells), dtype=batch_nchw.dtype, device=batch_nchw.device)
    return torch.matmul(torch.matmul(rows, batch_nchw), columns.T)


def _cell_weights(length: int, cells: int) -> list[list[float]]:
    """Return [cells, length]: each row averages one cell; cells overlap by one where they must."""
    edges = [(cell * length // cells, -(-(cell + 1) * length // cells)) for cell in range(cells)]
    return [[(start <= place < stop) / (stop - start) for place in range(length)] for start, stop in edges]


class AttentionFusion(nn.Module):
    """UAFM: weigh the encoder's features against the decoder's by the mean and maximum of their channels."""

    def __init__(self, low_channels: int, high_channels: int, out_channels: int) -> None:
        super().__init__()
        self.low = _conv_bn_relu(low_channels, high_channels)
        self.weigh = nn.Sequential(_conv_bn_relu(4, 2), conv_bn(2, 1))
        self.mix = _conv_bn_relu(high_channels, out_channels)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Return features [N, out_channels, H, W] at the size of `low`."""
        fine, coarse = self.low(low), upsample(high, size_hw_of(low))
        seen = [f(x) for x in (fine, coarse) for f in (_channel_mean, _channel_maximum)]
        weight = torch.sigmoid(self.weigh(torch.cat(seen, dim=1)))
        mixed: Tensor = self.mix(coarse + weight * (fine - coarse))
        return mixed


def _channel_mean(batch_nchw: Tensor) -> Tensor:
    return batch_nchw.mean(dim=1, keepdim=True)


def _channel_maximum(batch_nchw: Tensor) -> Tensor:
    return batch_nchw.amax(dim=1, keepdim=True)


def _head(in_channels: int, middle_channels: int, classes: int) -> nn.Sequential:
    return nn.Sequential(_conv_bn_relu(in_channels, middle_channels), nn.Conv2d(middle_channels, classes, 1))


class PpLiteSeg(nn.Module):
    """Encoder, pyramid and three fusions down to 1/8; in training it also returns logits at 1/16 and 1/32.

    Args:
        classes: output classes.
        width: multiplies the encoder's channels; 1.0 is STDC1.
        decoder_channels: outputs of the fusions at 1/8, 1/16 and 1/32; the T variant's are (32, 64, 128).
        full_size: True upsamples the logits to the input's size in the graph, False leaves them at 1/8.
    """

    TRAINING_ONLY: ClassVar[tuple[str, ...]] = ("auxiliary",)

    def __init__(
        self,
        classes: int = 19,
        width: float = 1.0,
        decoder_channels: tuple[int, int, int] = (32, 64, 128),
        full_size: bool = True,
    ) -> None:
        super().__init__()
        self.full_size = full_size
        self.body = Stdc(width)
        taps, (eighth, sixteenth, last) = self.body.tap_channels, decoder_channels
        self.pyramid = SimplePyramid(taps[2], last)
        self.fuse = nn.ModuleList(
            [
                AttentionFusion(taps[2], last, last),
                AttentionFusion(taps[1], last, sixteenth),
                AttentionFusion(taps[0], sixteenth, eighth),
            ]
        )
        self.head = _head(eighth, eighth, classes)
        self.auxiliary: nn.ModuleList | None = nn.ModuleList(_head(c, 64, classes) for c in (sixteenth, last))
        initialise(self)

    def forward(self, batch_nchw: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Return logits [N, classes, H, W]; in training also a list of auxiliary logits at 1/16 and 1/32.

        Args:
            batch_nchw: float [N, 3, H, W], RGB, normalised; any size from 128. Training needs N >= 2.
        """
        eighth, sixteenth, last = self.body(batch_nchw)
        coarse = self.fuse[0](last, self.pyramid(last))
        middle = self.fuse[1](sixteenth, coarse)
        logits: Tensor = self.head(self.fuse[2](eighth, middle))
        if self.full_size:
            logits = upsample(logits, size_hw_of(batch_nchw))
        if not self.training or self.auxiliary is None:
            return logits
        return logits, [head(x) for head, x in zip(self.auxiliary, (middle, coarse), strict=True)]

    def deploy(self) -> nn.Module:
        """Return a copy for export: eval mode, no auxiliary heads, batch norms folded; the outputs agree."""
        return deployed(self)


def pp_liteseg_compact(classes: int = 19, full_size: bool = True) -> PpLiteSeg:
    """Return a variant under 3.9 M parameters: five eighths of the encoder's channels. Not in the paper."""
    return PpLiteSeg(classes, 0.625, (32, 64, 96), full_size)
