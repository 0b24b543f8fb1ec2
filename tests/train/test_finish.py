"""The end of a run: its weights become a bundle, offsets of the classes included and told in the card."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("onnx", reason="training needs the extra `train`")

from rtseg.backends.openvino_planes import OpenVINOPlanes  # noqa: E402
from rtseg.builder.cards import read_tables  # noqa: E402
from rtseg.builder.export import save_weights  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.train.finish import export_run  # noqa: E402
from rtseg.train.loop import Counters  # noqa: E402
from rtseg.train.networks import build_network, network_from  # noqa: E402
from tests.train.tiny import tiny_recipe, write_squares  # noqa: E402

pytestmark = pytest.mark.needs_torch
NETWORK = {"name": "DdrNet", "planes": 8, "pool_channels": 8, "head_channels": 8, "fine": True}


def exported(folder, weights, **export):
    squares = write_squares(folder / "squares")
    (folder / "two.toml").write_text('classes = ["ground", "square"]\n')
    scored = {"name": "squares", "path": str(squares), "taxonomy": str(folder / "two.toml"), "limit": 1}
    recipe = tiny_recipe(
        folder, network=NETWORK, validation={"set": [scored]}, export={"name": "x", "size_wh": [64, 64], **export}
    )
    export_run(recipe, weights, folder / "bundle", counters=Counters(), device_text="cpu", scores={})
    return folder / "bundle"


def odds(folder) -> np.ndarray:
    """Logarithm of square's probability against ground's on a grey picture."""
    ground, square = OpenVINOPlanes(load_bundle(folder).network)(np.full((64, 64, 3), 90, np.uint8))
    return np.log(square) - np.log(ground)


def test_offsets_are_in_the_exported_network_and_in_the_card(tmp_path):
    torch.manual_seed(1)
    network = build_network(network_from(NETWORK, "network"), 2)
    weights = tmp_path / "w.safetensors"
    save_weights(network.state_dict(), weights)
    (tmp_path / "plain").mkdir()
    (tmp_path / "moved").mkdir()
    plain, moved = exported(tmp_path / "plain", weights), exported(tmp_path / "moved", weights, offsets=["squares"])
    training = read_tables(moved)["training"]
    offsets = training["class_offsets"]
    expected = offsets.get("square", 0.0) - offsets.get("ground", 0.0)
    assert expected != 0
    assert np.allclose(odds(moved) - odds(plain), expected, atol=0.03)
    assert training["class_offsets_fitted_on"] == ["squares"]
    assert 0 < training["class_offsets_mean_miou_before"] < 1
    assert 0 < training["class_offsets_mean_miou_cross_fitted"] < 1
    assert "class_offsets" not in read_tables(plain)["training"]
