"""The score of a model is one and the same measure for all its files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtseg.bench.scores import score_notes, score_of
from rtseg.models.bundle import load_bundle


@pytest.mark.parametrize(("model", "name"), [("person", "portraits val IoU"), ("street", "CamVid val mIoU")])
def test_shipped_bundles_have_one_measure_for_all_precisions(model, name):
    bundle = load_bundle(model)
    found = [score_of(bundle, precision) for precision in ("int8", "bf16", "fp32")]
    assert [score["name"] for score in found if score] == [name] * 3


def test_parity_report_gives_the_other_file_its_own_score_where_it_is_of_the_same_data():
    street = load_bundle("street")
    report = street.scores["int8"]
    assert score_of(street, "bf16") == {
        "name": "CamVid val mIoU", "value": street.scores["camvid_val_miou"], "file": "float"
    }  # fmt: skip
    assert score_of(street, "int8") == {"name": "CamVid val mIoU", "value": report["miou"], "file": "int8"}
    preferring = replace(street, default_precision="int8")
    assert score_of(preferring, "bf16") == {"name": "CamVid val mIoU", "value": report["miou_fp32"], "file": "float"}


def test_score_of_another_file_is_said_to_be_one():
    person = load_bundle("person")
    score = score_of(person, "bf16")
    assert score is not None
    assert score["file"] == "int8"
    (note,) = score_notes(score, "bf16")
    assert "portraits val IoU was measured with the int8 file" in note
    assert score_notes(score, "int8") == score_notes(None, "bf16") == []


def test_card_without_a_score_has_none():
    assert score_of(replace(load_bundle("street"), scores={"protocol": "by hand"}), "bf16") is None
