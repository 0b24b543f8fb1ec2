"""fp16 where it is harmless, fp32 where it is not, the same answers, and a valid file."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from rtseg.builder import half_graph  # noqa: E402
from rtseg.builder.calibration import network_input  # noqa: E402
from rtseg.builder.half_graph import SCALES_OPSET, to_half  # noqa: E402
from rtseg.builder.onnx_graph import weights_of  # noqa: E402
from rtseg.builder.plain_graph import plain_model  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from tests.builder.parts import network, pictures, spec  # noqa: E402

pytestmark = pytest.mark.needs_torch


def run(model, values):
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


def chain(*steps, opset=17, constants=(), shape=(1, 3, 8, 8)):
    """A model of one operation after the other: (operation, further inputs, attributes)."""
    nodes, name = [], "image"
    for index, (operation, others, attributes) in enumerate(steps):
        nodes.append(helper.make_node(operation, [name, *others], [f"t{index}"], f"{operation}.{index}", **attributes))
        name = f"t{index}"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "c", "h", "w"])],
        [numpy_helper.from_array(np.asarray(values, np.float32), key) for key, values in dict(constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def types_of(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {note.name: note.type.tensor_type.elem_type for note in (*inferred.value_info, *inferred.output)}


def test_a_network_says_the_same_in_half(tmp_path):
    path = network(tmp_path / "model.onnx")
    model = plain_model(spec(path))
    exact = [network_input(picture, spec(path)) for picture in pictures(6)]
    before = [run(model, one).argmax(1) for one in exact]
    assert to_half(model) == ()
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    assert set(types_of(model).values()) == {TensorProto.FLOAT16}
    assert not any(weight.data_type == TensorProto.FLOAT for weight in model.graph.initializer)
    after = [run(model, one.astype(np.float16)).argmax(1) for one in exact]
    assert np.mean([np.mean(a == b) for a, b in zip(before, after, strict=True)]) > 0.995


OVERFLOWING = (("Mul", ["ten"], {}), ("Exp", [], {}), ("Log", [], {}), ("Mul", ["ten"], {}))


def test_what_overflows_in_half_stays_in_fp32():
    """exp(20) is no fp16 number."""
    model = chain(*OVERFLOWING, constants={"ten": [10.0]})
    assert to_half(model) == ("Exp.1", "Log.2")
    onnx.checker.check_model(model, full_check=True)
    found = run(model, np.full((1, 3, 8, 8), 2, np.float16))
    assert found.dtype == np.float16
    assert np.allclose(found, 200, rtol=1e-2)


def test_in_half_it_would_overflow(monkeypatch):
    """Positive control."""
    monkeypatch.setattr(half_graph, "SENSITIVE", frozenset())
    model = chain(*OVERFLOWING, constants={"ten": [10.0]})
    assert to_half(model) == ()
    with np.errstate(over="ignore"):
        found = ReferenceEvaluator(model).run(None, {"image": np.full((1, 3, 8, 8), 2, np.float16)})[0]
    assert not np.isfinite(found).any()


def test_constants_that_do_not_survive_keep_their_node_in_fp32():
    for value in (1e6, 1e-7):
        model = chain(("Mul", ["far"], {}), ("Relu", [], {}), constants={"far": [value]})
        assert to_half(model) == ("Mul.0",)
        assert weights_of(model)["far"].data_type == TensorProto.FLOAT
    model = chain(("Mul", ["near"], {}), ("Relu", [], {}), constants={"near": [0.1]})
    assert to_half(model) == ()


def test_nodes_can_be_kept_by_name():
    model = chain(("Relu", [], {}), ("Abs", [], {}), ("Neg", [], {}))
    assert to_half(model, keep=["Abs.1"]) == ("Abs.1",)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Relu", "Cast", "Abs", "Cast", "Neg"]


def test_the_scales_of_a_resize_stay_fp32():
    model = chain(("Relu", [], {}), ("Resize", ["", "scales"], {"mode": "linear"}), constants={"scales": [1, 1, 2, 2]})
    to_half(model)
    onnx.checker.check_model(model, full_check=True)
    assert weights_of(model)["scales"].data_type == TensorProto.FLOAT
    assert run(model, np.ones((1, 3, 8, 8), np.float16)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("name", ["street", "person"])
def test_shipped_int8_files_keep_fp32_scales_and_whole_layers(name):
    model = plain_model(load_bundle(name).network_for("int8"))
    kept = to_half(model)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == SCALES_OPSET
    assert [node for node in kept if "ReduceMean" not in node] == []
    weights = weights_of(model)
    scaled = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(scaled) == 161
    assert {weights[node.input[1]].data_type for node in scaled} == {TensorProto.FLOAT}
    types = types_of(model)
    for node in scaled:
        wanted = TensorProto.INT8 if node.op_type == "QuantizeLinear" else TensorProto.FLOAT16
        assert types[node.output[0]] == wanted
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    assert all(made_by[node.input[0]] == made_by[node.input[1]] == "DequantizeLinear" for node in convolutions)
