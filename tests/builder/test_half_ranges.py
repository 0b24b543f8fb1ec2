"""Which nodes do not bear fp16, found by measuring: planted ranges, lost labels, and what the report says."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs onnx")
pytest.importorskip("onnxruntime")

from onnx import numpy_helper  # noqa: E402

from rtseg.builder import half_ranges  # noqa: E402
from rtseg.builder.half_ranges import LEAST_AGREEMENT, NodeRange, measured_ranges  # noqa: E402
from rtseg.builder.onnx_graph import fold_casts  # noqa: E402
from rtseg.builder.tensorrt_graph import engine_graph  # noqa: E402
from tests.builder.parts import network, spec  # noqa: E402

pytestmark = pytest.mark.needs_torch


def half(at_size, keep):
    return engine_graph(at_size, "fp16", keep=keep).model


def scaled(path, factor):
    """The test's network with its first convolution so many times as large, and its second so many times as small."""
    model = onnx.load(str(path))
    fold_casts(model)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    weights = {weight.name: weight for weight in model.graph.initializer}
    for node, times in zip(convolutions[:2], (factor, 1 / factor), strict=True):
        for name in node.input[1:] if times == factor else node.input[1:2]:
            values = numpy_helper.to_array(weights[name]) * np.float32(times)
            weights[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    onnx.save(model, str(path))
    return convolutions[0].name


def test_a_harmless_network_keeps_nothing(tmp_path):
    found = measured_ranges(spec(network(tmp_path / "model.onnx")), half)
    assert found.keep == ()
    assert found.agreement >= LEAST_AGREEMENT
    report = found.to_json()
    assert report["runtime"] == "onnxruntime"
    assert report["frames"] == 4
    assert 0 < max(report["largest"].values()) < 1000
    assert 0 < max(report["rounding_loss"].values()) < 0.001


def test_a_node_that_overflows_is_found_and_kept(tmp_path):
    path = network(tmp_path / "model.onnx")
    name = scaled(path, 1e6)
    found = measured_ranges(spec(path), half)
    assert name in found.overflowing
    assert found.nodes[name].most > 65504
    assert found.agreement >= LEAST_AGREEMENT
    unguarded = half_ranges._agreement(  # control: without it the labels are lost
        half(spec(path), ()), spec(path), *measured(spec(path))
    )
    assert unguarded < 0.9


def measured(facts):
    from rtseg.builder.calibration import network_input, open_calibration

    pictures = open_calibration(None, facts, "semantic", 4).pictures
    inputs = [network_input(picture, facts) for picture in pictures]
    return inputs, half_ranges._ranges(facts, inputs, "onnxruntime")[1]


def test_nodes_that_cost_labels_are_kept_worst_first_and_in_vain_is_left_to_the_gate(tmp_path, monkeypatch):
    facts = spec(network(tmp_path / "model.onnx"))
    asked = []

    def agreement(model, *rest, enough):
        asked.append(model)
        return 1.0 if len(asked) >= enough else 0.5

    monkeypatch.setattr(half_ranges, "_agreement", partial(agreement, enough=3))
    kept = []

    def noting(at_size, keep):
        kept.append(tuple(keep))
        return half(at_size, keep)

    found = measured_ranges(facts, noting)
    assert kept[0] == ()
    assert found.lossy == kept[2] != ()
    losses = [found.nodes[name].loss for name in found.lossy]
    assert losses == sorted(losses, reverse=True)
    monkeypatch.setattr(half_ranges, "_agreement", lambda *_: 0.5)
    assert measured_ranges(facts, half).agreement == 0.5


def test_without_onnxruntime_ranges_are_measured_by_openvino_and_agreement_is_not(tmp_path, monkeypatch):
    path = network(tmp_path / "model.onnx")
    name = scaled(path, 1e6)
    exact = measured_ranges(spec(path), half)
    monkeypatch.setattr(half_ranges, "find_spec", lambda _: None)
    found = measured_ranges(spec(path), half)
    assert found.runtime == "openvino"
    assert found.agreement is None
    assert name in found.overflowing
    assert found.nodes[name].most == pytest.approx(exact.nodes[name].most, rel=1e-4)


def test_subnormal_numbers_are_counted():
    one = NodeRange()
    one.add(np.array([0.0, 1.0, 1e-5, -3e-6, -2.0], np.float32))
    assert (one.nonzero, one.subnormal, one.most) == (4, 2, 2.0)
    assert one.least == pytest.approx(3e-6)
    assert one.subnormal_share == 0.5
    assert not one.overflows
    one.add(np.array([40000.0], np.float32))
    assert one.overflows


def test_a_large_network_is_measured_smaller(tmp_path):
    from dataclasses import replace

    facts = spec(network(tmp_path / "model.onnx"))
    assert half_ranges._small(replace(facts, size_wh=(2048, 1024))).size_wh == (1024, 512)
    assert half_ranges._small(replace(facts, size_wh=(512, 256))).size_wh == (512, 256)
