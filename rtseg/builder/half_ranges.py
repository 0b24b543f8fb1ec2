"""Which nodes of a network do not bear fp16, measured: its values on frames, and the labels that come out of it.

Note [What is measured]
    The network runs in fp32 on frames with every node's output looked at. A node whose values come within a factor of
    two of the largest fp16 number stays in fp32: other footage may be brighter. Then the fp16 network itself runs on
    the same frames, each tensor rounded to fp16 as on a GPU and products summed in fp32. As long as too few labels
    agree, the nodes that the rounding hurts most stay in fp32 as well. Numbers below the smallest normal one of fp16
    lose digits; they are counted and reported, and count where they cost labels, not by themselves: most are the tails
    of an activation that nobody would miss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto

from rtseg.builder.calibration import network_input, open_calibration
from rtseg.builder.onnx_graph import FP16_MOST
from rtseg.builder.plain_graph import picture_input, plain_model
from rtseg.errors import EngineError
from rtseg.models.checks import Task
from rtseg.network import NetworkSpec
from rtseg.types import FloatArray, UInt8Array

RANGE_FRAMES: Final = 4
"""Frames of the built-in scene."""
HEADROOM: Final = 2.0
"""Values may get so many times as large on other footage."""
LEAST_AGREEMENT: Final = 0.998
"""Share of labels that must survive; more than the gate asks, which comes after."""
MOST_ROUNDS: Final = 4
"""How often more nodes are kept in fp32 before it is left to the gate."""
SHARE_A_ROUND: Final = 0.1
"""Of the nodes, kept in a round."""
LEAST_NORMAL: Final = 2.0**-14
"""The smallest number that fp16 holds with all its digits."""
_SHOWN: Final = 5
"""Nodes named in a report for each thing."""
_LARGEST_PX: Final = 1 << 19
"""Larger networks are measured at half their size, or half of that: ranges hardly depend on it, and time does."""

HalfModel = Callable[[NetworkSpec, Sequence[str]], onnx.ModelProto]
"""Returns a network in fp16 with these nodes kept in fp32."""
Run = Callable[[FloatArray], Mapping[str, np.ndarray[Any, Any]]]
"""Outputs by name, of one input."""


@dataclass(slots=True)
class NodeRange:
    """What a node's output held on all frames."""

    most: float = 0.0
    """Largest absolute value."""
    least: float = np.inf
    """Smallest absolute value that is not 0."""
    nonzero: int = 0
    subnormal: int = 0
    """Of those, below `LEAST_NORMAL`."""
    error: float = 0.0
    energy: float = 0.0
    """Sums of squares: of what rounding to fp16 changes, and of the values."""

    def add(self, values: np.ndarray[Any, Any]) -> None:
        """Count the values of one frame."""
        sizes = np.abs(values[values != 0]).astype(np.float64)
        if not sizes.size:
            return
        self.most, self.least = max(self.most, float(sizes.max())), min(self.least, float(sizes.min()))
        self.nonzero += int(sizes.size)
        self.subnormal += int((sizes < LEAST_NORMAL).sum())
        rounded = np.minimum(sizes, FP16_MOST).astype(np.float16).astype(np.float64)
        self.error += float(np.square(sizes - rounded).sum())
        self.energy += float(np.square(sizes).sum())

    @property
    def overflows(self) -> bool:
        """True where the values come near the largest fp16 number, or are no numbers."""
        return not self.most * HEADROOM <= FP16_MOST

    @property
    def loss(self) -> float:
        """Share of the values' norm that rounding to fp16 changes."""
        return float(np.sqrt(self.error / self.energy)) if self.energy else 0.0

    @property
    def subnormal_share(self) -> float:
        """Share of the nonzero values that lose digits."""
        return self.subnormal / self.nonzero if self.nonzero else 0.0


@dataclass(frozen=True, slots=True)
class HalfRanges:
    """What was measured of a network, and what follows."""

    source: str
    """Where the frames are from."""
    frames: int
    runtime: str
    """What ran it; why it was not measured, where it was not."""
    nodes: Mapping[str, NodeRange] = field(default_factory=dict)
    overflowing: tuple[str, ...] = ()
    """Nodes that stay in fp32 for their range."""
    lossy: tuple[str, ...] = ()
    """Nodes that stay in fp32 since too few labels agreed without them."""
    agreement: float | None = None
    """Share of labels that the fp16 network has from the fp32 one, as kept; None: not measured."""

    @property
    def keep(self) -> tuple[str, ...]:
        """Names of the nodes that stay in fp32."""
        return (*self.overflowing, *self.lossy)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values, the worst nodes by name."""

        def worst(measure: Callable[[NodeRange], float]) -> dict[str, float]:
            ranked = sorted(self.nodes, key=lambda name: measure(self.nodes[name]), reverse=True)[:_SHOWN]
            return {name: float(f"{measure(self.nodes[name]):.4g}") for name in ranked}

        return {
            "source": self.source,
            "frames": self.frames,
            "runtime": self.runtime,
            "nodes": len(self.nodes),
            "largest": worst(lambda one: one.most),
            "subnormal_share": worst(lambda one: one.subnormal_share),
            "rounding_loss": worst(lambda one: one.loss),
            "kept_for_range": list(self.overflowing),
            "kept_for_agreement": list(self.lossy),
            "agreement": None if self.agreement is None else round(self.agreement, 6),
        }


def measured_ranges(network: NetworkSpec, half_model: HalfModel, *, frames: int = RANGE_FRAMES) -> HalfRanges:
    """Return what a network's values are on frames of the built-in scene. See Note [What is measured].

    Args:
        network: with the file of the precision in use, and the size.
        half_model: returns the network in fp16.
        frames: how many.

    Raises:
        EngineError: the network cannot be run.
    """
    task: Task = "matte" if network.is_matte else "semantic"
    network = _small(network)
    calibration = open_calibration(None, network, task, frames)
    runtime = "onnxruntime" if find_spec("onnxruntime") is not None else "openvino"
    inputs = [network_input(picture, network) for picture in calibration.pictures]
    nodes, labels = _ranges(network, inputs, runtime)
    overflowing = tuple(name for name, one in nodes.items() if one.overflows)
    lossy, agreement = _kept_for_agreement(network, half_model, inputs, labels, nodes, overflowing, runtime)
    return HalfRanges(calibration.source, len(inputs), runtime, nodes, overflowing, lossy, agreement)


def _small(network: NetworkSpec) -> NetworkSpec:
    width, height = network.size_wh
    while width * height > _LARGEST_PX and width % 128 == 0 and height % 128 == 0:
        width, height = width // 2, height // 2
    return replace(network, size_wh=(width, height))


def _ranges(
    network: NetworkSpec, inputs: Sequence[FloatArray], runtime: str
) -> tuple[dict[str, NodeRange], list[UInt8Array]]:
    """Return the range of every node with a float output, and the fp32 network's labels of every frame."""
    model = plain_model(network)
    own = model.graph.output[0].name
    owner = {name: node.name for node in model.graph.node for name in node.output}
    looked_at = _float_outputs(model)
    for note in looked_at:
        if note.name != own:
            model.graph.output.append(note)
    run = _runner(model, runtime)
    nodes = {owner[note.name]: NodeRange() for note in looked_at}
    labels = []
    for batch in inputs:
        found = run(batch)
        for note in looked_at:
            nodes[owner[note.name]].add(found[note.name])
        labels.append(_labels(found[own], network))
    return nodes, labels


def _float_outputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return notes of all tensors of fp32 that nodes make."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    made = {name for node in model.graph.node for name in node.output}
    notes = {note.name: note for note in (*inferred.value_info, *inferred.output) if note.name in made}
    return [note for note in notes.values() if note.type.tensor_type.elem_type == TensorProto.FLOAT]


def _kept_for_agreement(
    network: NetworkSpec,
    half_model: HalfModel,
    inputs: Sequence[FloatArray],
    labels: Sequence[UInt8Array],
    nodes: Mapping[str, NodeRange],
    overflowing: tuple[str, ...],
    runtime: str,
) -> tuple[tuple[str, ...], float | None]:
    """Return which nodes stay in fp32 for the labels' sake, and how many labels agree then.

    Only ONNX Runtime rounds to fp16 on a CPU; without it this is left to the gate.
    """
    if runtime != "onnxruntime":
        return (), None
    ranked = sorted(set(nodes) - set(overflowing), key=lambda name: nodes[name].loss, reverse=True)
    step = max(1, round(SHARE_A_ROUND * len(ranked)))
    for round_index in range(MOST_ROUNDS):
        lossy = tuple(ranked[: round_index * step])
        agreement = _agreement(half_model(network, (*overflowing, *lossy)), network, inputs, labels)
        if agreement >= LEAST_AGREEMENT:
            break
    return lossy, agreement


def _agreement(
    model: onnx.ModelProto, network: NetworkSpec, inputs: Sequence[FloatArray], labels: Sequence[UInt8Array]
) -> float:
    run, own = _runner(model, "onnxruntime"), model.graph.output[0].name
    is_half = picture_input(model).type.tensor_type.elem_type == TensorProto.FLOAT16
    shares = []
    for batch, expected in zip(inputs, labels, strict=True):
        found = run(batch.astype(np.float16) if is_half else batch)[own]
        shares.append(float((_labels(found, network) == expected).mean()))
    return float(np.mean(shares))


def _labels(planes: np.ndarray[Any, Any], network: NetworkSpec) -> UInt8Array:
    """Return the class of every pixel, uint8; of a matte, whether it is more than one half."""
    if network.output_kind == "labels":
        return np.asarray(planes, np.uint8)
    axis = 3 if network.output_layout == "NHWC" else 1
    if network.is_matte:
        matte = planes if planes.ndim < 4 else planes.take(planes.shape[axis] - 1, axis)
        return (matte > 0.5).astype(np.uint8)
    return np.asarray(planes.argmax(axis), np.uint8)


def _runner(model: onnx.ModelProto, runtime: str) -> Run:
    """Return what runs a model on the CPU, exactly as its graph says.

    Raises:
        EngineError: the runtime does not take it.
    """
    names, source = [note.name for note in model.graph.output], picture_input(model).name
    try:
        if runtime == "onnxruntime":
            return _onnxruntime(model, names, source)
        return _openvino(model, names)
    except Exception as error:  # each runtime has errors of its own, which nothing here may import
        raise EngineError(
            f"ranges of a network: got {' '.join(str(error).split())[:300]} from {runtime}; expected it to run. "
            "Use another --precision."
        ) from error


def _onnxruntime(model: onnx.ModelProto, names: list[str], source: str) -> Run:
    ort: Any = import_module("onnxruntime")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # or casts to fp16 are taken out
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda batch: dict(zip(names, session.run(names, {source: batch}), strict=True))


def _openvino(model: onnx.ModelProto, names: list[str]) -> Run:
    from rtseg.backends.openvino_runtime import openvino_core

    core = openvino_core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString(), b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda batch: {name: np.array(compiled(batch)[index]) for index, name in enumerate(names)}
