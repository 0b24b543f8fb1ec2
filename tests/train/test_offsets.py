"""Offsets of the classes: they undo a wrong prior, are not moved by chance, and reach the logits exactly."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.train.networks import build_network, head_weights, network_from  # noqa: E402
from rtseg.train.offsets import Pixels, add_offsets, fit_offsets, fitted, mean_score, pixels_of  # noqa: E402
from tests.train.tiny import CLASSES, NETWORK, squares_dataset, tiny_recipe  # noqa: E402

pytestmark = pytest.mark.needs_torch


def noisy(bias: float, seed: int = 0, count: int = 6000) -> Pixels:
    """Pixels of three classes, the rare last of which a network likes too much by `bias`."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=count, p=[0.6, 0.35, 0.05]).astype(np.uint8)
    logits = np.log(np.array([0.6, 0.35, 0.05]))[None] + 2.5 * np.eye(3)[truth] + rng.normal(0, 1, (count, 3))
    logits[:, 2] += bias
    return Pixels(logits.astype(np.float32), truth, np.arange(count) // 100, np.arange(3, dtype=np.uint8), 3, 1.0)


def test_a_class_that_is_liked_too_much_is_brought_down():
    pixels = [noisy(4.0)]
    offsets = fitted(pixels)
    relative = offsets - offsets[:2].mean()
    assert -5.5 < relative[2] < -2.0
    assert mean_score(pixels, offsets) > mean_score(pixels, np.zeros(3, np.float32)) + 0.1


def test_what_is_fitted_on_one_half_helps_the_other():
    pixels = noisy(4.0)
    found = mean_score([pixels.of_parity(True)], fitted([pixels.of_parity(False)]))
    assert found > mean_score([pixels.of_parity(True)], np.zeros(3, np.float32)) + 0.1


def test_a_class_that_never_occurs_stays():
    pixels = noisy(0.0)
    without = pixels.truth != 2
    kept = Pixels(pixels.logits[without], pixels.truth[without], pixels.picture[without], pixels.table, 3, 1.0)
    assert fitted([kept])[2] == 0


def test_offsets_move_the_logits_and_nothing_else():
    settings = network_from({"name": "DdrNet", "planes": 8, "pool_channels": 8, "head_channels": 8, "fine": True}, "n")
    torch.manual_seed(0)
    network = build_network(settings, 3).eval()
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = network(picture)
        add_offsets(network, head_weights(settings, 3), (0.5, 0.0, -2.0))
        moved = network(picture) - before
    assert torch.allclose(moved, torch.tensor([0.5, 0.0, -2.0])[None, :, None, None].expand_as(moved), atol=1e-5)


def test_pixels_are_those_of_the_networks_answer(tmp_path):
    class Bright(torch.nn.Module):
        def forward(self, pictures):
            return torch.cat([-pictures[:, :1], pictures[:, :1]], 1)

    chosen = squares_dataset(tmp_path / "squares")[0]
    pixels = pixels_of(Bright(), chosen, CLASSES, (64, 64))
    assert pixels.logits.shape == (6 * 4000, 2)
    assert mean_score([pixels], np.zeros(2, np.float32)) > 0.95
    found = fit_offsets(Bright(), [chosen], CLASSES, (64, 64))
    assert found.before > 0.95
    with pytest.raises(ConfigError, match="no validation set"):
        fit_offsets(Bright(), [], CLASSES, (64, 64))


def test_offsets_are_asked_for_by_the_names_of_validation_sets(tmp_path):
    export = {"name": "x", "size_wh": [64, 64], "offsets": ["nowhere"]}
    with pytest.raises(ConfigError, match=r"export\.offsets: got nowhere"):
        tiny_recipe(tmp_path, network=NETWORK, export=export)
