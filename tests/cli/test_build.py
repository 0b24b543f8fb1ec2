"""`rtseg build` as a user types it."""

from __future__ import annotations

import json
import sys

import pytest

from rtseg.cli import main

onnx = pytest.importorskip("onnx", reason="building needs the extra `train`")

from rtseg.models.bundle import load_bundle  # noqa: E402
from tests.builder.parts import bundle_folder, picture_folder  # noqa: E402

pytestmark = pytest.mark.needs_torch


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a bundle, calibration pictures and a labelled set."""
    bundle_folder(tmp_path / "colours")
    picture_folder(tmp_path / "frames", 8)
    picture_folder(tmp_path / "set", 32, seed=5, labels=True)
    (tmp_path / "rgb.toml").write_text('classes = ["red", "green", "blue"]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


LABELLED = ["--data", "set", "-t", "rgb.toml", "--layout", "folder"]
INT8 = ["--precision", "int8", "--calibration", "frames", *LABELLED]


def needs_nncf():
    pytest.importorskip("nncf", reason="quantization needs the extra `train`")


def test_int8_makes_a_bundle_that_runs(here, capsys):
    needs_nncf()
    assert main(["build", "colours", *INT8, "--report", "found.json", "--default", "int8"]) == 0
    shown = capsys.readouterr()
    assert "accepted: got a mean IoU loss" in shown.out
    assert "speed-up" in shown.out
    assert shown.out.splitlines()[-1] == "colours-int8"
    bundle = load_bundle(here / "colours-int8")
    assert bundle.precisions == ("int8", "fp16")
    report = json.loads((here / "found.json").read_text())
    assert report == json.loads((here / "colours-int8" / "int8.json").read_text())
    assert report["data"] == "set"
    assert report["frames"] == 32
    assert str(here) not in (here / "found.json").read_text()
    words = ["run", "frames", "-m", "colours-int8", "-o", "null", "--stats", "stats.json", "-q"]
    assert main(words) == 0
    backend = json.loads((here / "stats.json").read_text())["backend"]
    assert backend["precision"] == "int8"
    assert "The int8 file, which the card prefers." in backend["reasons"]
    assert main(["models", "colours-int8"]) == 0
    assert "int8_sha256" in capsys.readouterr().out


def test_in_place_and_without_labels(here, capsys):
    needs_nncf()
    words = ["build", "colours", "--precision", "int8", "--calibration", "frames", "--data", "set/images"]
    assert main([*words, "--in-place", "-q", "--default", "fp16"]) == 0
    assert capsys.readouterr().out == ""
    assert load_bundle(here / "colours").precisions == ("fp16", "int8")
    assert main(["run", "frames", "-m", "colours", "-o", "null", "-q", "--precision", "int8"]) == 0


def test_what_loses_too_much_is_refused_and_its_report_is_kept(here, capsys, monkeypatch):
    needs_nncf()
    from rtseg.builder import parity

    monkeypatch.setattr(parity, "MOST_LOSS", -1.0)  # nothing can pass
    assert main(["build", "colours", *INT8]) == 1
    shown = capsys.readouterr()
    assert "refused: got a mean IoU loss" in shown.err
    assert "colours-int8.refused.json" in shown.err
    assert not (here / "colours-int8").exists()
    assert json.loads((here / "colours-int8.refused.json").read_text())["accepted"] is False


def test_fp16_stores_fp32_weights_in_half_the_bytes(here, capsys):
    bundle_folder(here / "wide", half=False)
    assert main(["build", "wide", "--precision", "fp16", *LABELLED, "-o", "small"]) == 0
    assert "accepted: got an agreement" in capsys.readouterr().out
    assert (here / "small" / "model.onnx").stat().st_size < (here / "wide" / "model.onnx").stat().st_size
    assert load_bundle(here / "small").precisions == ("fp16",)
    assert main(["build", "small", "--precision", "fp16", *LABELLED]) == 2
    assert "fp16 already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "telling"),
    [
        (["colours", "--precision", "int4"], 2, "int8, fp16"),
        (["colours", "--precision", "int8", "--default", "bf16"], 2, "--default"),
        (["colours", "--precision", "int8", "--in-place", "-o", "x"], 2, "Drop one"),
        (["colours", "--precision", "fp16", "--in-place"], 2, "with int8"),
        (["colours", "--precision", "int8", "-t", "person"], 2, "no --data"),
        (["colours", "--precision", "int8", "-o", "set"], 2, "which exists"),
        (["colours", "--precision", "int8", "--report", "no/found.json"], 2, "Make the folder"),
        (["colours/model.onnx", "--precision", "int8", "--in-place", "--parity-frames", "8"], 2, "at least 32"),
        (["nothing", "--precision", "int8"], 2, "nothing"),
    ],
)
def test_what_cannot_be_right_is_one_line(here, capsys, words, code, telling):
    if "--parity-frames" in words:
        needs_nncf()
    assert main(["build", *words]) == code
    shown = capsys.readouterr().err
    assert telling in shown
    assert len(shown.strip().splitlines()) == 1


@pytest.mark.parametrize(("module", "precision"), [("nncf", "int8"), ("onnx", "fp16")])
def test_what_is_not_installed_is_named_with_its_command(here, capsys, monkeypatch, module, precision):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["build", "colours", "--precision", precision]) == 1
    assert "pip install" in capsys.readouterr().err
