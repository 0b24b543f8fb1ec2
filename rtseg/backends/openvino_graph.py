"""The graph that OpenVINO compiles: from picture bytes to mask bytes, everything between inside."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from rtseg.backends.openvino_runtime import engine_errors
from rtseg.backends.openvino_upsampling import argmax_before_upsampling
from rtseg.errors import EngineError
from rtseg.network import NetworkSpec


def build_graph(ov: Any, core: Any, network: NetworkSpec, with_scores: bool) -> Any:
    """Return the network from picture bytes [1, h, w, 3] (RGB) to mask bytes [h, w], normalisation and argmax inside.

    Raises:
        EngineError: OpenVINO cannot read the file, or its shapes are not what the spec says.
    """
    name = network.onnx_path.name
    with engine_errors(name, "read"):
        model = core.read_model(str(network.onnx_path))
    fix_input_shape(model, network)
    output = raw_output(model, network)
    with engine_errors(name, "extend"):
        results = _heads(output, network, with_scores)
        extended = ov.Model(results, model.get_parameters(), "rtseg")
        return with_byte_input(ov, extended, network)


def fix_input_shape(model: Any, network: NetworkSpec) -> None:
    """Give the model the input size of the network's facts, where its file leaves it open or has another."""
    width, height = network.size_wh
    shape = [1, 3, height, width] if network.layout == "NCHW" else [1, height, width, 3]
    name = network.onnx_path.name
    if len(model.inputs) != 1:
        raise EngineError(f"model file {name}: got {len(model.inputs)} inputs; expected one picture. Export it again.")
    if list(model.input(0).partial_shape.get_min_shape()) != shape or model.is_dynamic():
        with engine_errors(name, f"reshape to {shape}"):
            model.reshape(shape)


def raw_output(model: Any, network: NetworkSpec) -> Any:
    """Return the network's own output node: what feeds the result."""
    name = network.onnx_path.name
    port = model.output(0)
    if network.output_name is not None:
        ports = [port for port in model.outputs if network.output_name in port.get_names()]
        if not ports:
            raise EngineError(
                f"model file {name}: got no output {network.output_name!r}; expected it. Correct the name."
            )
        port = ports[0]
    if port.partial_shape.is_dynamic:
        raise EngineError(
            f"model file {name}: got an output of changing shape {port.partial_shape}; expected a fixed one. "
            "Export the network with a fixed input size."
        )
    return port.get_node().input_value(0)


def _heads(output: Any, network: NetworkSpec, with_scores: bool) -> list[Any]:
    """Return the graph's results: the mask [h, w] uint8 and, where asked for, the winner's probability [h, w]."""
    op = import_module("openvino.opset13")
    shape = [int(side) for side in output.get_shape()]
    axis = class_axis(shape, network)
    if network.is_matte:
        return [op.result(_to_plane(op, _alpha_bytes(op, output, shape, axis), shape, axis))]
    if network.output_kind == "labels":
        limited = op.clamp(op.convert(output, "f32"), 0.0, 255.0)
        return [op.result(_to_plane(op, op.convert(op.round(limited), "u8"), shape, axis))]
    if with_scores:
        winner = _argmax(op, output, axis)
        shares = _winner_share(op, output, axis, network)
        return [op.result(_to_plane(op, node, shape, axis)) for node in (winner, shares)]
    labels = argmax_before_upsampling(op, output, axis, lambda planes: _argmax(op, planes, axis))
    if labels is None:
        labels = _argmax(op, output, axis)
    return [op.result(_to_plane(op, labels, shape, axis))]


def class_axis(shape: list[int], network: NetworkSpec) -> int | None:
    """Return the axis of classes or planes, None for an output without one; raise when the shape is another."""
    planes_wanted = {
        "labels": (1,),
        "alpha": (1, 2),
        "probability": (1, 2) if network.is_matte else (network.class_count,),
    }.get(network.output_kind, (network.class_count,))
    if 1 in planes_wanted and (len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)):
        return None
    axis = 1 if network.output_layout == "NCHW" else 3
    if len(shape) == 4 and shape[0] == 1 and shape[axis] in planes_wanted:
        return axis
    wanted = " or ".join(str(planes) for planes in planes_wanted)
    raise EngineError(
        f"model file {network.onnx_path.name}: got output {shape}; expected {network.output_layout} with {wanted} "
        f"planes for {network.output_kind}. Correct the classes, the output kind or its layout."
    )


def _to_plane(op: Any, node: Any, shape: list[int], axis: int | None) -> Any:
    """Return the node reshaped to [h, w]."""
    sides = [side for index, side in enumerate(shape) if index not in (0, axis)] if len(shape) > 2 else shape
    return op.reshape(node, op.constant(np.array(sides, np.int64)), False)


def _argmax(op: Any, output: Any, axis: int | None) -> Any:
    """Return the index of the largest plane, uint8; the lowest index where several are equal.

    Measured on two cores with 19 planes of 512x1024: TopK 5 ms, ReduceMax with Equal 9 to 26 ms, a chain or tree
    of Greater and Select 6 to 26 ms. TopK is fast over one batch only: over four at once it takes twenty times as long.
    """
    winner = op.topk(output, op.constant(np.int64(1)), axis, "max", "value", "i32", stable=True)
    return op.convert(winner.output(1), "u8")


def _winner_share(op: Any, output: Any, axis: int | None, network: NetworkSpec) -> Any:
    """Return the probability of the winning class, float32."""
    shares = output if network.output_kind == "probability" else op.softmax(output, axis)
    return op.convert(op.reduce_max(shares, op.constant(np.array([axis])), True), "f32")


def _alpha_bytes(op: Any, output: Any, shape: list[int], axis: int | None) -> Any:
    """Return the (last) plane, 0..1, as rounded bytes."""
    plane = output
    if axis is not None and shape[axis] == 2:
        plane = op.gather(output, op.constant(np.array([1])), op.constant(np.int64(axis)))
    limited = op.clamp(op.convert(plane, "f32"), 0.0, 1.0)
    return op.convert(op.round(op.multiply(limited, op.constant(np.float32(255))), "half_away_from_zero"), "u8")


def with_byte_input(ov: Any, model: Any, network: NetworkSpec) -> Any:
    """Return the model taking uint8 [1, h, w, 3] RGB: channel order, normalisation and layout folded in.

    (byte * scale - mean) / std is (byte - mean / scale) / (std / scale): two element-wise steps instead of three.
    """
    preprocess = import_module("openvino.preprocess")
    steps = preprocess.PrePostProcessor(model)
    source = steps.input()
    source.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    source.model().set_layout(ov.Layout(network.layout))
    if network.channel_order == "BGR":
        source.preprocess().reverse_channels()
    source.preprocess().convert_element_type(ov.Type.f32)
    mean = [value / network.scale for value in network.mean]
    std = [value / network.scale for value in network.std]
    if any(mean):
        source.preprocess().mean(mean)
    if any(value != 1.0 for value in std):
        source.preprocess().scale(std)
    return steps.build()
