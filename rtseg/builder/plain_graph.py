"""A network brought into the one form that the graph changes expect, without changing what it computes.

Its weights are fp32 constants of the graph, every node has a name of its own, batch normalisations are a product and a
sum (their variance may lie outside the range of fp16), and its shapes are fixed: batch, size and all.

Note [Sides of a resize]
    A network that was exported for one size has the target of each resize written into it. The layers of such a
    network are fractions of the input (1/8, 1/64), so for another input the target is the same fraction; where that is
    no whole number of pixels, the network cannot have that size.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.builder.onnx_graph import drop_unused, fold_casts, set_nodes, weights_of
from rtseg.errors import EngineError
from rtseg.network import NetworkSpec
from rtseg.types import FloatArray

_ADVICE: Final = "Leave --size out, or give sides that are multiples of 64."
_EPSILON: Final = 1e-5
"""Of a batch normalisation that names none."""


def plain_model(network: NetworkSpec, batch: int = 1) -> onnx.ModelProto:
    """Return the network of an ONNX file in plain form, with one input and one output.

    Args:
        network: the file, the input's size and layout, and which output is wanted.
        batch: pictures in one call.

    Raises:
        EngineError: the file has branches or loops, several inputs, or cannot be run at this size.
    """
    model = onnx.load(str(network.onnx_path))
    _check(model, network)
    fold_casts(model)
    _hoist_constants(model)
    _name_nodes(model)
    _split_batch_norms(model)
    _choose_output(model, network)
    _fix_shapes(model, network, batch)
    return model


def picture_input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """Return the input that is no constant."""
    constants = weights_of(model)
    found: onnx.ValueInfoProto = next(source for source in model.graph.input if source.name not in constants)
    return found


def _check(model: onnx.ModelProto, network: NetworkSpec) -> None:
    name = network.onnx_path.name
    constants = weights_of(model)
    inputs = [source.name for source in model.graph.input if source.name not in constants]
    if len(inputs) != 1:
        raise EngineError(f"model file {name}: got {len(inputs)} inputs; expected one picture. Export it again.")
    inner = [node for node in model.graph.node if any(attribute.HasField("g") for attribute in node.attribute)]
    if inner:
        raise EngineError(
            f"model file {name}: got {inner[0].op_type}, which branches or loops; expected a straight network. "
            "Export it for a fixed input."
        )


def _hoist_constants(model: onnx.ModelProto) -> None:
    """Make constants inside of nodes constants of the graph, in place."""
    kept = []
    for node in model.graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
            continue
        tensor = TensorProto()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
    set_nodes(model, kept)
    _take_in_identities(model)


def _take_in_identities(model: onnx.ModelProto) -> None:
    """Let nodes read a constant itself instead of its identity, in place; exporters share equal weights so."""
    weights = weights_of(model)
    same = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "Identity" and node.input[0] in weights
    }
    for node in model.graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    drop_unused(model)


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give every node a name of its own, in place."""
    seen: set[str] = set()
    for node in model.graph.node:
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{node.output[0]}"
        seen.add(node.name)


def _split_batch_norms(model: onnx.ModelProto) -> None:
    """Make every batch normalisation with constant statistics a product and a sum, in place."""
    weights = weights_of(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "BatchNormalization" or any(name not in weights for name in node.input[1:]):
            nodes.append(node)
            continue
        scale, shift = _as_scale_and_shift(node, weights)
        names = f"{node.name}.scale", f"{node.name}.shift"
        model.graph.initializer.extend(
            numpy_helper.from_array(values, name) for values, name in zip((scale, shift), names, strict=True)
        )
        product = f"{node.output[0]}.scaled"
        nodes.append(helper.make_node("Mul", [node.input[0], names[0]], [product], f"{node.name}.mul"))
        nodes.append(helper.make_node("Add", [product, names[1]], [node.output[0]], f"{node.name}.add"))
    set_nodes(model, nodes)
    drop_unused(model)


def _as_scale_and_shift(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> tuple[FloatArray, FloatArray]:
    """Return what a batch normalisation multiplies by and adds, float32 [C, 1, 1] each."""
    gain, bias, mean, variance = (numpy_helper.to_array(weights[name]).astype(np.float64) for name in node.input[1:5])
    epsilon = next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), _EPSILON)
    scale = gain / np.sqrt(variance + epsilon)
    shift = bias - mean * scale
    return np.asarray(scale[:, None, None], np.float32), np.asarray(shift[:, None, None], np.float32)


def _choose_output(model: onnx.ModelProto, network: NetworkSpec) -> None:
    """Drop every output but the wanted one, in place."""
    outputs = list(model.graph.output)
    wanted = network.output_name or outputs[0].name
    chosen = [output for output in outputs if output.name == wanted]
    if not chosen:
        raise EngineError(
            f"model file {network.onnx_path.name}: got outputs {', '.join(one.name for one in outputs)}; expected "
            f"{wanted}, as the card says. Correct the card."
        )
    del model.graph.output[:]
    model.graph.output.extend(chosen)
    drop_unused(model)


def _fix_shapes(model: onnx.ModelProto, network: NetworkSpec, batch: int) -> None:
    """Set the input's shape and let every other follow from it, in place."""
    width, height = network.size_wh
    source, output = picture_input(model), model.graph.output[0]
    _fix_resizes(model, network, batch)
    shape = [batch, 3, height, width] if network.layout == "NCHW" else [batch, height, width, 3]
    source.CopyFrom(helper.make_tensor_value_info(source.name, source.type.tensor_type.elem_type, shape))
    output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise EngineError(
            f"model file {network.onnx_path.name}: got a failure at batch {batch}, {width}x{height} "
            f"({' '.join(str(error).split())[:200]}); expected a size that it runs at. {_ADVICE}"
        ) from error
    output.CopyFrom(inferred.graph.output[0])


def _fix_resizes(model: onnx.ModelProto, network: NetworkSpec, batch: int) -> None:
    """Let every resize to fixed sides have those that fit the new input, in place. See Note [Sides of a resize]."""
    source = picture_input(model)
    axes = (2, 3) if network.layout == "NCHW" else (1, 2)
    sides = [side.dim_value for side in source.type.tensor_type.shape.dim]
    if len(sides) != 4 or not all(sides[axis] for axis in axes):
        return  # a network for any size finds its sides itself
    old_hw, new_hw = [sides[axis] for axis in axes], network.size_wh[::-1]
    shapes = _shapes_of(model)
    for node in model.graph.node:
        if node.op_type == "Resize" and len(node.input) > 3 and node.input[3] and len(shapes[node.output[0]]) == 4:
            old = shapes[node.output[0]]
            fitted = [_fitted(old[axis], old_hw[i], new_hw[i], network) for i, axis in enumerate((2, 3))]
            name = f"{node.output[0]}.sides"
            target = np.array([batch, old[1], *fitted], np.int64)
            model.graph.initializer.append(numpy_helper.from_array(target, name))
            node.input[3] = name
    drop_unused(model)


def _fitted(side: int, old_px: int, new_px: int, network: NetworkSpec) -> int:
    """Return a side inside the network for another side of its input, in pixels."""
    if side * new_px % old_px:
        width, height = network.size_wh
        raise EngineError(
            f"model file {network.onnx_path.name}: got size {width}x{height}, at which a layer would be "
            f"{side * new_px / old_px:.2f} pixels; expected whole ones. {_ADVICE}"
        )
    return side * new_px // old_px


def _shapes_of(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the shape of every tensor at the size of the file; unknown sides are 0."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    notes = (*graph.input, *graph.output, *graph.value_info)
    return {note.name: [side.dim_value for side in note.type.tensor_type.shape.dim] for note in notes}
