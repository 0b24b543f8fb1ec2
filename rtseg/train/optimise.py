"""AdamW, Muon and SGD with decay on the convolutions' weights only, and their state as plain named tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rtseg.errors import ConfigError
from rtseg.train.muon import Muon, suits_muon


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """How the weights are moved."""

    name: Literal["adamw", "muon", "sgd"] = "adamw"
    """AdamW; Muon for the weights of full convolutions with AdamW for all else, see `rtseg.train.muon`; stochastic
    gradient descent with Nesterov momentum."""
    momentum: float = 0.9
    """Of the gradient's mean, for all of them."""
    second_momentum: float = 0.99
    """Of the squared gradient's mean (AdamW, also beside Muon)."""
    decay: float = 0.02
    """Weight decay, on weights of convolutions only; about 5e-4 suits SGD."""
    clip_norm: float = 5.0
    """Largest norm of all gradients together; 0: unlimited."""
    head_rate: float = 1.0
    """Factor on the rate of outputs that begin fresh (fine-tuning to other classes)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        shares = (self.momentum, self.second_momentum)
        if not all(0 <= share < 1 for share in shares) or min(self.decay, self.clip_norm) < 0 or self.head_rate <= 0:
            raise ConfigError(
                f"optimiser: got momentum {self.momentum}, {self.second_momentum}, decay {self.decay}, clip_norm "
                f"{self.clip_norm}, head_rate {self.head_rate}; expected momentum in 0..1, the others not negative. "
                "Correct it."
            )


def build_optimiser(
    network: nn.Module, settings: OptimiserSettings, heads: Collection[str] = ()
) -> torch.optim.Optimizer:
    """Return the optimiser of a network; each group carries `rate_factor`, by which its rate is multiplied.

    Args:
        network: whose parameters are moved.
        settings: how.
        heads: names of parameters that take `head_rate`.
    """
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        decay = settings.decay if parameter.ndim > 1 else 0.0
        factor = settings.head_rate if name in heads else 1.0
        spectral = settings.name == "muon" and suits_muon(parameter)
        groups.setdefault((decay, factor, spectral), []).append(parameter)
    written: list[dict[str, Any]] = [
        {"params": members, "weight_decay": decay, "rate_factor": factor, "spectral": spectral}
        for (decay, factor, spectral), members in groups.items()
    ]
    if settings.name == "muon":
        return Muon(written, lr=1e-3, momentum=settings.momentum, second_momentum=settings.second_momentum)
    if settings.name == "sgd":
        return torch.optim.SGD(written, lr=1e-3, momentum=settings.momentum, nesterov=settings.momentum > 0)
    return torch.optim.AdamW(written, lr=1e-3, betas=(settings.momentum, settings.second_momentum))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate_factor"]


def state_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state as tensors named "index/key", by the order of the parameters."""
    return {
        f"{index}/{key}": value
        for index, parameter in enumerate(_parameters(optimiser))
        for key, value in optimiser.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore_state(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `state_tensors` gave.

    Each tensor gets the memory order of its parameter: elementwise kernels round the last numbers of a row otherwise
    when the orders differ, and a resumed run would not end equal to one that was never stopped.
    """
    parameters = _parameters(optimiser)
    for name, value in tensors.items():
        index, key = name.split("/", 1)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            kept = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        else:
            kept = value.clone()  # AdamW's step count: a number on the CPU
        optimiser.state[parameter][key] = kept.detach()


def _parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
