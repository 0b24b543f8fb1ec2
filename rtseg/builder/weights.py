"""Weights from which the next training starts: whole in a run's folder, without what `model.onnx` holds in a bundle.

Note [Weights of a bundle]
    A bundle's ONNX file has the convolutions with their batch norms folded in. Its `weights.safetensors` has the rest:
    the batch norms themselves, the heads that only training uses, and in its metadata which convolution was folded
    with which batch norm. Dividing the folded weights by what was multiplied in gives the trainable network back, up to
    the rounding to fp16, and no large number is stored twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from rtseg.builder.onnx_graph import HALF_SUFFIX
from rtseg.errors import EngineError
from rtseg.models.nets.blocks import folded_pairs

WEIGHTS_NAME: Final = "weights.safetensors"
_PLAN: Final = "in_onnx"
"""Metadata key: JSON of how the rest is in the ONNX file."""
_DEAD_SCALE: Final = 1e-6
"""A batch norm with a smaller factor gives a constant, whatever its convolution says."""


def save_weights(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write weights as safetensors: convolutions in fp16, per-channel numbers (whose range is wide) in fp32."""
    from safetensors.torch import save

    def stored(value: Tensor) -> Tensor:
        value = value.detach().cpu()
        return (value.half() if value.is_floating_point() and value.ndim > 1 else value).contiguous()

    waiting = path.with_name(f".part-{path.name}")
    waiting.write_bytes(save({name: stored(value) for name, value in state.items()}, dict(metadata or {})))
    waiting.replace(path)


def save_beside(onnx_path: Path, network: nn.Module) -> Path:
    """Write what the ONNX file of a network lacks next to it, and return the path. See Note [Weights of a bundle].

    Args:
        onnx_path: written from the folded copy of the network, perhaps wrapped in a module that calls it `network`.
        network: as it was trained.
    """
    state = network.state_dict()
    held = _initialisers(onnx_path)
    pairs = folded_pairs(network)
    plan: dict[str, dict[str, Any]] = {}
    for name in (name for name, value in state.items() if value.ndim == 4):
        found = next((key for key in (name, f"network.{name}") if key in held), None)
        if found is not None and held[found].shape == tuple(state[name].shape):
            norm = pairs.get(name.removesuffix(".weight"))
            eps = network.get_submodule(norm).eps if norm else 0.0
            plan[name] = {"onnx": found, "norm": norm, "eps": eps}
    rest = {name: value for name, value in state.items() if name not in plan}
    digest = hashlib.sha256(onnx_path.read_bytes()).hexdigest()
    facts = {"sha256": digest, "file": onnx_path.name, "convolutions": plan}
    path = onnx_path.with_name(WEIGHTS_NAME)
    save_weights(rest, path, {_PLAN: json.dumps(facts, sort_keys=True)})
    return path


def load_weights(path: Path) -> dict[str, Tensor]:
    """Return weights by name, floating-point ones as fp32 on the CPU; those of a bundle with what its ONNX file holds.

    Raises:
        EngineError: it is no safetensors file, or the ONNX file beside it is not the one that it belongs to.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}
            facts = json.loads((file.metadata() or {}).get(_PLAN, "null"))
    except (OSError, SafetensorError, ValueError) as error:
        raise EngineError(f"weights {path}: got {error}; expected a safetensors file. Fetch it again.") from error
    state = {name: value.float() if value.is_floating_point() else value for name, value in found.items()}
    return state if facts is None else state | _unfolded(path, state, facts)


def _unfolded(path: Path, rest: Mapping[str, Tensor], facts: Mapping[str, Any]) -> dict[str, Tensor]:
    onnx_path = path.with_name(facts["file"])
    if not onnx_path.is_file() or hashlib.sha256(onnx_path.read_bytes()).hexdigest() != facts["sha256"]:
        raise EngineError(
            f"weights {path}: got no {facts['file']} beside it that it belongs to; expected the bundle as it was "
            "exported. Copy the whole folder again."
        )
    held = _initialisers(onnx_path)
    found = {}
    for name, row in facts["convolutions"].items():
        weight = torch.from_numpy(held[row["onnx"]].astype(np.float32))
        if row["norm"] is not None:
            factor = rest[f"{row['norm']}.weight"] / torch.sqrt(rest[f"{row['norm']}.running_var"] + row["eps"])
            alive = factor.abs() > _DEAD_SCALE
            inverse = torch.where(alive, 1 / torch.where(alive, factor, 1.0), 0.0)
            weight = weight * inverse[:, None, None, None]
        found[name] = weight
    return found


def _initialisers(onnx_path: Path) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Return the weights of an ONNX file by their names in torch."""
    model = onnx.load(onnx_path)
    return {
        weight.name.removesuffix(HALF_SUFFIX): np.asarray(numpy_helper.to_array(weight))
        for weight in model.graph.initializer
    }
