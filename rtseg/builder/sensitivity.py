"""Which layers suffer most from quantization, measured, the worst first.

Note [Ranking by halves]
    The error of a group of layers is how far the network's output moves when only that group is quantized. Asking each
    layer alone would take as many compilations as there are layers. Instead the worst group is halved, and halved
    again, until it is one layer; the next worst group is halved next. The first layer takes about 2 log2(n)
    measurements, the following ones fewer, and only as many layers are ranked as are asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from rtseg.backends.base import EngineRequest
from rtseg.backends.openvino_planes import OpenVINOPlanes
from rtseg.backends.registry import create_backend
from rtseg.builder.layers import quantized_layers, with_quantized
from rtseg.network import NetworkSpec
from rtseg.types import FloatArray, UInt8Array

PICTURES: Final = 4
"""Pictures an error is measured on."""

GroupError = Callable[[Sequence[str]], float]
"""Gives the error of the network when only these layers are quantized."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What quantizing one layer alone does."""

    layer: str
    """Name of its node."""
    error: float
    """Mean absolute difference of the output: of class probabilities or the matte, 0..1; of labels, their share."""


def rank(layers: Sequence[str], error_of: GroupError) -> Iterator[Sensitivity]:
    """Yield layers in falling order of their error, lazily. See Note [Ranking by halves].

    Args:
        layers: in the order of the graph, so that halves are neighbours.
        error_of: measured once for each group; groups of equal error come in the order of the graph.
    """
    order = {layer: index for index, layer in enumerate(layers)}
    groups: list[tuple[float, int, tuple[str, ...]]] = []

    def push(group: tuple[str, ...]) -> None:
        if group:
            heapq.heappush(groups, (-error_of(group), order[group[0]], group))

    push(tuple(layers))
    while groups:
        negative, _, group = heapq.heappop(groups)
        if len(group) == 1:
            yield Sensitivity(group[0], -negative)
            continue
        middle = len(group) // 2
        push(group[:middle])
        push(group[middle:])


class OutputError:
    """Measures how far the output of a partly quantized network lies from the float network's, in fp32."""

    def __init__(
        self,
        quantized: onnx.ModelProto,
        original: onnx.ModelProto,
        network: NetworkSpec,
        pictures: Sequence[UInt8Array],
        folder: Path,
    ) -> None:
        """Take the float network's output.

        Args:
            quantized: the fully quantized network.
            original: the float one.
            network: its facts.
            pictures: rgb uint8 [h, w, 3] at the network's size; a few are enough.
            folder: a place for the file of each trial.
        """
        self._quantized, self._original = quantized, original
        self._network = network
        self._pictures = pictures
        self._path = folder / "trial.onnx"
        self._expected = self._outputs(original)
        self.measured = 0
        """Measurements so far."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Every quantized layer."""
        return quantized_layers(self._quantized)

    def __call__(self, layers: Sequence[str]) -> float:
        """Return the mean absolute difference when only these layers are quantized."""
        self.measured += 1
        found = self._outputs(with_quantized(self._quantized, self._original, layers))
        return float(np.mean([np.abs(a - b).mean() for a, b in zip(found, self._expected, strict=True)]))

    def _outputs(self, model: onnx.ModelProto) -> list[FloatArray]:
        onnx.save(model, str(self._path))
        network = replace(self._network, onnx_path=self._path)
        if network.output_kind == "labels":
            return _one_hot(network, self._pictures)
        planes = OpenVINOPlanes(network)
        return [planes(picture) for picture in self._pictures]


def _one_hot(network: NetworkSpec, pictures: Sequence[UInt8Array]) -> list[FloatArray]:
    """Return labels as planes, float32 [K, h, w], halved, so that a pixel of another label is a difference of 1."""
    backend, _ = create_backend("openvino")
    backend.load(EngineRequest(network, "fp32", "latency"))
    with backend:
        masks = [backend.infer(picture).labels for picture in pictures]
    classes = np.arange(network.class_count, dtype=np.uint8)[:, None, None]
    return [np.asarray((mask == classes) * (network.class_count / 2), np.float32) for mask in masks if mask is not None]
