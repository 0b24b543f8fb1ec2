"""The weights of ONNX files, held against the library that wrote them."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra `train`")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rtseg.errors import EngineError  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.models.onnx_weights import read_onnx_weights  # noqa: E402

pytestmark = pytest.mark.needs_torch


def written(path, constants, nodes=()):
    graph = helper.make_graph(
        [*nodes, helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        constants,
    )
    onnx.save(helper.make_model(graph), str(path))
    return path


VALUES = {
    "float32": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "float16": np.array([[[65504.0]], [[-0.5]]], np.float16),
    "float64": np.array([1e300]),
    "int64": np.array([-(2**60), 7], np.int64),
    "int32": np.array([[3], [-3]], np.int32),
    "scalar": np.array(2.5, np.float32),
    "empty": np.zeros((0, 4), np.float32),
}


def test_every_type_and_shape_comes_back_as_it_was(tmp_path):
    path = written(tmp_path / "m.onnx", [numpy_helper.from_array(value, name) for name, value in VALUES.items()])
    found = read_onnx_weights(path)
    assert set(found) == set(VALUES)
    for name, value in VALUES.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
        assert found[name].flags.writeable  # a copy, which torch takes


def test_a_weight_behind_a_cast_or_shared_with_another_has_its_own_name_too(tmp_path):
    half = np.array([0.25, 1.5], np.float16)
    nodes = [
        helper.make_node("Cast", ["w.half"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["w"], ["v"]),
        helper.make_node("Relu", ["w"], ["not.a.name"]),
    ]
    found = read_onnx_weights(written(tmp_path / "m.onnx", [numpy_helper.from_array(half, "w.half")], nodes))
    assert set(found) == {"w.half", "w", "v"}
    np.testing.assert_array_equal(found["v"], half)


@pytest.mark.parametrize("name", ["street", "person"])
def test_the_shipped_files_are_read_as_the_library_reads_them(name):
    path = load_bundle(name).network.onnx_path
    found = read_onnx_weights(path)
    for tensor in onnx.load(str(path)).graph.initializer:
        np.testing.assert_array_equal(found[tensor.name], numpy_helper.to_array(tensor))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0]), "w has element type 1, not packed"),
        (helper.make_tensor("w", TensorProto.BOOL, [1], b"\x01", raw=True), "w has element type 9"),
    ],
)
def test_what_this_packages_files_never_have_is_refused_by_name(tmp_path, tensor, message):
    with pytest.raises(EngineError, match=message):
        read_onnx_weights(written(tmp_path / "m.onnx", [tensor]))


def test_a_shape_that_is_not_that_of_its_bytes_is_refused(tmp_path):
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    tensor.dims[0] = 5
    with pytest.raises(EngineError, match=r"w has 4 numbers for a shape \[5\]"):
        read_onnx_weights(written(tmp_path / "m.onnx", [tensor]))


def test_weights_outside_the_file_and_files_cut_short_are_refused(tmp_path):
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    path = written(tmp_path / "m.onnx", [tensor])
    whole = path.read_bytes()
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="elsewhere.bin")
    with pytest.raises(EngineError, match="w lies outside the file"):
        read_onnx_weights(written(tmp_path / "outside.onnx", [tensor]))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EngineError, match="runs over the end"):
        read_onnx_weights(path)
