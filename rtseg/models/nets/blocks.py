"""Building blocks that the networks share: convolution with batch norm, and its folded form for export."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_px: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Return convolution, batch norm and, where given, an activation, as one sequence.

    Args:
        in_channels: channels read.
        out_channels: channels written.
        kernel_px: odd side of the square kernel; the padding keeps the size at stride 1.
        stride: step in pixels.
        groups: 1 for a full convolution, `in_channels` for a depthwise one.
        activation: appended last; None leaves the sequence linear.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel_px, stride, kernel_px // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation]))


def upsample(batch_nchw: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return the batch resized bilinearly with half-pixel centres, float [N, C, H, W].

    Half-pixel centres (`align_corners=False`) are what OpenCV and the segmenter use: any other rule moves every
    boundary by up to half a cell of the coarse grid.
    """
    return F.interpolate(batch_nchw, size=size_hw, mode="bilinear", align_corners=False)


def size_hw_of(batch_nchw: Tensor) -> tuple[int, int]:
    """Return height and width of a batch [N, C, H, W] as plain integers, so that an export sees constants."""
    return int(batch_nchw.shape[-2]), int(batch_nchw.shape[-1])


def scaled(channels: int, width: float, divisor: int = 8) -> int:
    """Return `channels` times `width`, rounded to a multiple of `divisor` and never more than 10 % below it.

    Source: the rounding rule of the MobileNet papers (Howard et al., 2019, arXiv 1905.02244).
    """
    rounded = max(divisor, int(channels * width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels * width else rounded


def folded(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode whose batch norms are folded into the convolutions before them.

    Only a batch norm that directly follows a convolution in an `nn.Sequential` is folded, which is how `conv_bn`
    lays them out. The outputs agree with the original's up to floating-point rounding.
    """
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fold_sequence(module)
    return network


def folded_pairs(network: nn.Module) -> dict[str, str]:
    """Return the names of the convolutions that `folded` changes, each with the name of the batch norm it takes up."""
    pairs = {}
    for prefix, module in network.named_modules():
        if isinstance(module, nn.Sequential):
            for name, following in itertools.pairwise(module._modules):
                convolution, norm = module._modules[name], module._modules[following]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    pairs[f"{prefix}.{name}".lstrip(".")] = f"{prefix}.{following}".lstrip(".")
    return pairs


def _fold_sequence(sequence: nn.Sequential) -> None:
    names = list(sequence._modules)
    for name, following in itertools.pairwise(names):
        convolution, norm = sequence._modules[name], sequence._modules[following]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            sequence._modules[name] = fuse_conv_bn_eval(convolution, norm)
            sequence._modules[following] = nn.Identity()


def initialise(network: nn.Module) -> None:
    """Set He-normal weights in every convolution and 1 / 0 in every batch norm, in place (fixed by the torch seed)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def parameter_count(network: nn.Module) -> int:
    """Return how many trainable numbers the network holds."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def inference_output(network: nn.Module, batch_nchw: Tensor) -> Tensor:
    """Return the network's main output for a batch, in eval mode and without gradients."""
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        output: Tensor = network(batch_nchw)
    network.train(was_training)
    return output
