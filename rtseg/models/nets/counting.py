"""Count the parameters and multiply-adds of a network, so that a definition can be held against its paper."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rtseg.errors import ConfigError

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


@dataclass(frozen=True)
class Cost:
    """What one picture costs.

    Args:
        parameters: numbers in all weights, biases, scales and shifts, frozen ones too, and those of training-only
            heads where they are present; not the running statistics of batch norms.
        multiply_adds: products of a weight and an input value, for one picture.
        by_module: the same products by the dotted name of the module that makes them; sums to `multiply_adds`.
    """

    parameters: int
    multiply_adds: int
    by_module: dict[str, int] = field(repr=False)

    def within(self, prefix: str) -> int:
        """Return the multiply-adds of the module named `prefix` and of all inside it."""
        return sum(n for name, n in self.by_module.items() if name == prefix or name.startswith(prefix + "."))


def count_cost(network: nn.Module, size_wh: tuple[int, int], channels: int = 3) -> Cost:
    """Return what one picture of that size costs in eval mode; the network itself is neither run nor changed.

    Counted: every product of a weight with a value in `nn.Conv*d`, `nn.ConvTranspose*d` and `nn.Linear` modules that
    the forward pass calls, positions in the zero padding included; a module called twice counts twice. Not counted:
    biases, batch norms, activations, pooling, resizing, additions and products of two feature maps, and whatever
    calls `torch.nn.functional` with weights of its own. Papers that print "FLOPs" for such networks mostly mean this
    number; where they count an addition as a second operation, theirs is twice as large.

    Shapes alone are computed (torch's meta device), so that counting takes no time at any picture size.

    Args:
        network: takes float [1, channels, H, W].
        size_wh: width and height of the picture.
        channels: channels of the picture.

    Raises:
        ConfigError: a size that is not positive.
    """
    if min(*size_wh, channels) < 1:
        raise ConfigError(
            f"counting: got a picture of {size_wh[0]}x{size_wh[1]} with {channels} channels; "
            "expected positive numbers. Give width, height and channels."
        )
    shadow = copy.deepcopy(network).to("meta").eval()
    picture = torch.zeros(1, channels, size_wh[1], size_wh[0], device="meta")
    with _counting(shadow) as by_module, torch.inference_mode():
        shadow(picture)
    # Folding leaves its new biases frozen, so that counting trainable numbers would miss them.
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Cost(parameters, sum(by_module.values()), dict(by_module))


@contextmanager
def _counting(network: nn.Module) -> Iterator[dict[str, int]]:
    counts: dict[str, int] = defaultdict(int)

    def hook_of(name: str) -> _Hook:
        return _Hook(name, counts)

    hooks = [
        module.register_forward_hook(hook_of(name))
        for name, module in network.named_modules()
        if isinstance(module, Convolution | Transposed | nn.Linear)
    ]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


class _Hook:
    """Adds the products of one call to the count of its module."""

    def __init__(self, name: str, counts: dict[str, int]) -> None:
        self.name, self.counts = name, counts

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.counts[self.name] += _products(module, inputs[0], output)


def _products(module: nn.Module, taken: Tensor, given: Tensor) -> int:
    """Return the products in one call: outputs times inputs each sees, or the reverse for a transposed convolution."""
    if isinstance(module, nn.Linear):
        return given.numel() * module.in_features
    if isinstance(module, Convolution):
        return given.numel() * module.in_channels // module.groups * math.prod(module.kernel_size)
    if isinstance(module, Transposed):
        return taken.numel() * module.out_channels // module.groups * math.prod(module.kernel_size)
    return 0
