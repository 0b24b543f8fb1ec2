"""Scores of a whole set, where the right ones are known."""

from __future__ import annotations

import numpy as np
import pytest

import rtseg
from rtseg.datasets import load_taxonomy, open_dataset
from rtseg.errors import ConfigError, SourceError
from rtseg.evaluate.pictures import score_pictures as score_model
from rtseg.evaluate.protocol import model_facts
from rtseg.evaluate.text import picture_text
from tests.evaluate.parts import add_sample, person_set, red_picture


def score_pictures(segmenter, dataset, **options):
    return score_model(segmenter, dataset, facts=model_facts(segmenter), **options)


@pytest.fixture
def person():
    with rtseg.load("person", backend="fake") as segmenter:
        yield segmenter


@pytest.fixture
def street():
    with rtseg.load("street", backend="fake", with_scores=True) as segmenter:
        yield segmenter


def test_the_truth_scores_one(person, tmp_path):
    report = score_pictures(person, open_dataset(person_set(tmp_path), "person"))
    assert report.headline == {"person": 1.0}
    assert [score.name for score in report.classes] == ["background", "person"]
    assert {report.totals[key] for key in ("miou", "pixel_accuracy", "mean_accuracy", "boundary_f")} == {1.0}
    assert report.totals["calibration_error"] == pytest.approx(0, abs=1e-6)
    assert "mad" not in report.totals


def test_a_shifted_truth_scores_what_the_overlap_is(person, tmp_path):
    """Positive control: 64 px wide squares, 16 px apart, overlap by 48 of 80."""
    report = score_pictures(person, open_dataset(person_set(tmp_path, shift_px=16), "person"))
    assert report.headline["person"] == pytest.approx(48 / 80)
    assert report.totals["boundary_f"] < 0.6


def test_mattes_are_compared_as_mattes(person, tmp_path):
    red = np.zeros((256, 256), np.uint8)
    red[:, 128:] = 128  # one half stays what it is; nearer to 0 and 1 the segmenter rounds off
    add_sample(tmp_path, "m", red_picture(red), np.where(red > 0, 255, 0).astype(np.uint8))
    report = score_pictures(person, open_dataset(tmp_path, "matte"))
    assert report.headline["person"] == 1.0
    assert report.totals["mad"] == pytest.approx(127 / 255 / 2, abs=1e-6)
    assert report.totals["mse"] == pytest.approx((127 / 255) ** 2 / 2, abs=1e-6)
    assert report.totals["calibration_error"] == pytest.approx(127 / 255 / 2, abs=1e-6)


def test_a_model_of_classes_can_be_scored_on_mattes(street, tmp_path):
    red = np.zeros((64, 128), np.uint8)
    red[:, 32:] = 255
    add_sample(tmp_path, "m", red_picture(red), red)
    report = score_pictures(street, open_dataset(tmp_path, "matte"))
    assert report.totals["mad"] == pytest.approx(0.75)  # nothing of it is a person to the fake


def grey_set(root, brightness):
    """Pictures of one brightness, of which the fake labels follow; all of it is truly a car."""
    picture = np.full((64, 128, 3), brightness, np.uint8)
    add_sample(root, "g", picture, np.full((64, 128), 8, np.uint8))
    return root


@pytest.mark.parametrize(("label", "iou"), [(13, 1.0), (15, 1.0), (0, 0.0)])
def test_classes_go_through_the_taxonomy(street, tmp_path, label, iou):
    brightness = int((label + 0.5) * 256 / 19)
    report = score_pictures(street, open_dataset(grey_set(tmp_path, brightness), "camvid11"))
    assert report.headline == {"miou": iou}
    assert report.totals["pixel_accuracy"] == iou
    assert report.totals["calibration_error"] == pytest.approx(1 - iou)  # the fake is always sure
    assert [score.pixels for score in report.classes if score.name == "car"] == [64 * 128]


def test_at_network_size_the_labels_shrink(street, tmp_path):
    dataset = open_dataset(grey_set(tmp_path, 180), "camvid11")
    assert score_pictures(street, dataset).protocol["scored_at"] == ["128x64"]
    small = score_pictures(street, dataset, size="network")
    width, height = street.size_wh
    assert small.protocol["scored_at"] == [f"{width}x{height}"]
    assert sum(score.pixels for score in small.classes) == width * height
    with pytest.raises(ConfigError, match="label or network"):
        score_pictures(street, dataset, size="half")


def test_the_protocol_says_how_it_was_measured(person, tmp_path):
    dataset = open_dataset(person_set(tmp_path), "person")
    protocol = score_pictures(person, dataset).protocol
    assert protocol["pictures"] == 3
    assert protocol["split_hash"] == dataset.split_hash()
    assert protocol["scored_at"] == ["256x256"]
    assert protocol["ignored_ids"] == [255]
    assert protocol["class_mapping"] == {"background": "background", "person": "person"}
    assert protocol["model_sha256"] == person.bundle.sha256
    assert protocol["backend"].startswith("fake")
    assert protocol["precision"] == "exact"
    assert "bilinearly" in protocol["resize_rule"]


def test_the_text_has_classes_totals_time_and_protocol(street, tmp_path):
    report = score_pictures(street, open_dataset(grey_set(tmp_path, 180), "camvid11"))
    text = picture_text(report)
    for telling in ("pavement", "mean IoU", "milliseconds a frame", "boundary F", "split hash", "car <- car, truck"):
        assert telling in text
    assert "nan" not in text
    assert str(tmp_path) not in text


def test_json_has_no_nan(street, tmp_path):
    found = score_pictures(street, open_dataset(grey_set(tmp_path, 180), "camvid11")).to_json()
    assert found["classes"]["sky"]["iou"] is None
    assert found["classes"]["car"]["iou"] == 1.0


def test_merged_and_ignored_classes_have_no_line(street, tmp_path):
    add_sample(tmp_path, "c", np.full((64, 128, 3), 180, np.uint8), np.full((64, 128), 3, np.uint8))
    report = score_pictures(street, open_dataset(tmp_path, "comma10k5"))
    assert [score.name for score in report.classes] == ["road", "undrivable", "movable"]
    assert set(report.headline) == {"road", "movable"}


def test_a_model_of_other_classes_and_an_empty_set_are_refused(person, tmp_path):
    dataset = open_dataset(person_set(tmp_path), "person")
    own = tmp_path / "fields.toml"
    own.write_text('classes = ["field", "forest", "water"]')
    with pytest.raises(ConfigError, match="background, person"):
        score_pictures(person, open_dataset(tmp_path, load_taxonomy(own)))
    with pytest.raises(SourceError, match="no picture"):
        score_pictures(person, dataset.evenly(0))


def test_progress_is_told_after_each_picture(person, tmp_path):
    seen = []
    score_pictures(person, open_dataset(person_set(tmp_path), "person"), on_picture=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.needs_shared
def test_a_public_model_scores_on_mattes_what_it_is_known_to(shared):
    """MediaPipe selfie, 97.7 / 12.2e-3 on the held-out mattes; 98.1 / 10.5e-3 on these in ONNX Runtime."""
    options = {"size_wh": (256, 256), "layout": "NHWC", "channel_order": "RGB", "scale": 1 / 255}
    options |= {"mean": (0, 0, 0), "std": (1, 1, 1), "output_kind": "probability", "classes": ("background", "person")}
    dataset = open_dataset(shared / "data" / "mattes" / "val", "matte").evenly(8)
    with rtseg.load(shared / "weights" / "mediapipe_selfie_256.onnx", **options) as segmenter:
        report = score_pictures(segmenter, dataset)
    assert report.headline["person"] > 0.97
    assert 0.004 < report.totals["mad"] < 0.016


@pytest.mark.needs_shared
def test_a_public_model_scores_on_camvid_what_it_is_known_to(shared):
    """FDDWNet, 70.2 on CamVid's test part; here on a few pictures of val."""
    options = {"size_wh": (1024, 512), "layout": "NCHW", "channel_order": "RGB", "scale": 1 / 255}
    options |= {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    dataset = open_dataset(shared / "data" / "camvid", "camvid11", split="val").evenly(8)
    with rtseg.load(
        shared / "weights" / "fddwnet_512x1024.onnx", output_kind="logits", classes="cityscapes", **options
    ) as segmenter:
        report = score_pictures(segmenter, dataset)
    assert 0.6 < report.headline["miou"] < 0.8
    assert {score.name: score.iou for score in report.classes}["road"] > 0.95
