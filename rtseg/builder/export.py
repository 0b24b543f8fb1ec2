"""A trained torch network as a bundle: `model.onnx`, its card and the weights that the next training starts from.

Note [Half weights]
    The graph computes in fp32, but every larger weight is stored as fp16 and cast once, which runtimes fold at load:
    half the bytes in the repository. The weights are rounded in torch before the export, so that file and torch network
    hold the same numbers and can be compared closely.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module, util
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from torch import nn

from rtseg.backends.openvino_planes import OpenVINOPlanes
from rtseg.builder.cards import BYTE_SCALE, IMAGENET_MEAN, IMAGENET_STD, ONNX_NAME, CardFacts, card_tables, write_card
from rtseg.builder.onnx_graph import SMALLEST_HALVED, store_half
from rtseg.builder.weights import WEIGHTS_NAME as WEIGHTS_NAME
from rtseg.builder.weights import load_weights as load_weights
from rtseg.builder.weights import save_beside
from rtseg.builder.weights import save_weights as save_weights
from rtseg.errors import EngineError
from rtseg.models.bundle import load_bundle
from rtseg.models.nets.deploy import AlphaOutput, stripped
from rtseg.types import FloatArray, UInt8Array

OPSET: Final = 17
LARGEST_DIFFERENCE: Final = 0.01
"""Of a class probability or a matte (0..1) between torch and a runtime, both in fp32."""
INPUT_NAME: Final = "image"


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle that was written and agrees with the torch network."""

    folder: Path
    onnx_bytes: int
    differences: Mapping[str, float]
    """Largest difference of a probability or matte (0..1) to torch, by runtime."""


def export_bundle(network: nn.Module, folder: Path, facts: CardFacts) -> Exported:
    """Write the bundle of a trained network and compare the file with it in every runtime at hand.

    Args:
        network: gives logits at the input's size in eval mode (built with `full_size`, where it has that choice).
        folder: made if it is not there; a bundle in it is replaced.
        facts: what the card is to say.

    Raises:
        EngineError: the weights do not fit fp16, or a runtime computes something else than torch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deployed = deployable(network, matte=facts.task == "matte")
    path = folder / ONNX_NAME
    waiting = folder / f".part-{ONNX_NAME}"
    write_onnx(deployed, facts.size_wh, facts.output_kind, waiting)
    waiting.replace(path)
    save_beside(path, network)
    write_card(folder, card_tables(facts, hashlib.sha256(path.read_bytes()).hexdigest()))
    return Exported(folder, path.stat().st_size, check_agreement(deployed, folder))


def deployable(network: nn.Module, *, matte: bool) -> nn.Module:
    """Return the copy that is exported: folded, without training-only parts, in eval mode on the CPU, fp16 weights."""
    plain = copy.deepcopy(network).cpu().float()
    slim = stripped(plain)
    _round_to_half(slim)
    return (AlphaOutput(slim) if matte else slim).eval()


def _round_to_half(network: nn.Module) -> None:
    """Round the larger weights and statistics to what fp16 can hold, in place. See Note [Half weights]."""
    with torch.no_grad():
        for name, weight in (*network.named_parameters(), *network.named_buffers()):
            if weight.numel() < SMALLEST_HALVED or not weight.is_floating_point():
                continue
            rounded = weight.half().float()
            if not torch.isfinite(rounded).all():
                raise EngineError(
                    f"export: got a weight {name} up to {float(weight.abs().max()):.3g}; expected finite numbers that "
                    "fit fp16 (65504). Train on with a lower rate, or take an earlier checkpoint."
                )
            weight.copy_(rounded)


def write_onnx(network: nn.Module, size_wh: tuple[int, int], output_name: str, path: Path) -> None:
    """Write a network as ONNX: batch 1, static size, larger weights stored as fp16."""
    example = torch.zeros(1, 3, size_wh[1], size_wh[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, yet its graphs are the smaller ones
        torch.onnx.export(
            network,
            (example,),
            str(path),
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[output_name],
            dynamo=False,
        )
    model = onnx.load(path)
    store_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def check_agreement(deployed: nn.Module, folder: Path, seed: int = 3) -> dict[str, float]:
    """Return the largest difference of a probability or matte to torch, by runtime, on a picture of coloured boxes.

    OpenVINO is asked through the card, so that a wrong mean or channel order in it shows as well; ONNX Runtime, where
    it is installed, is asked for the bare file.

    Raises:
        EngineError: a runtime differs by more than `LARGEST_DIFFERENCE`.
    """
    bundle = load_bundle(folder)
    picture = _boxes(bundle.network.size_wh, seed)
    batch = _normalised(picture)
    with torch.inference_mode():
        expected = _shares(deployed(torch.from_numpy(batch)).numpy()[0], matte=bundle.task == "matte")
    found = {"openvino": np.asarray(OpenVINOPlanes(bundle.network)(picture))}
    if util.find_spec("onnxruntime") is not None:
        planes = _onnxruntime_planes(folder / ONNX_NAME, batch)
        found["onnxruntime"] = _shares(planes, matte=bundle.task == "matte")
    differences = {name: float(np.abs(planes - expected).max()) for name, planes in found.items()}
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= LARGEST_DIFFERENCE:
        raise EngineError(
            f"export of {folder.name}: got a difference of {differences[worst]:.3g} between torch and {worst}; "
            f"expected at most {LARGEST_DIFFERENCE}. Please report this with the recipe."
        )
    return differences


def _boxes(size_wh: tuple[int, int], seed: int) -> UInt8Array:
    """Return a picture uint8 [H, W, 3] of noise in coarse and fine boxes, so that every scale has something to see."""
    rng = np.random.default_rng(seed)
    width, height = size_wh
    total = np.zeros((height, width, 3), np.float64)
    for side in (4, 16, 64):
        cells = rng.uniform(0, 85, (height // side + 1, width // side + 1, 3))
        total += cells.repeat(side, 0).repeat(side, 1)[:height, :width]
    return total.astype(np.uint8)


def _normalised(picture: UInt8Array) -> FloatArray:
    mean, std = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    planes = (picture.astype(np.float32) * np.float32(BYTE_SCALE) - mean) / std
    return np.ascontiguousarray(planes.transpose(2, 0, 1)[None], np.float32)


def _shares(planes: FloatArray, *, matte: bool) -> FloatArray:
    """Return logits [K, h, w] as probabilities, a matte as it is."""
    if matte:
        return planes
    powers = np.exp(planes - planes.max(0, keepdims=True))
    return np.asarray(powers / powers.sum(0, keepdims=True), np.float32)


def _onnxruntime_planes(path: Path, batch: FloatArray) -> FloatArray:
    runtime: Any = import_module("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {INPUT_NAME: batch})[0][0], np.float32)
