"""TensorRT, whichever flavour is here, really reads and builds what rtseg gives it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs onnx")
runtime = pytest.importorskip("onnxruntime")

from rtseg.builder.calibration import network_input  # noqa: E402
from rtseg.builder.tensorrt_engine import compile_network  # noqa: E402
from rtseg.builder.tensorrt_graph import engine_graph  # noqa: E402
from rtseg.builder.tensorrt_network import parse  # noqa: E402
from rtseg.cuda_device import current_device  # noqa: E402
from rtseg.errors import BackendUnavailable, EngineError  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.tensorrt_flavour import load_flavour  # noqa: E402
from rtseg.tensorrt_log import log_of  # noqa: E402
from tests.builder.parts import network, pictures, spec  # noqa: E402

pytestmark = [pytest.mark.needs_torch, pytest.mark.needs_tensorrt]

SHIPPED = [(name, precision) for name in ("street", "person") for precision in ("fp16", "int8")]


@pytest.fixture
def flavour():
    try:
        return load_flavour()
    except BackendUnavailable:
        pytest.skip("no flavour of TensorRT can be imported")


def run(model, values):
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


def check_target(target, said, flavour):
    """Built for the GPU at hand where there is one and RTX's flavour takes it, else for all; the log has no more."""
    if not hasattr(flavour.module, "ComputeCapability") or current_device().present:
        assert said == []
        return
    assert target.startswith("every GPU that the flavour supports, as the GPU at hand was refused (")
    assert len(said) == 1
    assert "generateForCurrent" in said[0]


@pytest.mark.parametrize(("name", "precision"), SHIPPED)
def test_every_shipped_bundle_is_really_built(flavour, name, precision):
    """The parsed network layer by layer, its names, types and shapes, no word from the parser, and a plan."""
    if not flavour.builds_without_gpu and not current_device().present:
        pytest.skip(f"{flavour} builds on a GPU only")
    spec_of = load_bundle(name).network_for(precision)
    graph = engine_graph(spec_of, precision)
    parsed = parse(graph, flavour)
    assert parsed.warnings == ()
    layers = parsed.layers
    assert layers["CONVOLUTION float16"] == 57
    assert layers["RESIZE float16"] == 9
    assert layers["REDUCE float32"] == 1  # the mean over the whole picture
    assert ("QUANTIZE int8" in layers) == (precision == "int8")
    if precision == "int8":
        assert (layers["QUANTIZE int8"], layers["DEQUANTIZE float16"], layers["CONSTANT int8"]) == (52, 109, 57)
    width, height = spec_of.size_wh
    source, output = parsed.network.get_input(0), parsed.network.get_output(0)
    assert (source.name, source.dtype.name, tuple(source.shape)) == ("image", "HALF", (1, 3, height, width))
    planes = 19 if name == "street" else 1
    named = "logits" if name == "street" else "alpha"
    assert (output.name, output.dtype.name, tuple(output.shape)) == (named, "HALF", (1, planes, height, width))
    steps = []
    with log_of(flavour).recording() as said:
        compiled = compile_network(parsed, flavour, precision, on_step=steps.append)
    check_target(compiled.target, said, flavour)
    plan = compiled.plan
    weights_bytes = spec_of.onnx_path.stat().st_size
    assert 0.8 * weights_bytes < len(plan) < 10 * weights_bytes
    assert {step.phase for step in steps if step.parent is None}
    assert any(step.done == step.total > 1 for step in steps)


@pytest.mark.parametrize("form", ["planes", "masks", "bytes"])
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_every_form_says_the_same(flavour, tmp_path, form, precision):
    """The graph that TensorRT gets, run on the CPU, gives the labels of the network itself; and TensorRT reads it."""
    facts = replace(spec(network(tmp_path / "model.onnx")), channel_order="BGR", mean=(0.1, 0.2, 0.3))
    graph = engine_graph(facts, precision, form=form)
    onnx.checker.check_model(graph.model, full_check=True)
    float_type = np.float16 if precision == "fp16" else np.float32
    assert parse(graph, flavour).warnings == ()
    for picture in pictures(3):
        exact = run(onnx.load(str(facts.onnx_path)), network_input(picture, facts)).argmax(1)
        planes = network_input(picture, facts).astype(float_type)
        found = run(graph.model, picture[None] if form == "bytes" else planes)
        labels = found.argmax(1) if form == "planes" else found
        assert found.shape == graph.outputs[0].shape
        assert found.dtype == (float_type if form == "planes" else np.uint8)
        assert (labels == exact).mean() > 0.99
    (source,), (output,) = graph.inputs, graph.outputs
    assert (source.role, source.dtype) == (("picture", "uint8") if form == "bytes" else ("planes", float_type.__name__))
    assert output.role == ("logits" if form == "planes" else "labels")


def test_a_matte_becomes_rounded_bytes(flavour):
    facts = load_bundle("person").network
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (1, 8, 8, 3), np.uint8).repeat(32, 1).repeat(32, 2)
    plain = run(engine_graph(facts, "fp32").model, network_input(picture[0], facts))[0, 0]
    graph = engine_graph(facts, "fp32", form="bytes")
    found = run(graph.model, picture)
    assert found.shape == (1, 256, 256)
    assert np.abs(found[0] - np.floor(plain * 255 + 0.5)).max() <= 1
    assert found.max() - found.min() > 20
    masks = run(engine_graph(facts, "fp32", form="masks").model, network_input(picture[0], facts))
    assert np.array_equal(masks[0], plain)
    assert parse(graph, flavour).layers["CAST uint8"] == 1


def test_batch_and_size(flavour):
    facts = replace(load_bundle("street").network_for("int8"), size_wh=(384, 192))
    graph = engine_graph(facts, "int8", batch=3)
    assert graph.inputs[0].shape == (3, 3, 192, 384)
    assert graph.outputs[0].shape == (3, 19, 192, 384)
    assert parse(graph, flavour).warnings == ()


def test_a_file_of_another_precision_is_refused():
    bundle = load_bundle("person")
    with pytest.raises(EngineError, match="got a float network"):
        engine_graph(bundle.network, "int8")
    with pytest.raises(EngineError, match="got a quantized network"):
        engine_graph(bundle.network_for("int8"), "fp16")


def test_a_card_that_tells_of_another_output_is_refused():
    with pytest.raises(EngineError, match="Correct the card"):
        engine_graph(replace(load_bundle("street").network, class_count=7), "fp16")


def test_an_operation_that_tensorrt_does_not_know_is_one_line(flavour, tmp_path):
    graph = engine_graph(spec(network(tmp_path / "plain.onnx")), "fp32")
    graph.model.graph.node[0].op_type = "Det"
    with pytest.raises(EngineError, match="expected a network that it reads") as caught:
        parse(graph, flavour)
    assert "Det" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stopped_build_gives_nothing(flavour, tmp_path):
    """The monitor's answer ends the compiler; an exception of the caller's thread is what asks for it."""
    if not flavour.builds_without_gpu and not current_device().present:
        pytest.skip(f"{flavour} builds on a GPU only")
    parsed = parse(engine_graph(spec(network(tmp_path / "model.onnx")), "fp16"), flavour)
    from rtseg.builder import tensorrt_engine

    monitor = tensorrt_engine._new_monitor(flavour, None)
    monitor.stop.set()
    config = tensorrt_engine._config(parsed, flavour, "fp16")
    config.progress_monitor = monitor
    assert parsed.builder.build_serialized_network(parsed.network, config) is None
