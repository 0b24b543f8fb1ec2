"""A network in fp16 arithmetic: types in the graph itself, as strongly typed runtimes want them.

Note [What stays in fp32]
    Half precision holds at most 65504 and loses small numbers below 0.00006. So these nodes compute in fp32, with casts
    around them: sums over many values and whatever has an exponential in it (`SENSITIVE`); nodes whose constants do not
    survive the rounding; and nodes whose values came near the limit when they were measured (half_ranges.py).
    A quantized layer is one unit: its convolution and the dequantizations it reads have one type, or no runtime would
    recognise it as an int8 layer.

Note [Scales stay fp32]
    A scale in fp16 is off by up to 0.05 %, a small one by more, and TensorRT makes them fp32 again with a warning for
    each. So quantizations read fp16 with an fp32 scale, and dequantizations give fp16, which ONNX has since opset 23.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from rtseg.builder.onnx_graph import FP16_MOST, drop_unused, producers_of, set_nodes, weights_of
from rtseg.builder.signed import DEQUANTIZE, QUANTIZE
from rtseg.errors import EngineError

SENSITIVE: Final = frozenset(
    {"CumSum", "Exp", "GlobalAveragePool", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Log",
     "LogSoftmax", "LpNormalization", "MeanVarianceNormalization", "Mish", "Pow", "Reciprocal", "ReduceL1", "ReduceL2",
     "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Softmax",
     "Softplus", "Sqrt"}
)  # fmt: skip
"""Operations that overflow or cancel in fp16. See Note [What stays in fp32]."""
MOST_ROUNDING: Final = 0.001
"""Share of a constant's norm that the rounding to fp16 may change; 0.0003 is usual, tiny numbers lose more."""
_ALWAYS_FLOAT: Final = {"Resize": (1, 2), "Upsample": (1,), QUANTIZE: (1,), DEQUANTIZE: (1,)}
"""Inputs that are fp32 whatever the picture is: regions and scales."""
SCALES_OPSET: Final = 23
"""The first in which scales and what they scale may have different types. See Note [Scales stay fp32]."""
_SCALES_IR: Final = 11
"""Version of the file format that came with that opset."""
_HALF: Final = ".fp16"
_FLOAT: Final = ".fp32"


def to_half(model: onnx.ModelProto, keep: Collection[str] = ()) -> tuple[str, ...]:
    """Let the network compute in fp16, in place; its fp32 inputs become fp16, its outputs what they are made in.

    Args:
        model: from `plain_graph.plain_model`: named nodes, constants outside of nodes, no batch normalisation.
        keep: names of more nodes that stay in fp32.

    Returns:
        Names of the nodes that stay in fp32. See Note [What stays in fp32].
    """
    raise_opset(model)
    types = _types_of(model)
    kept = _kept(model, keep)
    casts = _Casts(types, weights_of(model), {name: node.name in kept for name, node in producers_of(model).items()})
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        nodes += casts.read(copy, as_float=node.name in kept)
        if node.name not in kept:
            _retype(copy, types)
        nodes.append(copy)
    set_nodes(model, nodes)
    model.graph.initializer.extend(casts.halved.values())
    _retype_ends(model, kept)
    del model.graph.value_info[:]
    drop_unused(model)
    return tuple(node.name for node in nodes if node.name in kept and _is_float(node, types))


class _Casts:
    """Which tensors there are in which type, and the casts between them, each made once."""

    def __init__(self, types: dict[str, int], weights: dict[str, TensorProto], made: dict[str, bool]) -> None:
        self._types = types
        self._weights = weights
        self._made_float = made
        self._cast: set[str] = set()
        self.halved: dict[str, TensorProto] = {}
        """Constants as fp16, by name."""

    def read(self, node: onnx.NodeProto, *, as_float: bool) -> list[onnx.NodeProto]:
        """Let a node read its fp32 inputs in another type, in place; return the casts that must come before it."""
        casts: list[onnx.NodeProto] = []
        for index, name in enumerate(node.input):
            if self._types.get(name) == TensorProto.FLOAT:
                wants_float = as_float or index in _ALWAYS_FLOAT.get(node.op_type, ())
                node.input[index], cast = self._in_type(name, wants_float)
                casts += cast
        return casts

    def _in_type(self, name: str, wants_float: bool) -> tuple[str, list[onnx.NodeProto]]:
        """Return the name of a tensor in fp32 or fp16, and the cast that makes it where it is new."""
        if name in self._weights:
            return (name, []) if wants_float else (self._halved(name), [])
        if self._made_float.get(name, False) == wants_float:  # inputs of the network are fp16 by now
            return name, []
        other = f"{name}{_FLOAT if wants_float else _HALF}"
        if other in self._cast:
            return other, []
        self._cast.add(other)
        to = TensorProto.FLOAT if wants_float else TensorProto.FLOAT16
        return other, [helper.make_node("Cast", [name], [other], f"{other}.cast", to=to)]

    def _halved(self, name: str) -> str:
        half = f"{name}{_HALF}"
        if half not in self.halved:
            values = np.clip(numpy_helper.to_array(self._weights[name]), -FP16_MOST, FP16_MOST)
            self.halved[half] = numpy_helper.from_array(values.astype(np.float16), half)
        return half


def _types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element type of every tensor."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    found = {weight.name: int(weight.data_type) for weight in graph.initializer}
    for note in (*graph.input, *graph.output, *graph.value_info):
        found[note.name] = int(note.type.tensor_type.elem_type)
    return found


def _is_float(node: onnx.NodeProto, types: dict[str, int]) -> bool:
    return any(types.get(name) == TensorProto.FLOAT for name in node.output)


def raise_opset(model: onnx.ModelProto) -> None:
    """Bring a quantized network up to the opset that knows scales of another type, in place.

    Raises:
        EngineError: it has an operation that cannot be brought up.
    """
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset >= SCALES_OPSET or not any(node.op_type == QUANTIZE for node in model.graph.node):
        return
    try:
        model.CopyFrom(version_converter.convert_version(model, SCALES_OPSET))
        model.ir_version = max(model.ir_version, _SCALES_IR)
    except (RuntimeError, ValueError) as error:
        raise EngineError(
            f"quantized network: got opset {opset}, which cannot be brought up to {SCALES_OPSET} "
            f"({' '.join(str(error).split())[:200]}); expected common operations. Quantize it again: rtseg build MODEL "
            "--precision int8."
        ) from error


def _retype(node: onnx.NodeProto, types: dict[str, int]) -> None:
    """Let a node that makes fp32 by itself make fp16, in place: a cast, a constant filled in, a dequantization."""
    if node.op_type == DEQUANTIZE and types.get(node.output[0]) == TensorProto.FLOAT:
        node.attribute.append(helper.make_attribute("output_dtype", TensorProto.FLOAT16))
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))


def _retype_ends(model: onnx.ModelProto, kept: Collection[str]) -> None:
    """Let inputs and outputs say the types that they have now, in place."""
    producers = producers_of(model)
    for end in (*model.graph.input, *model.graph.output):
        facts = end.type.tensor_type
        if facts.elem_type == TensorProto.FLOAT and (end.name not in producers or producers[end.name].name not in kept):
            facts.elem_type = TensorProto.FLOAT16


def _kept(model: onnx.ModelProto, keep: Collection[str]) -> set[str]:
    """Return the names of the nodes that stay in fp32."""
    weights = weights_of(model)
    kept = {node.name for node in model.graph.node if node.op_type in SENSITIVE or node.name in keep}
    kept |= {node.name for node in model.graph.node if not _survives(node, weights)}
    readers = _read_at(model)
    kept |= {node.name for node in model.graph.node if _float_for_others(node, readers)}
    return kept | _with_their_layers(model, kept)


def _survives(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> bool:
    """Return whether a node's constants are nearly the same in fp16."""
    exempt = _ALWAYS_FLOAT.get(node.op_type, ())
    return all(
        _rounds_well(numpy_helper.to_array(weights[name]))
        for index, name in enumerate(node.input)
        if name in weights and weights[name].data_type == TensorProto.FLOAT and index not in exempt
    )


def _rounds_well(values: np.ndarray[Any, np.dtype[Any]]) -> bool:
    if not values.size or not np.abs(values).max() <= FP16_MOST:
        return not values.size
    exact = values.astype(np.float64)
    error = float(np.linalg.norm(exact - values.astype(np.float16)))
    return error <= MOST_ROUNDING * float(np.linalg.norm(exact))


def _read_at(model: onnx.ModelProto) -> dict[str, list[bool]]:
    """Return for each tensor whether each of its readers must have it in fp32."""
    found: dict[str, list[bool]] = {}
    for node in model.graph.node:
        exempt = _ALWAYS_FLOAT.get(node.op_type, ())
        for index, name in enumerate(node.input):
            found.setdefault(name, []).append(index in exempt)
    return found


def _float_for_others(node: onnx.NodeProto, readers: dict[str, list[bool]]) -> bool:
    """Return whether a node makes nothing but numbers that others must have in fp32: the scales of a resize."""
    read_at = [always for name in node.output for always in readers.get(name, ())]
    return bool(read_at) and all(read_at)


def _with_their_layers(model: onnx.ModelProto, kept: Collection[str]) -> set[str]:
    """Return the layers that read a dequantization in fp32, and all dequantizations that such a layer reads."""
    producers = producers_of(model)
    read = {
        node.name: [_dequantized_by(name, producers) for name in node.input]
        for node in model.graph.node
        if node.op_type not in (QUANTIZE, DEQUANTIZE)
    }
    layers = {name for name, sources in read.items() if name in kept or any(one in kept for one in sources)}
    return layers | {one for name in layers for one in read[name] if one is not None}


def _dequantized_by(name: str, producers: dict[str, onnx.NodeProto]) -> str | None:
    """Return the node that dequantizes a tensor, None where none does."""
    node = producers.get(name)
    return node.name if node is not None and node.op_type == DEQUANTIZE else None
