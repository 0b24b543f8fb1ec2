"""Unsigned activations become signed ones that hold the same range."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs the extra `train`")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rtseg.builder.signed import make_signed, unsigned_nodes  # noqa: E402
from rtseg.errors import EngineError  # noqa: E402
from tests.builder.tensorrt_parser import parser_warnings  # noqa: E402

pytestmark = pytest.mark.needs_torch


def activation(zero: np.ndarray | None, scale: float = 0.02) -> onnx.ModelProto:
    """x -> ReLU -> quantize -> dequantize -> 1x1 convolution."""
    parameters = ["scale"] if zero is None else ["scale", "zero"]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "relu"),
        helper.make_node("QuantizeLinear", ["r", *parameters], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", *parameters], ["d"], "dequantize"),
        helper.make_node("Conv", ["d", "w"], ["y"], "conv"),
    ]
    weights = [
        numpy_helper.from_array(np.float32(scale), "scale"),
        numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w"),
    ]
    if zero is not None:
        weights.append(numpy_helper.from_array(zero, "zero"))
    shape = [1, 1, 8, 8]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
        value_info=[
            helper.make_tensor_value_info("q", TensorProto.INT8 if _signed(zero) else TensorProto.UINT8, shape)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def _signed(zero: np.ndarray | None) -> bool:
    return zero is not None and zero.dtype == np.int8


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values.reshape(1, 1, 8, 8).astype(np.float32)})[0].ravel()


@pytest.mark.parametrize("zero", [np.uint8(0), None], ids=["zero point", "zero point left out"])
def test_unsigned_becomes_signed_with_the_scale_times_255_over_127(zero):
    model = activation(None if zero is None else np.array(zero))
    assert unsigned_nodes(model) == ("quantize", "dequantize")
    values = np.linspace(-1, 0.02 * 255, 64)
    before = run(model, values)
    assert make_signed(model) == 1
    assert unsigned_nodes(model) == ()
    onnx.checker.check_model(model, full_check=True)
    after = run(model, values)
    step = 0.02 * 255 / 127
    assert after.max() == pytest.approx(before.max(), rel=1e-6)  # the range is whole: nothing is clipped
    assert np.abs(after - np.maximum(values, 0)).max() <= step / 2 + 1e-6


def test_taken_as_signed_without_the_rewriting_half_the_range_would_be_lost():
    """Positive control: what a parser does that reads uint8 as int8 with the same scale."""
    model = activation(np.array(0, np.int8))
    assert run(model, np.linspace(0, 0.02 * 255, 64)).max() == pytest.approx(0.02 * 127)


@pytest.mark.parametrize(
    ("zero", "most"),
    [(np.array(100, np.uint8), 155), (np.array(200, np.uint8), 200), (np.array(-28, np.int8), 155)],
)
def test_a_shifted_range_becomes_the_larger_side_of_it(zero, most):
    model = activation(zero)
    assert make_signed(model) == 1
    scales = {node.input[1] for node in model.graph.node if node.op_type.endswith("Linear")}
    values = [float(numpy_helper.to_array(w)) for w in model.graph.initializer if w.name in scales]
    assert values == [pytest.approx(0.02 * most / 127)]


def test_signed_files_stay_byte_for_byte():
    model = activation(np.array(0, np.int8))
    before = model.SerializeToString()
    assert make_signed(model) == 0
    assert model.SerializeToString() == before


def test_an_unsigned_weight_is_refused():
    model = activation(np.array(0, np.uint8))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 1, 1, 1), np.uint8), "w8"))
    model.graph.node.append(helper.make_node("DequantizeLinear", ["w8", "scale", "zero"], ["w9"]))
    with pytest.raises(EngineError, match="expected int8"):
        make_signed(model)


@pytest.mark.needs_tensorrt
def test_tensorrt_warns_of_the_unsigned_file_and_takes_the_signed_one():
    model = activation(np.array(0, np.uint8))
    parsed, warnings = parser_warnings(model)
    assert any("UINT8" in warning for warning in warnings)  # positive control
    make_signed(model)
    parsed, warnings = parser_warnings(model)
    assert parsed
    assert warnings == []
