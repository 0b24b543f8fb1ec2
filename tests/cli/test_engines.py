"""`rtseg build --backend tensorrt` and `rtseg models --engines` as a user types them."""

from __future__ import annotations

import json
import os

import pytest

pytest.importorskip("onnx", reason="building needs onnx")

from rtseg.cli import engines as words_of_engines
from rtseg.cli import main
from rtseg.cuda_device import CudaDevice
from rtseg.engine_files.cache import PLAN_NAME, EngineCache
from rtseg.engine_files.manifest import Proof
from rtseg.errors import BackendUnavailable
from rtseg.tensorrt_flavour import load_flavour
from tests.builder.parts import bundle_folder

pytestmark = pytest.mark.needs_torch

GPU = CudaDevice("NVIDIA Test", "8.9", "580")
BUILD = ["build", "colours", "--backend", "tensorrt"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a bundle, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle_folder(tmp_path / "colours")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def builds_here():
    try:
        flavour = load_flavour()
    except BackendUnavailable:
        pytest.skip("no flavour of TensorRT can be imported")
    if not flavour.builds_without_gpu:
        pytest.skip(f"{flavour} builds on a GPU only")


@pytest.mark.needs_tensorrt
def test_build_list_and_prune(here, builds_here, capsys):
    assert main(BUILD) == 0
    shown = capsys.readouterr()
    folder = shown.out.strip()
    assert os.path.isfile(f"{folder}/{PLAN_NAME}")
    assert "building: no engine of colours in the cache yet" in shown.err
    assert "colours 32x24 batch 1 fp16" in shown.err
    assert "logits: logits float16 [1, 4, 24, 32] NCHW" in shown.err
    assert "unproved" in shown.err
    assert main([*BUILD, "--form", "bytes", "--batch", "2", "--precision", "fp32", "--size", "64x32"]) == 0
    assert "classes: labels uint8 [2, 32, 64] NHW" in capsys.readouterr().err
    assert main(BUILD) == 0
    assert "in the cache" in capsys.readouterr().err

    assert main(["models", "--engines"]) == 0
    listed = capsys.readouterr().out
    assert "64x32      2 fp32  bytes" in listed
    assert "2 engines" in listed
    assert main(["models", "--engines", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {one["manifest"]["key"]["precision"] for one in facts} == {"fp16", "fp32"}
    with open(f"{folder}/{PLAN_NAME}", "ab") as plan:
        plan.write(b"more")
    assert main(["models", "--engines", "--prune"]) == 0
    assert "1 engine removed" in capsys.readouterr().out
    assert main(["models", "--engines", "--prune", "--all", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["removed"]) == 1
    assert main(["models", "--engines"]) == 0
    assert "No engines in" in capsys.readouterr().out
    assert EngineCache().entries() == ()


@pytest.mark.needs_tensorrt
@pytest.mark.parametrize("accepted", [True, False])
def test_with_a_gpu_it_is_proved_at_once(here, builds_here, capsys, monkeypatch, accepted):
    from rtseg.builder import engine_supply

    def prove(self, request, engine):
        assert (request.precision, request.batch, request.model) == ("fp16", 1, "colours")
        report = {"verdict": "as it is", "frames": 32}
        return engine.add_proof(Proof(GPU, accepted, "refused: got 12% of the labels", report, "now"))

    monkeypatch.setattr(engine_supply.CacheSupply, "prove", prove)
    monkeypatch.setattr(words_of_engines, "current_device", lambda: GPU)
    assert main([*BUILD, "--report", "found.json"]) == (0 if accepted else 1)
    shown = capsys.readouterr()
    assert json.loads((here / "found.json").read_text())["frames"] == 32
    if accepted:
        assert "proved on NVIDIA Test" in shown.err
    else:
        assert "got 12% of the labels. Use another --precision" in shown.err
        assert shown.out == ""


@pytest.mark.needs_tensorrt
def test_without_a_runtime_it_stays_unproved_and_says_so(here, builds_here, capsys, monkeypatch):
    from rtseg.builder import engine_supply

    def prove(self, request, engine):
        raise BackendUnavailable("backend tensorrt: got no torch")

    monkeypatch.setattr(engine_supply.CacheSupply, "prove", prove)
    monkeypatch.setattr(words_of_engines, "current_device", lambda: GPU)
    assert main(BUILD) == 0
    shown = capsys.readouterr().err
    assert "left unproved: backend tensorrt: got no torch" in shown
    assert "unproved on NVIDIA Test" in shown


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (["build", "colours", "--backend", "openvino"], "expected tensorrt"),
        ([*BUILD, "--precision", "bf16"], "fp16, int8, fp32"),
        ([*BUILD, "--precision", "int8"], "expected a bundle with an int8 file"),
        ([*BUILD, "--form", "plane"], "planes"),
        ([*BUILD, "--size", "wide"], "WIDTHxHEIGHT"),
        ([*BUILD, "-o", "x"], "--backend: got it with -o"),
        ([*BUILD, "--calibration", "x", "--in-place"], "--in-place, --calibration"),
        ([*BUILD, "--report", "no/r.json"], "Make it first"),
        (["build", "colours", "--precision", "fp16", "--batch", "2"], "Add --backend tensorrt"),
        (["build", "colours", "--again", "--precision", "fp16"], "--again: got no --backend"),
        (["build", "colours"], "--precision: got none"),
        (["models", "--prune"], "Add --engines"),
        (["models", "--engines", "--keep-mb", "5"], "--keep-mb: got no --prune"),
        (["models", "--engines", "street"], "Leave the model out"),
    ],
)
def test_what_cannot_be_right_is_one_line(here, capsys, words, telling):
    if "tensorrt" in words:
        pytest.importorskip("tensorrt_rtx")
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert telling in shown
    assert len(shown.strip().splitlines()) == 1
