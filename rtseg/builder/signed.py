"""Quantized activations as signed bytes, symmetric about zero.

Note [Signed activations]
    After a ReLU, NNCF quantizes to uint8 with zero point 0. TensorRT's parser takes such a tensor for int8, says so in
    a mere warning, and clips the upper half of its range: the network runs and is wrong. One file for every runtime
    has int8 everywhere: byte values 0..255 of scale s become 0..127 of scale s x 255/127. That costs one bit of those
    activations, and about 3 % of the speed on CPUs whose 8-bit product wants one unsigned factor.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from rtseg.builder.onnx_graph import drop_unused, weights_of
from rtseg.errors import EngineError
from rtseg.types import FloatArray

QUANTIZE: Final = "QuantizeLinear"
DEQUANTIZE: Final = "DequantizeLinear"
_MOST_UNSIGNED: Final = 255
_MOST_SIGNED: Final = 127


def unsigned_nodes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of quantizing and dequantizing nodes that are not int8 with zero point 0."""
    weights = weights_of(model)
    nodes = [node for node in model.graph.node if node.op_type in (QUANTIZE, DEQUANTIZE)]
    return tuple(node.name or node.output[0] for node in nodes if not _is_symmetric(node, weights))


def make_signed(model: onnx.ModelProto) -> int:
    """Rewrite every unsigned or shifted quantization of an activation to symmetric int8, in place; return how many.

    See Note [Signed activations]. A shifted range [low, high] becomes [-m, m] with m the larger of both.

    Raises:
        EngineError: a scale or a zero point is not a constant, or a weight is stored as uint8.
    """
    weights = weights_of(model)
    rewritten = 0
    for node in model.graph.node:
        if node.op_type not in (QUANTIZE, DEQUANTIZE) or _is_symmetric(node, weights):
            continue
        if node.op_type == DEQUANTIZE and node.input[0] in weights:
            raise EngineError(f"quantized weight {node.input[0]}: got uint8; expected int8. Please report this.")
        scale, zero = _symmetric(node, weights)
        for tensor in (scale, zero):
            if tensor.name not in weights:
                model.graph.initializer.append(tensor)
                weights[tensor.name] = tensor
        node.input[:] = [node.input[0], scale.name, zero.name]
        rewritten += node.op_type == QUANTIZE
    _correct_notes(model)
    drop_unused(model)
    return rewritten


def _correct_notes(model: onnx.ModelProto) -> None:
    """Let the graph's notes on types say int8 of every quantized tensor, in place."""
    quantized = {node.output[0] for node in model.graph.node if node.op_type == QUANTIZE}
    for note in model.graph.value_info:
        if note.name in quantized:
            note.type.tensor_type.elem_type = TensorProto.INT8


def _is_symmetric(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> bool:
    zero = weights.get(node.input[2]) if len(node.input) > 2 else None
    return zero is not None and zero.data_type == TensorProto.INT8 and not numpy_helper.to_array(zero).any()


def _symmetric(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> tuple[TensorProto, TensorProto]:
    """Return scale and zero point of the symmetric int8 form, named after the old scale."""
    old = weights.get(node.input[1])
    if old is None or (len(node.input) > 2 and node.input[2] not in weights):
        raise EngineError(
            f"quantization {node.name}: got a scale that is computed; expected a constant. Quantize the float file."
        )
    scale = numpy_helper.to_array(old).astype(np.float64)
    zero = numpy_helper.to_array(weights[node.input[2]]) if len(node.input) > 2 else np.zeros(scale.shape, np.uint8)
    low_level, high_level = (0, _MOST_UNSIGNED) if zero.dtype == np.uint8 else (-_MOST_SIGNED - 1, _MOST_SIGNED)
    most = np.maximum((high_level - zero.astype(np.float64)) * scale, (zero.astype(np.float64) - low_level) * scale)
    name = f"{node.input[1]}.signed{'' if not zero.any() else '.' + node.input[2]}"
    return (
        numpy_helper.from_array(_float32(most / _MOST_SIGNED), name),
        numpy_helper.from_array(np.zeros(scale.shape, np.int8), f"{name}.zero"),
    )


def _float32(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> FloatArray:
    return np.asarray(values, np.float32)
