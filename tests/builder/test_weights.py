"""A bundle's weights: what the ONNX file lacks, and the trainable network back from both."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="building needs the extra `train`")
pytest.importorskip("onnx", reason="building needs the extra `train`")
pytest.importorskip("safetensors", reason="building needs the extra `train`")

from rtseg.builder.cards import CardFacts  # noqa: E402
from rtseg.builder.export import export_bundle  # noqa: E402
from rtseg.builder.weights import WEIGHTS_NAME, load_weights, save_weights  # noqa: E402
from rtseg.errors import EngineError  # noqa: E402
from rtseg.models.nets import BiSeNetV2, LrasppMobileNetV3  # noqa: E402
from rtseg.models.nets.ddrnet import DdrNet  # noqa: E402

pytestmark = pytest.mark.needs_torch

FACTS = {"licence": "none", "size_wh": (128, 64)}
NETWORKS = {
    "ddrnet": (lambda: DdrNet(3, planes=8, pool_channels=16, head_channels=16, fine=True), "semantic"),
    "bisenet": (lambda: BiSeNetV2(3, width=0.25, semantic_width=0.5, head_channels=32, fine=True), "semantic"),
    "mobilenet": (lambda: LrasppMobileNetV3(1, "small", fine=True), "matte"),
}


def lively(build):
    """A network whose batch norms are far from 1 and 0, as after training; one channel is dead."""
    torch.manual_seed(1)
    network = build()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.3, 1.5)
            torch.nn.init.uniform_(module.bias, -0.4, 0.4)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.2, 3.0)
            last = module
    with torch.no_grad():
        last.weight[0] = 0.0
    return network.eval()


def exported(folder, name):
    build, task = NETWORKS[name]
    network = lively(build)
    classes, palette = ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (50, 50, 50))
    if task == "matte":
        classes, palette = classes[:2], palette[:2]
    kind = "alpha" if task == "matte" else "logits"
    facts = CardFacts(name=name, task=task, output_kind=kind, classes=classes, palette=palette, **FACTS)
    export_bundle(network, folder, facts)
    return network, build


@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_trainable_network_comes_back(tmp_path, name):
    network, build = exported(tmp_path, name)
    again = build()
    again.load_state_dict(load_weights(tmp_path / WEIGHTS_NAME))
    picture = torch.randn(2, 3, 64, 128, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        expected, found = network(picture), again.eval()(picture)
        # In training mode the batch norms count: folded weights with forgotten norms would differ here.
        expected_training, found_training = network.train()(picture), again.train()(picture)
    assert (found - expected).abs().max() < 0.01 * expected.abs().max()
    if isinstance(expected_training, tuple):
        expected_training, found_training = expected_training[0], found_training[0]
    assert (found_training - expected_training).abs().max() < 0.05 * expected_training.abs().max()


def test_no_convolution_is_stored_twice(tmp_path):
    network, _ = exported(tmp_path, "ddrnet")
    assert (tmp_path / WEIGHTS_NAME).stat().st_size < 0.5 * (tmp_path / "model.onnx").stat().st_size
    only_training = [name for name in network.state_dict() if name.startswith("auxiliary")]
    from safetensors import safe_open

    with safe_open(tmp_path / WEIGHTS_NAME, framework="np") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}
    assert set(only_training) <= set(stored)
    assert {name for name, value in stored.items() if np.ndim(value) == 4} <= set(only_training)


def test_weights_apart_from_their_file_are_refused(tmp_path):
    exported(tmp_path, "ddrnet")
    file = tmp_path / "model.onnx"
    content = file.read_bytes()
    file.write_bytes(content + b"\0")
    with pytest.raises(EngineError, match=r"got no model\.onnx beside it that it belongs to"):
        load_weights(tmp_path / WEIGHTS_NAME)
    file.unlink()
    with pytest.raises(EngineError, match="Copy the whole folder"):
        load_weights(tmp_path / WEIGHTS_NAME)
    file.write_bytes(content)
    assert load_weights(tmp_path / WEIGHTS_NAME)


def test_whole_weights_stand_alone(tmp_path):
    save_weights({"a.weight": torch.ones(2, 3, 1, 1), "a.bias": torch.tensor([1e-6])}, tmp_path / "w.safetensors")
    found = load_weights(tmp_path / "w.safetensors")
    assert found["a.weight"].dtype == torch.float32
    assert found["a.bias"].item() == pytest.approx(1e-6)
