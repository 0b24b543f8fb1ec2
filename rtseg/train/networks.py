"""The weights of one network carried over to another set of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rtseg.errors import ConfigError
from rtseg.models.nets.catalogue import NetworkSettings as NetworkSettings
from rtseg.models.nets.catalogue import build_network as build_network
from rtseg.models.nets.catalogue import network_from as network_from
from rtseg.models.nets.catalogue import network_names as network_names
from rtseg.models.nets.catalogue import network_table as network_table


def head_weights(network: NetworkSettings, outputs: int) -> dict[str, int]:
    """Return the weights whose first side counts the outputs, each with its rows an output.

    Found by comparing the shapes of two networks, so that no network has to list its heads. A head that ends in a
    pixel shuffle has several rows an output, and they lie together.
    """
    with torch.random.fork_rng(devices=[]):
        mine = build_network(network, outputs).state_dict()
        more = build_network(network, outputs + 1).state_dict()
    return {
        name: value.shape[0] // outputs
        for name, value in mine.items()
        if value.shape and value.shape[0] != more[name].shape[0]
    }


def carry_over(
    network: nn.Module, weights: Mapping[str, Tensor], heads: Mapping[str, int], members: Sequence[Sequence[int]] | None
) -> None:
    """Load weights into a network; in its heads each output takes the mean of the old outputs it stands for.

    Args:
        network: receives them.
        weights: of the same network with the same or with other outputs.
        heads: from `head_weights`.
        members: for each output here the old outputs that it takes in, none where it is new (it keeps the weights it
            has); None: the outputs are the same.

    Raises:
        ConfigError: the weights are of another network.
    """
    own = network.state_dict()
    if odd := sorted(set(own) ^ set(weights)):
        raise ConfigError(
            f"weights: got {len(odd)} names that differ, such as {odd[0]}; expected those of this network. "
            "Name the network and the settings that they were trained with."
        )
    for name, value in weights.items():
        if members is not None and name in heads:
            value = _rows_from(value, own[name], heads[name], members)
        if value.shape != own[name].shape:
            raise ConfigError(
                f"weights: got {name} of {list(value.shape)}; expected {list(own[name].shape)}. Name the network and "
                "the settings that they were trained with."
            )
        with torch.no_grad():
            own[name].copy_(value)


def _rows_from(old: Tensor, fresh: Tensor, rows: int, members: Sequence[Sequence[int]]) -> Tensor:
    """Return a head's weight with the rows of each output taken from the old outputs it stands for.

    The rows of a new output begin equal: those of a pixel shuffle are neighbouring pixels, and a checkerboard that
    begins there takes long to fade (Aitken et al., 2017, arXiv 1707.02937).
    """
    found = fresh.detach().clone()
    for index, chosen in enumerate(members):
        mine = slice(index * rows, (index + 1) * rows)
        if chosen:
            found[mine] = torch.stack([old[i * rows : (i + 1) * rows] for i in chosen]).mean(0)
        else:
            found[mine] = found[mine][:1]
    return found
