"""What a backend lacks is built and proved before its first frame; with the engine that was asked about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="building needs onnx")

from rtseg.backends.base import EngineRequest
from rtseg.backends.openvino import OpenVINOBackend
from rtseg.builder import engine_supply
from rtseg.builder.engine_supply import CacheSupply, reference_for
from rtseg.engine_files.cache import EngineCache
from rtseg.errors import EngineError
from rtseg.models.bundle import load_bundle
from tests.builder.parts import bundle_folder, network, spec
from tests.engine_files.parts import GPU, key, on_gpu, store

pytestmark = pytest.mark.needs_torch


class OnTheCpu(OpenVINOBackend):
    """Stands in for the GPU: runs the network on the CPU, and tells which engine it was given."""

    given: list[object] = []  # noqa: RUF012
    wrong = False

    def __init__(self, *, cache, accept_unproved):
        super().__init__()
        assert accept_unproved
        self._cache = cache

    def load(self, request):
        self.given.append([self._cache.lookup(one).engine is not None for one in (key(), key(form="bytes"))])
        return super().load(replace(request, precision="fp32"))

    def submit(self, picture):
        return super().submit(np.flip(picture, 1) if self.wrong else picture)


@pytest.fixture
def supplied(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_supply, "TensorRTBackend", OnTheCpu)
    monkeypatch.setattr(engine_supply, "current_device", lambda: GPU)
    OnTheCpu.given.clear()
    bundle = load_bundle(bundle_folder(tmp_path / "colours"))
    return EngineCache(tmp_path / "engines"), EngineRequest(bundle.network, "fp16", "latency", model="colours")


@pytest.mark.parametrize("wrong", [False, True])
def test_an_unproved_engine_is_proved_and_the_proof_is_kept(supplied, monkeypatch, wrong):
    cache, request = supplied
    monkeypatch.setattr(OnTheCpu, "wrong", wrong)
    notes, reports = [], []
    store(cache, key(form="bytes"))
    engine = store(cache)
    proved = CacheSupply(cache, on_note=notes.append, on_report=reports.append).prove(request, engine)
    state = "refused" if wrong else "proved"
    assert proved.manifest.state_on(GPU) == state
    assert cache.lookup(on_gpu()).engine.manifest.state_on(GPU) == state
    assert cache.lookup(key(form="bytes")).engine.manifest.state_on(GPU) == "unproved"
    assert OnTheCpu.given == [[True, False]]
    assert "proving: colours" in notes[0]
    assert reports[0].accepted is not wrong
    assert proved.manifest.proof_on(GPU).report["frames"] == 32


def test_int8_is_held_against_the_float_file_of_its_bundle():
    bundle = load_bundle("person")
    facts = replace(bundle.network_for("int8"), size_wh=(64, 64))
    with reference_for(facts, "int8") as (reference, frames):
        assert reference.onnx_path.name == "reference.onnx"  # the float file fitted to that size
        assert reference.size_wh == (64, 64)
        assert frames.truths is not None
        assert frames.pictures[0].shape == (64, 64, 3)
        assert len(frames.pictures) == 32
        OpenVINOBackend().load(EngineRequest(reference, "fp32"))
    assert not reference.onnx_path.exists()


def test_a_bare_file_is_its_own_reference(tmp_path):
    facts = spec(network(tmp_path / "model.onnx"))
    with reference_for(facts, "fp16") as (reference, frames):
        assert reference == facts
        assert frames.truths is None
    with pytest.raises(EngineError, match="no card beside it"), reference_for(facts, "int8"):
        pass
