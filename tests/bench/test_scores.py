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
    report, on_the_card = street.scores["int8"], street.scores["camvid_val_miou"]

    def found(preferred: str, precision: str) -> tuple[float, str]:
        score = score_of(replace(street, default_precision=preferred), precision)
        assert score is not None
        assert score["name"] == "CamVid val mIoU"
        return score["value"], score["file"]

    assert found("int8", "int8") == (on_the_card, "int8")
    assert found("int8", "bf16") == (report["miou_fp32"], "float")
    assert found("fp16", "bf16") == (on_the_card, "float")
    assert found("fp16", "int8") == (report["miou"], "int8")


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
