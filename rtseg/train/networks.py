"""Networks by name with their settings, and the weights of one carried over to another set of classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import torch
from torch import Tensor, nn

from rtseg.errors import ConfigError
from rtseg.models.checks import nearest

_NETWORKS: Final[Mapping[str, str]] = {
    "BiSeNetV2": "rtseg.models.nets.bisenetv2",
    "DdrNet": "rtseg.models.nets.ddrnet",
    "LrasppMobileNetV3": "rtseg.models.nets.lraspp_mobilenetv3",
    "PidNet": "rtseg.models.nets.pidnet",
    "PpLiteSeg": "rtseg.models.nets.pp_liteseg",
    "RegSeg": "rtseg.models.nets.regseg",
    "ddrnet23_slim": "rtseg.models.nets.ddrnet",
    "ddrnet_compact": "rtseg.models.nets.ddrnet",
    "pidnet_compact": "rtseg.models.nets.pidnet",
    "pidnet_small": "rtseg.models.nets.pidnet",
    "pp_liteseg_compact": "rtseg.models.nets.pp_liteseg",
}
_GIVEN: Final = ("self", "classes", "full_size")
"""Arguments that the recipe does not choose: the classes and the task do, and whether it is trained or exported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Which network, and how large."""

    name: str
    """One of `network_names()`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of its constructor besides the classes, such as width, planes, fine."""


def network_names() -> tuple[str, ...]:
    """Return the names of the networks that can be trained, sorted."""
    return tuple(_NETWORKS)


def network_from(table: object, where: str) -> NetworkSettings:
    """Return the network that a table `name = "…"` with its settings beside names.

    Raises:
        ConfigError: there is no such network, or it has no such setting.
    """
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        raise ConfigError(f'{where}: got {table!r}; expected a table with name = "…". Add the name.')
    chosen = NetworkSettings(name=table["name"], settings={k: v for k, v in table.items() if k != "name"})
    _constructor(chosen, where)
    return chosen


def network_table(network: NetworkSettings) -> dict[str, Any]:
    """Return the table that `network_from` reads back."""
    return {"name": network.name, **network.settings}


def build_network(network: NetworkSettings, outputs: int, *, full_size: bool = False) -> nn.Module:
    """Return a fresh network; torch's seed decides its weights.

    Args:
        network: which, and how large.
        outputs: planes of its output: the classes, or 1 for a matte.
        full_size: True gives logits at the input's size (to export and to score), False at the head's own (to train).

    Raises:
        ConfigError: there is no such network or setting, or the settings do not fit together.
    """
    make = _constructor(network, "network")
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in network.settings.items()}
    if "full_size" in inspect.signature(make).parameters:
        settings["full_size"] = full_size
    try:
        return make(outputs, **settings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"network {network.name}: got {dict(network.settings)} ({error}); expected settings that its constructor "
            "takes. See its docstring."
        ) from error


def _constructor(network: NetworkSettings, where: str) -> Callable[..., nn.Module]:
    """Return what builds the network, after a check of the names of its settings."""
    if network.name not in _NETWORKS:
        raise ConfigError(f"{where}: got the network {network.name!r}; {nearest(network.name, network_names())}")
    make: Callable[..., nn.Module] = getattr(import_module(_NETWORKS[network.name]), network.name)
    known = tuple(name for name in inspect.signature(make).parameters if name not in _GIVEN)
    for key in network.settings:
        if key not in known:
            raise ConfigError(f"{where}: got an unknown setting {key!r} of {network.name}; {nearest(key, known)}")
    return make


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
