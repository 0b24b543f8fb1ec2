"""The exponential moving average of the weights, which is what gets scored and shipped.

Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; with the warm-up of the
decay that training frameworks use, so that the first random weights are soon forgotten.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rtseg.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageSettings:
    """How long the average remembers."""

    horizon: int = 1000
    """Steps over which it averages, about; 1: the weights themselves."""

    def __post_init__(self) -> None:
        """Check the horizon."""
        if self.horizon < 1:
            raise ConfigError(f"average.horizon: got {self.horizon}; expected at least 1 step. Correct it.")


class WeightAverage:
    """The averaged copy of a network, batch-norm statistics included."""

    def __init__(self, network: nn.Module, settings: AverageSettings) -> None:
        self._horizon = settings.horizon
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        """The averaged network, in eval mode and without gradients."""
        self._pairs = _floating_pairs(self.network, network)
        self._counters = _counter_pairs(self.network, network)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the network after step `step` (0 and up)."""
        keep = min(1 - 1 / self._horizon, (1 + step) / (10 + step))
        mine, theirs = self._pairs
        torch._foreach_lerp_(mine, theirs, 1 - keep)  # one call for all weights: hundreds would cost more than the sums
        for own, other in self._counters:
            own.copy_(other)


def _floating_pairs(average: nn.Module, network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    mine, theirs = average.state_dict(), network.state_dict()
    names = [name for name, value in mine.items() if value.is_floating_point()]
    return [mine[name] for name in names], [theirs[name] for name in names]


def _counter_pairs(average: nn.Module, network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    theirs = network.state_dict()
    return [(value, theirs[name]) for name, value in average.state_dict().items() if not value.is_floating_point()]
