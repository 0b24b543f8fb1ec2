"""Depthwise convolution whose gradients are quick on a CPU, for training only.

Two gradients of torch's CPU kernels are 10 to 20 times slower than the arithmetic asks for (measured with torch 2.13,
one thread, bf16, channels last): the weight gradient of a 5x5 depthwise convolution and the input gradient of a
strided one. Together they were half of a MobileNetV3 training step. Both are rewritten here as convolutions that
torch does run quickly; the values are the same up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _QuickDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, batch: Tensor, weight: Tensor, stride: int) -> Tensor:
        context.save_for_backward(batch, weight)
        context.stride = stride
        return F.conv2d(batch, weight, None, stride, weight.shape[-1] // 2, 1, batch.shape[1])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        batch, weight = context.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        return (
            _input_gradient(gradient, batch, weight, context.stride),
            _weight_gradient(gradient, batch, weight, context.stride),
            None,
        )


def _input_gradient(gradient: Tensor, batch: Tensor, weight: Tensor, stride: int) -> Tensor:
    channels, pad = batch.shape[1], weight.shape[-1] // 2
    if stride > 1:
        spread = torch.empty_like(batch, memory_format=torch.channels_last).zero_()
        spread[:, :, ::stride, ::stride] = gradient
        gradient = spread
    return F.conv2d(gradient, weight.flip(2, 3), None, 1, pad, 1, channels)


def _weight_gradient(gradient: Tensor, batch: Tensor, weight: Tensor, stride: int) -> Tensor:
    side = weight.shape[-1]
    if side == 3:
        return _tile_gradient(gradient, batch, weight, stride, 1)
    # A 5x5 kernel is covered by four overlapping 3x3 tiles, whose own gradient is quick.
    padded = F.pad(batch, (2, 2, 2, 2)).contiguous(memory_format=torch.channels_last)
    height, width = batch.shape[-2] + 2, batch.shape[-1] + 2
    out = torch.empty_like(weight)
    for row in (0, 2):
        for column in (0, 2):
            shifted = padded[:, :, row : row + height, column : column + width]
            tile = out[:, :, row : row + 3, column : column + 3]
            shifted = shifted.contiguous(memory_format=torch.channels_last)
            tile.copy_(_tile_gradient(gradient, shifted, weight[:, :, :3, :3], stride, 0))
    return out


def _tile_gradient(gradient: Tensor, batch: Tensor, weight: Tensor, stride: int, pad: int) -> Tensor:
    result = torch.ops.aten.convolution_backward(
        gradient, batch, weight.contiguous(), None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0],
        batch.shape[1], [False, True, False],
    )  # fmt: skip
    tile: Tensor = result[1]
    return tile


class QuickDepthwise(nn.Conv2d):
    """A drop-in depthwise `nn.Conv2d` (no bias, odd kernel 3 or 5) with the quick gradients; same parameters."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the filtered batch [N, C, H / stride, W / stride], sizes rounded up."""
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
            input, weight = input.to(kind), weight.to(kind)
        if not torch.is_grad_enabled():
            return F.conv2d(input, weight, None, self.stride, self.padding, 1, self.groups)
        out: Tensor = _QuickDepthwise.apply(input, weight, int(self.stride[0]))  # type: ignore[no-untyped-call]
        return out


def quicken(network: nn.Module) -> nn.Module:
    """Turn every depthwise 5x5 or strided 3x3 convolution of the network into `QuickDepthwise`, in place; return it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels == module.out_channels > 1:
            side, stride = module.kernel_size[0], module.stride[0]
            plain = module.bias is None and module.dilation == (1, 1) and module.padding == (side // 2, side // 2)
            if plain and (side == 5 or (side == 3 and stride > 1)):
                module.__class__ = QuickDepthwise
    return network
