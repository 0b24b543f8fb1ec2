"""From a torch network to a bundle that every runtime computes alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the export needs the extra `train`")
onnx = pytest.importorskip("onnx", reason="the export needs the extra `train`")
pytest.importorskip("safetensors", reason="the export needs the extra `train`")

import rtseg  # noqa: E402
from rtseg.builder import export  # noqa: E402
from rtseg.builder.cards import CardFacts  # noqa: E402
from rtseg.errors import EngineError  # noqa: E402
from rtseg.models.nets.bisenetv2 import BiSeNetV2  # noqa: E402
from rtseg.models.nets.ddrnet import DdrNet  # noqa: E402
from rtseg.models.nets.lraspp_mobilenetv3 import LrasppMobileNetV3  # noqa: E402

pytestmark = pytest.mark.needs_torch
FACTS = CardFacts(
    name="tiny",
    task="semantic",
    licence="none",
    size_wh=(96, 64),
    output_kind="logits",
    classes=("a", "b", "c"),
    palette=((0, 0, 0), (255, 0, 0), (0, 255, 0)),
)
MATTE = replace(FACTS, task="matte", output_kind="alpha", classes=("background", "person"), palette=FACTS.palette[:2])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settled(network):
    """A network whose batch norms are not at 0 and 1, so that folding them wrongly would show."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def street_network():
    torch.manual_seed(1)
    return settled(BiSeNetV2(3, width=0.125, semantic_width=0.5, head_channels=64, fine=True))


@pytest.fixture(scope="module")
def street():
    return street_network()


@pytest.fixture(scope="module")
def exported(street, tmp_path_factory):
    return export.export_bundle(street, tmp_path_factory.mktemp("bundles") / "tiny", FACTS)


def test_a_bundle_computes_what_torch_computes(street, exported):
    assert {"openvino"} <= set(exported.differences)
    assert max(exported.differences.values()) < 1e-4  # the weights were rounded in torch as well
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with rtseg.load(str(exported.folder), precision="fp32") as segmenter:
        found = segmenter(picture).labels
    with torch.inference_mode():
        logits = street(torch.from_numpy(export._normalised(picture)))
    assert (found == logits[0].argmax(0).numpy()).mean() > 0.99


def test_a_matte_is_exported_with_its_sigmoid(tmp_path):
    torch.manual_seed(2)
    network = settled(LrasppMobileNetV3(1, "small", width=0.5, middle_channels=32, fine=True))
    exported = export.export_bundle(network, tmp_path / "matte", MATTE)
    assert max(exported.differences.values()) < 1e-3
    with rtseg.load(str(tmp_path / "matte")) as segmenter:
        alpha = segmenter(np.zeros((64, 96, 3), np.uint8)).alpha
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_a_network_with_batch_norms_that_cannot_be_folded_agrees_as_closely(tmp_path):
    torch.manual_seed(4)
    network = settled(DdrNet(3, planes=16, pool_channels=96, head_channels=32, fine=True))
    exported = export.export_bundle(network, tmp_path, FACTS)
    assert max(exported.differences.values()) < 1e-4


def test_weights_are_stored_as_half(exported):
    model = onnx.load(exported.folder / "model.onnx")
    sizes = {"half": 0, "whole": 0}
    for weight in model.graph.initializer:
        count = int(np.prod(weight.dims))
        sizes["half" if weight.data_type == onnx.TensorProto.FLOAT16 else "whole"] += count
    assert sizes["half"] > 20 * sizes["whole"]
    assert model.opset_import[0].version >= 17


def test_training_only_parts_are_not_in_the_file_but_in_the_weights(street, exported):
    names = [weight.name for weight in onnx.load(exported.folder / "model.onnx").graph.initializer]
    assert not any("auxiliary" in name for name in names)
    stored = export.load_weights(exported.folder / "weights.safetensors")
    assert set(stored) == set(street.state_dict())
    for name, value in street.state_dict().items():
        assert torch.allclose(stored[name].float(), value.float(), rtol=1e-3, atol=1e-4), name


def test_weights_that_fp16_cannot_hold_fail(tmp_path):
    network = street_network()
    with torch.no_grad():
        network.head.last.weight[0] = 1e6
    with pytest.raises(EngineError, match=r"expected finite numbers that fit fp16"):
        export.export_bundle(network, tmp_path, FACTS)


def test_a_file_that_computes_something_else_fails(exported):
    other = street_network()
    with torch.no_grad():
        other.head.last.bias[:4] += 1
    with pytest.raises(EngineError, match=r"between torch and"):
        export.check_agreement(export.deployable(other, matte=False), exported.folder)


def test_weights_that_are_no_weights_fail(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"PK\x03\x04 a pickle")
    with pytest.raises(EngineError, match=r"expected a safetensors file"):
        export.load_weights(tmp_path / "w.safetensors")
