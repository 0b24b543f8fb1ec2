"""Scores while training follow the rule of `rtseg eval`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.builder.cards import BYTE_SCALE, IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from rtseg.datasets import Taxonomy  # noqa: E402
from rtseg.errors import BackendUnavailable, ConfigError  # noqa: E402
from rtseg.evaluate.pictures import score_pictures  # noqa: E402
from rtseg.preprocess import to_network  # noqa: E402
from rtseg.train.device import Device, choose_device, normalised  # noqa: E402
from rtseg.train.settings import ScoredSet  # noqa: E402
from rtseg.train.validate import TorchModel, ValidationSet, open_validation, score, score_sets  # noqa: E402
from rtseg.types import Segmentation  # noqa: E402
from tests.train.tiny import CLASSES, squares_dataset, tiny_recipe, write_squares  # noqa: E402

pytestmark = pytest.mark.needs_torch


class Brightness:
    """Says square where it is bright, but for a stripe."""

    classes = tuple(CLASSES)

    def __call__(self, rgb):
        labels = (rgb.max(2) > 128).astype(np.uint8)
        labels[:, :9] = 0
        return Segmentation(self.classes, (rgb.shape[1], rgb.shape[0]), network_labels=labels)


class Blobs(torch.nn.Module):
    """Logits from the picture's brightness, at half the size."""

    def forward(self, batch):
        small = torch.nn.functional.avg_pool2d(batch.mean(1, keepdim=True), 2)
        return torch.cat([-small, small], dim=1)


def test_the_scores_are_those_of_rtseg_eval(tmp_path):
    (each,) = squares_dataset(tmp_path)
    report = score_pictures(Brightness(), each.dataset, facts={})
    found = score(Brightness(), each.dataset, each.dataset)
    assert found == {"miou": report.totals["miou"], "accuracy": report.totals["pixel_accuracy"]}
    assert 0.5 < found["miou"] < 1


def test_the_mean_is_weighted_and_leaves_out_what_is_not_known(tmp_path):
    (each,) = squares_dataset(tmp_path)
    empty = ValidationSet(ScoredSet(name="none", path="", taxonomy="", weight=9.0), each.dataset.only([]))
    found = score_sets(Brightness(), [each, empty])
    assert found["mean"] == found["squares/miou"]
    assert math.isnan(found["none/miou"])
    assert math.isnan(score_sets(Brightness(), [])["mean"])


def test_it_stops_where_it_is_told_to(tmp_path):
    (each,) = squares_dataset(tmp_path)
    answers = iter([True, False])
    found = score(Brightness(), each.dataset, each.dataset, lambda: next(answers))
    one = score(Brightness(), [each.dataset.sample(0)], each.dataset)
    assert found == one


def test_a_headline_class_is_the_score(tmp_path):
    (each,) = squares_dataset(tmp_path)
    taxonomy = Taxonomy("squares", tuple(CLASSES), headline=("square",))
    dataset = replace(each.dataset, taxonomy=taxonomy)
    report = score_pictures(Brightness(), dataset, facts={})
    assert score(Brightness(), dataset, dataset)["iou"] == report.headline["square"]


def test_a_torch_model_gives_masks_of_the_networks_size_for_the_frame():
    cpu = Device(torch.device("cpu"), bf16=False)
    rgb = np.zeros((40, 100, 3), np.uint8)
    rgb[:, 50:] = 255
    found = TorchModel(Blobs(), ("dark", "bright"), (64, 32), cpu, matte=False)(rgb)
    assert (found.network_size_wh, found.size_wh) == ((64, 32), (100, 40))
    assert (found.labels[:, :46] == 0).all()
    assert (found.labels[:, 54:] == 1).all()


def test_a_torch_matte_is_the_sigmoid_in_bytes():
    class One(torch.nn.Module):
        def forward(self, batch):
            return torch.full((1, 1, 16, 32), 2.0)

    cpu = Device(torch.device("cpu"), bf16=False)
    found = TorchModel(One(), ("background", "person"), (64, 32), cpu, matte=True)(np.zeros((32, 64, 3), np.uint8))
    assert (found.network_alpha == round(255 / (1 + math.exp(-2)))).all()


def test_pictures_are_fed_as_the_card_says():
    rgb = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    small = to_network(rgb, (64, 32)).rgb
    expected = (small * BYTE_SCALE - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    found = normalised(torch.from_numpy(np.ascontiguousarray(small))[None])
    assert np.allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_sets_are_opened_from_the_recipe(tmp_path, monkeypatch):
    write_squares(tmp_path / "data", 5)
    (tmp_path / "t.toml").write_text('classes = ["ground", "square"]')
    (tmp_path / "lists.toml").write_text('kept = ["1", "3", "4"]')
    monkeypatch.setenv("SQUARES", str(tmp_path / "data"))
    scored = {"name": "s", "path": "${SQUARES}", "taxonomy": "t.toml", "only": "lists.toml:kept", "limit": 2}
    (each,) = open_validation(tiny_recipe(tmp_path, validation={"set": [scored]}))
    assert [pair.name for pair in each.dataset.pairs] == ["1", "3"]
    strange = tiny_recipe(tmp_path, classes={"names": ["x", "y"]}, validation={"set": [scored | {"taxonomy": "idd7"}]})
    with pytest.raises(ConfigError, match="got taxonomy idd7, of which the classes x, y"):
        open_validation(strange)


def test_devices_are_chosen_by_name(monkeypatch):
    with pytest.raises(ConfigError, match=r"device: got 'gpu'; expected one of auto, cpu, cuda"):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").torch.type == "cpu"
    with pytest.raises(BackendUnavailable, match="Use --device cpu"):
        choose_device("cuda")
