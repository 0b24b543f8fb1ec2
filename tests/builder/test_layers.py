"""A quantized network with some layers put back as they were."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs the extra `train`")
runtime = pytest.importorskip("onnxruntime")

from onnx import helper, numpy_helper  # noqa: E402

from rtseg.builder.calibration import network_input  # noqa: E402
from rtseg.builder.layers import quantized_layers, with_quantized  # noqa: E402
from rtseg.builder.onnx_graph import fold_casts  # noqa: E402
from tests.builder.parts import network, pictures, spec  # noqa: E402

pytestmark = pytest.mark.needs_torch


def by_hand(original: onnx.ModelProto) -> onnx.ModelProto:
    """Quantize "middle" and "last" coarsely, and move the bias of "last" as a bias correction would."""
    model = onnx.ModelProto()
    model.CopyFrom(original)
    nodes = []
    for node in model.graph.node:
        if node.name in ("middle", "last"):
            weight = next(w for w in model.graph.initializer if w.name == node.input[1])
            values = numpy_helper.to_array(weight)
            scale = np.float32(np.abs(values).max() / 7)
            model.graph.initializer.extend(
                [
                    numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{node.name}.w8"),
                    numpy_helper.from_array(scale, f"{node.name}.ws"),
                    numpy_helper.from_array(np.float32(0.3), f"{node.name}.as"),
                    numpy_helper.from_array(np.int8(0), f"{node.name}.z"),
                ]
            )
            parts = [f"{node.name}.as", f"{node.name}.z"]
            nodes += [
                helper.make_node("QuantizeLinear", [node.input[0], *parts], [f"{node.name}.q"]),
                helper.make_node("DequantizeLinear", [f"{node.name}.q", *parts], [f"{node.name}.d"]),
                helper.make_node(
                    "DequantizeLinear", [f"{node.name}.w8", f"{node.name}.ws", f"{node.name}.z"], [f"{node.name}.wd"]
                ),
            ]
            node.input[0], node.input[1] = f"{node.name}.d", f"{node.name}.wd"
        if node.name == "last":
            model.graph.initializer.append(numpy_helper.from_array(np.full(4, 9, np.float32), "moved"))
            node.input[2] = "moved"
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        nodes.append(copy)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


@pytest.fixture
def original(tmp_path):
    model = onnx.load(str(network(tmp_path / "model.onnx")))
    fold_casts(model)
    return model


def output(model: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": network_input(pictures(1)[0], spec(None))})[0]


def test_layers_are_those_that_read_quantized_values(original):
    assert quantized_layers(original) == ()
    assert quantized_layers(by_hand(original)) == ("middle", "last")


def test_with_all_layers_it_is_the_quantized_network_and_with_none_the_float_one(original):
    quantized = by_hand(original)
    np.testing.assert_array_equal(output(with_quantized(quantized, original, ["middle", "last"])), output(quantized))
    restored = with_quantized(quantized, original, [])
    assert quantized_layers(restored) == ()
    assert not any(node.op_type == "QuantizeLinear" for node in restored.graph.node)
    np.testing.assert_array_equal(output(restored), output(original))
    assert np.abs(output(quantized) - output(original)).max() > 1  # positive control: the two differ


def test_one_layer_alone(original):
    quantized = by_hand(original)
    before = quantized.SerializeToString()
    alone = with_quantized(quantized, original, ["middle"])
    assert quantized_layers(alone) == ("middle",)
    error = np.abs(output(alone) - output(original))
    assert 0 < error.max() < np.abs(output(quantized) - output(original)).max()
    assert quantized.SerializeToString() == before
