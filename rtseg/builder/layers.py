"""The layers of a quantized network, and the same network with some of them left in floating point."""

from __future__ import annotations

from collections.abc import Collection

import onnx
from onnx import TensorProto

from rtseg.builder.onnx_graph import drop_unused, producers_of, weights_of
from rtseg.builder.signed import DEQUANTIZE, QUANTIZE


def quantized_layers(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the nodes that read quantized values, in the order of the graph."""
    producers = producers_of(model)
    return tuple(
        node.name
        for node in model.graph.node
        if node.op_type != QUANTIZE and any(_is_dequantized(name, producers) for name in node.input)
    )


def with_quantized(quantized: onnx.ModelProto, original: onnx.ModelProto, layers: Collection[str]) -> onnx.ModelProto:
    """Return the network with only these layers quantized and all others as they were.

    A layer left in floating point reads what was there before quantization, and has its own weight and bias again:
    NNCF corrects biases for the rounding of the weights, which no longer happens.

    Args:
        quantized: from `quantize`; left as it is.
        original: the model that it was made of.
        layers: names out of `quantized_layers(quantized)`.
    """
    model = onnx.ModelProto()
    model.CopyFrom(quantized)
    producers, weights = producers_of(model), weights_of(model)
    originals = {node.name: node for node in original.graph.node}
    constants = weights_of(original)
    restored: dict[str, TensorProto] = {}
    wanted = set(layers)
    for name in quantized_layers(quantized):
        if name not in wanted:
            node = next(node for node in model.graph.node if node.name == name)
            _restore(node, originals[name], producers, constants, restored)
    model.graph.initializer.extend(tensor for key, tensor in restored.items() if key not in weights)
    drop_unused(model)
    return model


def _restore(
    node: onnx.NodeProto,
    original: onnx.NodeProto,
    producers: dict[str, onnx.NodeProto],
    constants: dict[str, TensorProto],
    restored: dict[str, TensorProto],
) -> None:
    """Make one node read float values again, in place; constants that it needs are added to `restored`."""
    for index, name in enumerate(original.input):
        if name in constants:
            kept = f"{name}.float"
            if kept not in restored:
                restored[kept] = TensorProto()
                restored[kept].CopyFrom(constants[name])
                restored[kept].name = kept
            node.input[index] = kept
        elif _is_dequantized(node.input[index], producers):
            node.input[index] = _before_quantization(node.input[index], producers)


def _is_dequantized(name: str, producers: dict[str, onnx.NodeProto]) -> bool:
    return name in producers and producers[name].op_type == DEQUANTIZE


def _before_quantization(name: str, producers: dict[str, onnx.NodeProto]) -> str:
    """Return the float tensor whose quantized and dequantized form this is."""
    while name in producers and producers[name].op_type in (DEQUANTIZE, QUANTIZE):
        name = producers[name].input[0]
    return name
