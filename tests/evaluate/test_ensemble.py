"""Averages of networks and of views, where the average is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rtseg
from rtseg.errors import ConfigError, EngineError
from rtseg.evaluate.ensemble import Ensemble
from rtseg.models.bundle import load_bundle
from rtseg.models.options import CardOptions

MODELS = Path(__file__).resolve().parents[1] / "golden" / "models"
FACTS = {"size_wh": (32, 16), "layout": "NCHW", "channel_order": "RGB", "scale": 1 / 255, "mean": (0, 0, 0)}
FACTS |= {"std": (1, 1, 1)}


def bundle(name, **facts):
    return load_bundle(MODELS / f"{name}.onnx", options=CardOptions(**FACTS | facts))


def matte(**facts):
    return bundle("alpha_any_size", output_kind="alpha", classes=("background", "person"), **facts)


@pytest.fixture
def classes():
    return bundle("logits_nchw", output_kind="logits", classes=("red", "green", "blue", "green again"))


@pytest.fixture
def rgb():
    """Noise, and a left half that is redder than the right."""
    picture = np.random.default_rng(2).integers(60, 120, (16, 32, 3), np.uint8)
    picture[:, :16, 0] += 100
    return picture


def test_one_network_alone_is_the_segmenter_in_fp32(classes, rgb):
    facts = FACTS | {"output_kind": "logits", "classes": classes.classes}
    with rtseg.load(MODELS / "logits_nchw.onnx", precision="fp32", with_scores=True, **facts) as segmenter:
        expected = segmenter(rgb)
    found = Ensemble([classes])(rgb)
    assert np.array_equal(found.labels, expected.labels)
    assert found.scores == pytest.approx(expected.scores, abs=1e-5)


def test_two_networks_give_the_mean_of_their_mattes(rgb):
    both = Ensemble([matte(), matte(channel_order="BGR")])
    assert both.probabilities(rgb)[0] == pytest.approx(rgb[..., [0, 2]].mean(-1) / 255, abs=1e-6)


def test_the_mirror_image_is_turned_back(rgb):
    flipped = Ensemble([matte()], tta=["flip"])
    assert flipped.probabilities(rgb)[0] == pytest.approx(rgb[..., 0] / 255.0, abs=1e-6)
    wrong = (rgb[..., 0] + rgb[:, ::-1, 0].astype(int)) / 510.0
    assert np.abs(wrong - rgb[..., 0] / 255.0).max() > 0.1  # what it would be otherwise


def test_scales_are_brought_back_to_one_size(rgb):
    grey = np.full((128, 256, 3), 51, np.uint8)
    scaled = Ensemble([matte(size_wh=(128, 128))], tta=["scale", "flip"])
    assert scaled.facts()["average_of"] == ["96x96", "128x128", "160x160"]
    assert scaled.facts()["tta"] == ["flip", "scale"]
    assert scaled.probabilities(grey) == pytest.approx(np.full((1, 128, 128), 0.2), abs=1e-6)
    assert scaled(grey).alpha.shape == (128, 256)


def test_networks_of_two_sizes_are_averaged_at_the_larger():
    grey = np.full((16, 32, 3), 204, np.uint8)
    both = Ensemble([matte(), matte(size_wh=(64, 32))])
    assert both.probabilities(grey) == pytest.approx(np.full((1, 32, 64), 0.8), abs=1e-6)


def test_what_does_not_fit_is_refused(classes):
    with pytest.raises(ConfigError, match="same classes"):
        Ensemble([classes, matte()])
    with pytest.raises(ConfigError, match="rotate"):
        Ensemble([classes], tta=["rotate"])


def test_a_network_of_one_size_only_says_so(classes, monkeypatch):
    def refuse(network, *, size_wh=None):
        raise EngineError("reshape: got no.")

    monkeypatch.setattr("rtseg.evaluate.ensemble.OpenVINOPlanes", refuse)
    with pytest.raises(EngineError, match=r"logits_nchw.* 32x32; .*Leave scale out"):
        Ensemble([classes], tta=["scale"])
