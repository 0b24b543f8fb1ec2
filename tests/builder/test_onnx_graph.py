"""Weights stored as halves and back, and graphs without what nobody reads."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs the extra `train`")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rtseg.builder.onnx_graph import drop_unused, fold_casts, store_half, weights_of  # noqa: E402
from tests.builder.parts import network  # noqa: E402

pytestmark = pytest.mark.needs_torch


def test_casts_are_folded_into_the_numbers_that_they_gave(tmp_path):
    plain = onnx.load(str(network(tmp_path / "a.onnx", half=False)))
    stored = onnx.load(str(network(tmp_path / "b.onnx")))
    assert any(node.op_type == "Cast" for node in stored.graph.node)
    assert fold_casts(stored) == 3  # the larger weights
    assert [node.op_type for node in stored.graph.node] == [node.op_type for node in plain.graph.node]
    for name, weight in weights_of(plain).items():
        expected = numpy_helper.to_array(weight)
        found = numpy_helper.to_array(weights_of(stored)[name])
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected.astype(np.float16 if expected.size > 64 else np.float32))
    assert store_half(stored) == 3
    onnx.checker.check_model(stored, full_check=True)


def test_a_weight_out_of_the_range_of_halves_stays(tmp_path):
    model = onnx.load(str(network(tmp_path / "a.onnx", half=False)))
    weights_of(model)["middle.weight"].CopyFrom(
        numpy_helper.from_array(np.full((12, 12, 3, 3), 70000, np.float32), "middle.weight")
    )
    assert store_half(model) == 2
    assert numpy_helper.to_array(weights_of(model)["middle.weight"]).max() == 70000


def test_what_no_output_needs_is_dropped_and_what_a_branch_reads_is_kept():
    branches = [
        helper.make_graph(
            [helper.make_node("Add", ["x", name], [f"{name}.sum"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}.sum", TensorProto.FLOAT, [1])],
        )
        for name in ("one", "two")
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Neg", ["x"], ["nobody"]),
            helper.make_node("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.array(True), "yes"),
            *(numpy_helper.from_array(np.ones(1, np.float32), name) for name in ("one", "two", "three")),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    drop_unused(model)
    assert [node.op_type for node in model.graph.node] == ["If"]
    assert set(weights_of(model)) == {"yes", "one", "two"}
