"""The form of a network that ships: no training-only heads, batch norms folded away."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtseg.errors import ConfigError
from rtseg.models.nets.blocks import folded


def deployed(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode without its training-only parts, batch norms folded where a convolution precedes.

    The outputs agree with the original's in eval mode up to floating-point rounding. A batch norm before a ReLU and
    not after a convolution stays: no convolution could take it up.

    Args:
        network: names its training-only children in a class attribute `TRAINING_ONLY`.

    Raises:
        ConfigError: the network does not say which of its children are for training only.
    """
    names = getattr(type(network), "TRAINING_ONLY", None)
    if names is None:
        raise ConfigError(
            f"deployment: got {type(network).__name__}, which has no TRAINING_ONLY; "
            "expected a network that names its training-only parts. Use rtseg.models.nets.blocks.folded for others."
        )
    copied = folded(network)
    for name in names:
        setattr(copied, name, None)
    return copied


def stripped(network: nn.Module) -> nn.Module:
    """Return the copy that is exported: by the network's own `deploy()` where it has one, else folded.

    A child `auxiliary` that is a list of heads is emptied.
    """
    deploy = getattr(network, "deploy", None)
    if deploy is not None:
        slim: nn.Module = deploy()
        return slim
    slim = folded(network)
    if isinstance(getattr(slim, "auxiliary", None), nn.ModuleList):
        slim.auxiliary = nn.ModuleList()
    return slim


class AlphaOutput(nn.Module):
    """A network of one logit with the sigmoid that makes it a matte."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return the matte [N, 1, H, W], 0..1, of a normalised batch [N, 3, H, W]."""
        return torch.sigmoid(self.network(image))
