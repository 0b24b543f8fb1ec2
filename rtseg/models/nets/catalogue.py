"""Networks by name with their settings, as recipes and cards have them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from torch import nn

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
