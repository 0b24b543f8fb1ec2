"""Muon: steps along the orthogonal factor of the momentum for weights of convolutions, AdamW for everything else.

Source: Keller Jordan and others, "Muon: An optimizer for hidden layers in neural networks", 2024 (the iteration and its
coefficients); Jingyuan Liu and others, "Muon is Scalable for LLM Training", 2025, arXiv 2502.16982 (decay, and the
factor that gives its steps the size of AdamW's, so that one rate and one decay suit both).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
"""Of the odd quintic whose iterates drive every singular value near to 1."""
_ITERATIONS: Final = 5
_STEP_RMS: Final = 0.2
"""Root mean square of a step at rate 1: about that of AdamW's."""
_LEAST_SIDE: Final = 4
"""Weights with fewer rows or columns (heads, depthwise convolutions) have no spectrum worth levelling."""


def suits_muon(parameter: Tensor) -> bool:
    """Return whether a parameter is the weight of a full convolution or linear layer inside a network.

    The first convolution, which reads colours, is left to AdamW, as are heads of a few classes.
    """
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter.shape[1]) >= _LEAST_SIDE


@torch.no_grad()
def orthogonal_factor(matrix: Tensor) -> Tensor:
    """Return about the U V^T of a matrix U S V^T, float [m, n]; its singular values lie between 0.7 and 1.2.

    A matrix of zeros gives zeros.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    work = matrix.T if tall else matrix
    work = work / (work.norm() + 1e-12)
    first, third, fifth = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = work @ work.T
        work = torch.addmm(work, torch.addmm(gram, gram, gram, beta=third, alpha=fifth), work, beta=first)
    return work.T if tall else work


class Muon(torch.optim.Optimizer):
    """See the module.

    Args:
        groups: each with `spectral`: True for weights that `suits_muon`, False for those that AdamW moves.
        lr: learning rate of both.
        momentum: of the gradient's mean; looked ahead (Nesterov) for the spectral ones.
        second_momentum: of the squared gradient's mean (AdamW).
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float, second_momentum: float) -> None:
        super().__init__(
            groups, {"lr": lr, "momentum": momentum, "second_momentum": second_momentum, "spectral": False}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient. `closure` is not taken: None."""
        assert closure is None
        for group in self.param_groups:
            members = [parameter for parameter in group["params"] if parameter.grad is not None]
            (self._spectral_step if group["spectral"] else self._adamw_step)(members, group)

    def _spectral_step(self, members: list[nn.Parameter], group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        for parameter in members:
            gradient = parameter.grad
            assert gradient is not None
            state = self.state[parameter]
            if "mean" not in state:
                state["mean"] = torch.zeros_like(parameter)
            mean = state["mean"]
            mean.lerp_(gradient, 1 - momentum)
            ahead = gradient.lerp(mean, momentum).flatten(1)
            step = orthogonal_factor(ahead).view_as(parameter)
            size = _STEP_RMS * max(ahead.shape) ** 0.5
            parameter.mul_(1 - rate * group["weight_decay"]).add_(step, alpha=-rate * size)

    def _adamw_step(self, members: list[nn.Parameter], group: dict[str, Any]) -> None:
        for parameter in members:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.tensor(0.0),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in members]
        adamw(
            list(members),
            [parameter.grad for parameter in members if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=True,
            amsgrad=False,
            beta1=group["momentum"],
            beta2=group["second_momentum"],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )
