"""Quantization by NNCF: one signed Q/DQ file that every runtime takes and that says the same."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs the extra `train`")
runtime = pytest.importorskip("onnxruntime")
nncf = pytest.importorskip("nncf", reason="quantization needs the extra `train`")

from onnx import TensorProto  # noqa: E402

from rtseg.backends.openvino_planes import OpenVINOPlanes  # noqa: E402
from rtseg.builder.calibration import network_input  # noqa: E402
from rtseg.builder.layers import quantized_layers  # noqa: E402
from rtseg.builder.onnx_graph import weights_of  # noqa: E402
from rtseg.builder.quantize import float_model, quantize  # noqa: E402
from rtseg.builder.signed import make_signed, unsigned_nodes  # noqa: E402
from rtseg.errors import EngineError  # noqa: E402
from tests.builder.parts import network, pictures, spec  # noqa: E402
from tests.builder.tensorrt_parser import parser_warnings  # noqa: E402

pytestmark = pytest.mark.needs_torch

CALIBRATION = 8


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return network(tmp_path_factory.mktemp("quantize") / "model.onnx")


@pytest.fixture(scope="module")
def quantized(path):
    return quantize(float_model(path), pictures(CALIBRATION), spec(path))


def labels_by_onnxruntime(model, shown):
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [session.run(None, {"image": network_input(one, spec(None))})[0][0].argmax(0) for one in shown]


def agreement(first, second):
    return np.mean([np.mean(a == b) for a, b in zip(first, second, strict=True)])


def test_no_unsigned_quantization_is_left(quantized):
    assert unsigned_nodes(quantized) == ()
    assert not any(weight.data_type == TensorProto.UINT8 for weight in quantized.graph.initializer)
    assert len(quantized_layers(quantized)) == 4
    onnx.checker.check_model(quantized, full_check=True)


def test_only_layers_with_weights_read_bytes(quantized):
    kinds = {node.name: node.op_type for node in quantized.graph.node}
    assert {kinds[name] for name in quantized_layers(quantized)} == {"Conv"}


def test_openvino_runs_the_convolutions_in_eight_bits(quantized, tmp_path):
    import openvino

    core = openvino.Core()
    if "INT8" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no 8-bit arithmetic")
    onnx.save(quantized, str(tmp_path / "int8.onnx"))
    nodes = core.compile_model(str(tmp_path / "int8.onnx"), "CPU").get_runtime_model().get_ordered_ops()
    facts = [{key: value.astype(str) for key, value in node.get_rt_info().items()} for node in nodes]
    used = [fact["runtimePrecision"] for fact in facts if fact.get("layerType") == "Convolution"]
    assert len(used) == 4
    assert set(used) <= {"i8", "u8"}


def test_nncf_itself_makes_unsigned_ones(path, quantized):
    """Positive control: without the rewriting they are there; and the rewritten file scores the same."""
    raw = nncf.quantize(
        float_model(path),
        nncf.Dataset(pictures(CALIBRATION), lambda one: {"image": network_input(one, spec(path))}),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=CALIBRATION,
    )
    assert unsigned_nodes(raw) != ()
    shown = pictures(6, seed=9)
    exact = labels_by_onnxruntime(float_model(path), shown)
    before = agreement(labels_by_onnxruntime(raw, shown), exact)
    make_signed(raw)
    after = agreement(labels_by_onnxruntime(raw, shown), exact)
    assert after > 0.97
    assert abs(after - before) < 0.01


def test_weights_are_int8_with_a_scale_a_channel(path, quantized):
    weights = weights_of(quantized)
    stored = [node for node in quantized.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in weights]
    assert len(stored) == 4
    for node in stored:
        values, scale = weights[node.input[0]], weights[node.input[1]]
        assert values.data_type == TensorProto.INT8
        assert list(scale.dims) == [values.dims[0]]
    largest = max(weight.ByteSize() for weight in quantized.graph.initializer)
    assert largest < 12 * 12 * 9 * 2  # of the fp32 weight it would be twice that


def test_openvino_and_onnxruntime_say_the_same_as_in_fp32(path, quantized, tmp_path):
    onnx.save(quantized, str(tmp_path / "int8.onnx"))
    shown = pictures(6, seed=9)
    exact = labels_by_onnxruntime(float_model(path), shown)
    planes = OpenVINOPlanes(spec(tmp_path / "int8.onnx"))
    by_openvino = [planes(one).argmax(0) for one in shown]
    assert agreement(by_openvino, exact) > 0.97
    assert agreement(labels_by_onnxruntime(quantized, shown), by_openvino) > 0.99


@pytest.mark.needs_tensorrt
def test_tensorrt_takes_it_without_a_warning(quantized):
    parsed, warnings = parser_warnings(quantized)
    assert parsed
    assert warnings == []


def test_the_same_pictures_give_the_same_bytes(path, quantized):
    again = quantize(float_model(path), pictures(CALIBRATION), spec(path))
    assert again.SerializeToString() == quantized.SerializeToString()


def test_nothing_is_printed_and_pictures_are_counted(path, capsys):
    seen = []
    quantize(float_model(path), pictures(3), spec(path), on_picture=lambda: seen.append(1))
    assert len(seen) >= 3
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_an_older_opset_is_brought_up(path, tmp_path):
    old = float_model(network(tmp_path / "old.onnx", opset=12))
    assert old.opset_import[0].version == 13
    shown = pictures(2, seed=9)
    assert agreement(labels_by_onnxruntime(old, shown), labels_by_onnxruntime(float_model(path), shown)) == 1


def test_what_cannot_be_quantized_is_refused(tmp_path, quantized):
    old = onnx.load(str(network(tmp_path / "old.onnx", opset=12)))
    old.graph.node[0].op_type = "NoSuchOperation"
    onnx.save(old, str(tmp_path / "old.onnx"))
    with pytest.raises(EngineError, match="got opset 12, which cannot be converted"):
        float_model(tmp_path / "old.onnx")
    onnx.save(quantized, str(tmp_path / "int8.onnx"))
    with pytest.raises(EngineError, match="got a quantized network"):
        float_model(tmp_path / "int8.onnx")
