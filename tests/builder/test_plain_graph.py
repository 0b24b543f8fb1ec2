"""The plain form computes the same, at the file's size and at others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs onnx")
runtime = pytest.importorskip("onnxruntime")

from rtseg.builder.calibration import network_input  # noqa: E402
from rtseg.builder.plain_graph import plain_model  # noqa: E402
from rtseg.errors import EngineError  # noqa: E402
from rtseg.geometry import resize_labels  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.network import NetworkSpec  # noqa: E402
from rtseg.preprocess import to_network  # noqa: E402
from rtseg.sources.synthetic import SyntheticSource  # noqa: E402
from tests.builder.parts import network, spec  # noqa: E402

pytestmark = pytest.mark.needs_torch


def run(model, values):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


@pytest.fixture(scope="module")
def person():
    return load_bundle("person").network


@pytest.fixture(scope="module")
def desk():
    """A person at a desk."""
    with SyntheticSource("desk", frame_count=1) as source:
        return next(iter(source.frames())).picture


def shown(desk, network):
    return network_input(to_network(desk, network.size_wh).rgb, network)


def test_a_shipped_network_is_the_same_in_plain_form(person, desk):
    model = plain_model(person)
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"BatchNormalization", "Constant", "Identity", "Shape"}
    values = shown(desk, person)
    found, exact = run(model, values), run(onnx.load(str(person.onnx_path)), values)
    assert np.abs(found - exact).max() < 1e-4
    assert 0.1 < (exact > 0.5).mean() < 0.9


def test_each_picture_of_a_batch_is_on_its_own(person, desk):
    values = np.concatenate([np.zeros_like(shown(desk, person)), shown(desk, person)])
    both = run(plain_model(person, batch=2), values)
    alone = run(plain_model(person), values[1:])
    assert both.shape == (2, 1, 256, 256)
    assert np.abs(both[1:] - alone).max() < 1e-4


def test_at_another_size_it_finds_the_same_person(person, desk):
    larger = replace(person, size_wh=(384, 320))
    found = run(plain_model(larger), shown(desk, larger))[0, 0] > 0.5
    exact = run(plain_model(person), shown(desk, person))[0, 0] > 0.5
    assert found.shape == (320, 384)
    exact = resize_labels(exact.astype(np.uint8), (384, 320)) > 0
    assert (found & exact).sum() / (found | exact).sum() > 0.85


def test_a_size_it_cannot_have_is_refused(person):
    with pytest.raises(EngineError, match="multiples of 64"):
        plain_model(replace(person, size_wh=(300, 256)))


def test_one_output_is_chosen(tmp_path):
    path = network(tmp_path / "model.onnx")
    model = onnx.load(str(path))
    model.graph.output.append(onnx.helper.make_tensor_value_info("d", onnx.TensorProto.FLOAT, None))
    onnx.save(model, str(path))
    chosen = plain_model(replace(spec(path), output_name="d"))
    assert [output.name for output in chosen.graph.output] == ["d"]
    assert "last" not in {node.name for node in chosen.graph.node}
    with pytest.raises(EngineError, match="got outputs logits, d"):
        plain_model(replace(spec(path), output_name="e"))


def test_what_is_no_straight_network_is_refused(tmp_path):
    path = network(tmp_path / "model.onnx")
    model = onnx.load(str(path))
    two = onnx.helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, [1])
    model.graph.input.append(two)
    onnx.save(model, str(tmp_path / "two.onnx"))
    with pytest.raises(EngineError, match="got 2 inputs"):
        plain_model(NetworkSpec(tmp_path / "two.onnx", (32, 24), 4))
    branch = onnx.helper.make_graph([], "branch", [], [])
    model = onnx.load(str(path))
    node = onnx.helper.make_node("If", ["flag"], ["never"], "branches", then_branch=branch, else_branch=branch)
    model.graph.node.append(node)
    onnx.save(model, str(tmp_path / "if.onnx"))
    with pytest.raises(EngineError, match="got If, which branches"):
        plain_model(NetworkSpec(tmp_path / "if.onnx", (32, 24), 4))
