"""A bundle's network in torch, with the very weights of its ONNX file.

The card's `[training.network]` names the definition. Training-only heads and foldable batch norms are taken out of it
as they were for the export; what is left has the names of the ONNX file's constants, which are its weights, bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from rtseg.errors import ConfigError, EngineError
from rtseg.models.bundle import Bundle
from rtseg.models.nets.catalogue import build_network, network_from
from rtseg.models.nets.deploy import AlphaOutput, stripped
from rtseg.models.onnx_weights import read_onnx_weights

_COUNTER: Final = ".num_batches_tracked"
"""Of batch norms, for training only; no file has it."""


def open_network(bundle: Bundle) -> nn.Module:
    """Return the network that the bundle's ONNX file was exported from, fp32 on the CPU, in eval mode.

    It takes a normalised batch [N, 3, h, w] and gives logits [N, K, h, w], or a matte [N, 1, h, w], 0..1.

    Raises:
        EngineError: the card names no network, or one that is not the file's.
    """
    table = bundle.training.get("network")
    if table is None:
        raise EngineError(
            f"network of {bundle.name}: got a model whose card names no network; expected [training.network] in its "
            "model.toml, as bundles of rtseg train have it. Use --backend openvino or tensorrt."
        )
    matte = bundle.task == "matte"
    try:
        chosen = network_from(table, f"card of {bundle.name}: [training.network]")
        with torch.random.fork_rng(devices=[]):
            trained = build_network(chosen, 1 if matte else len(bundle.classes), full_size=True)
    except ConfigError as error:
        raise EngineError(str(error)) from error
    network = stripped(trained)
    whole = AlphaOutput(network) if matte else network
    _load(whole, _weights_in(bundle), bundle.name)
    return whole.eval()


def _weights_in(bundle: Bundle) -> dict[str, Tensor]:
    """Return the constants of the bundle's float ONNX file by their names in torch, as they are stored."""
    return {name: torch.from_numpy(value) for name, value in read_onnx_weights(bundle.network.onnx_path).items()}


def _load(network: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Copy the weights in; each one has to be there, in its shape."""
    for key, own in network.state_dict().items():
        if key.endswith(_COUNTER):
            continue
        found = weights.get(key)
        if found is None or found.shape != own.shape:
            got = "no weight" if found is None else f"a weight of {list(found.shape)}"
            raise EngineError(
                f"network of {name}: got {got} {key} in the ONNX file; expected {list(own.shape)} as the card's "
                "[training.network] has it. Export the bundle again, or use --backend openvino."
            )
        with torch.no_grad():
            own.copy_(found)
