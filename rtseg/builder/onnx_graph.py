"""Small, exact changes to ONNX graphs: how weights are stored, and what nobody reads any more.

Note [Half weights in a file]
    The shipped files hold each larger weight as fp16 with a cast to fp32 behind it. Quantization wants the plain fp32
    weight, so the casts are folded before it; what is left in higher precision afterwards is stored as it was.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HALF_SUFFIX: Final = ".half"
"""Ends the name of a weight that is stored as fp16; without it, it is the name in torch."""
SMALLEST_HALVED: Final = 65
"""Weights of fewer numbers stay in fp32."""
FP16_MOST: Final = 65504.0
"""The largest number that fp16 holds."""


def weights_of(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Return the graph's constants by name."""
    return {weight.name: weight for weight in model.graph.initializer}


def producers_of(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return which node makes each tensor."""
    return {name: node for node in model.graph.node for name in node.output}


def fold_casts(model: onnx.ModelProto) -> int:
    """Replace every cast of a constant to fp32 by the fp32 constant, in place; return how many there were."""
    weights = weights_of(model)
    kept = []
    for node in model.graph.node:
        if _is_cast_to_float(node) and node.input[0] in weights:
            values = numpy_helper.to_array(weights[node.input[0]]).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        else:
            kept.append(node)
    folded = len(model.graph.node) - len(kept)
    set_nodes(model, kept)
    drop_unused(model)
    return folded


def _is_cast_to_float(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == TensorProto.FLOAT for a in node.attribute)


def store_half(model: onnx.ModelProto) -> int:
    """Store every larger fp32 weight as fp16 with a cast behind it, in place; return how many.

    The graph still computes in fp32. A weight out of the range of fp16 stays as it is.
    """
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST_HALVED or not np.abs(values).max() <= FP16_MOST:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}{HALF_SUFFIX}"))
        casts.append(helper.make_node("Cast", [f"{name}{HALF_SUFFIX}"], [name], f"{name}.cast", to=TensorProto.FLOAT))
    set_nodes(model, [*casts, *model.graph.node])
    return len(casts)


def drop_unused(model: onnx.ModelProto) -> None:
    """Drop nodes, constants and shape notes that no output depends on, in place."""
    wanted = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            wanted.update(_read_inside(node))
            kept.append(node)
    set_nodes(model, kept[::-1])
    constants = [weight for weight in model.graph.initializer if weight.name in wanted]
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    made = {name for node in kept for name in node.output}
    notes = [note for note in model.graph.value_info if note.name in made]
    del model.graph.value_info[:]
    model.graph.value_info.extend(notes)


def _read_inside(node: onnx.NodeProto) -> set[str]:
    """Return the tensors that the branches and bodies inside a node read."""
    graphs = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return {name for graph in graphs for inner in graph.node for name in (*inner.input, *_read_inside(inner))}


def set_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Replace the nodes of the graph, in place; they may be its own."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
