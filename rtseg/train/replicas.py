"""A batch computed in parts at once, each by a replica of the network on threads of its own.

Two single threads train quicker than two threads on each convolution: small convolutions share out badly, and a thread
that builds batches beside them makes both wait. The replicas share the weights; each part has its own gradients, which
are added up by its share of the samples, and its own batch-norm statistics, of which the running ones are averaged
after the step. So whatever a loss takes over all pixels of a batch (Dice, hard examples, means over what is known) it
takes over those of a part.

Source of statistics of a part: Hoffer et al., "Train longer, generalize better", 2017, arXiv 1705.08741 (ghost batch
norm).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from rtseg.errors import ConfigError
from rtseg.train.loader import Batch

PartLoss = Callable[[nn.Module, Batch], Tensor]
"""Returns the mean loss of a part of the batch, with its graph."""


class Replicas:
    """The network and its copies; a context manager that ends its threads.

    Args:
        network: in training mode; it takes the gradients of all parts.
        count: parts a batch; 1 computes it whole, as if this class were not there.
        on_cpu: False where the network is on a GPU, which computes one batch at a time.

    Raises:
        ConfigError: more than one replica on a GPU, or of a network with dropout: all threads draw from one generator,
            and what a run ends with would depend on which came first.
    """

    def __init__(self, network: nn.Module, count: int, *, on_cpu: bool) -> None:
        if count < 1:
            raise ConfigError(f"replicas: got {count}; expected 1 or more. Correct it.")
        drops = any(isinstance(module, nn.Dropout | nn.Dropout2d) and module.p for module in network.modules())
        if count > 1 and (drops or not on_cpu):
            reason = "a network with dropout" if drops else "a GPU"
            raise ConfigError(f"replicas: got {count} for {reason}; expected 1. Drop the option.")
        self._networks = [network, *(_sharing(network) for _ in range(count - 1))]
        self._statistics = [_floating_buffers(each) for each in self._networks]

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(max(1, len(self._networks) - 1), thread_name_prefix="replica")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)

    def backward(self, batch: Batch, loss_of: PartLoss) -> Tensor:
        """Leave the gradients of the mean loss of the parts in the network, and return that loss, detached.

        Args:
            batch: on the network's device.
            loss_of: called once a part, in several threads at once.
        """
        parts = batch.parts(len(self._networks))
        if len(parts) == 1:
            return _backward(self._networks[0], batch, loss_of, 1.0)
        used, statistics = self._networks[: len(parts)], self._statistics[: len(parts)]
        for buffers in statistics[1:] if statistics[0] else ():
            torch._foreach_copy_(buffers, statistics[0])
        shares = [len(part) / len(batch) for part in parts]
        begun = [
            self._pool.submit(_backward, network, part, loss_of, share)
            for network, part, share in zip(used[1:], parts[1:], shares[1:], strict=True)
        ]
        try:
            losses = [_backward(used[0], parts[0], loss_of, shares[0])]
        finally:
            rest = [each.exception() or each.result() for each in begun]  # none runs on where the first one failed
        losses += [_raised(each) for each in rest]
        _add_gradients(used)
        _average(statistics)
        return torch.stack(losses).sum()


def _raised(found: BaseException | Tensor) -> Tensor:
    if isinstance(found, BaseException):
        raise found
    return found


def _backward(network: nn.Module, part: Batch, loss_of: PartLoss, share: float) -> Tensor:
    loss = loss_of(network, part) * share
    for parameter in network.parameters():
        parameter.grad = None
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def _sharing(network: nn.Module) -> nn.Module:
    """Return a copy whose weights are the network's own and whose statistics are its own."""
    copied = copy.deepcopy(network)
    for mine, theirs in zip(copied.parameters(), network.parameters(), strict=True):
        mine.data = theirs.data
    return copied


def _floating_buffers(network: nn.Module) -> list[Tensor]:
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]


@torch.no_grad()
def _add_gradients(networks: list[nn.Module]) -> None:
    """Add the gradients of all to the first's. A parameter that one part did not reach has none there."""
    for columns in zip(*(network.parameters() for network in networks), strict=True):
        found = [parameter.grad for parameter in columns if parameter.grad is not None]
        if found:
            for other in found[1:]:
                found[0].add_(other)
            columns[0].grad = found[0]


@torch.no_grad()
def _average(statistics: list[list[Tensor]]) -> None:
    """Put the mean of the replicas' statistics into the first's."""
    for index, buffers in enumerate(statistics[1:] if statistics[0] else (), start=1):
        torch._foreach_lerp_(statistics[0], buffers, 1 / (index + 1))
