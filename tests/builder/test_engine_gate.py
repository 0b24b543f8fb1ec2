"""The gate passes a sound engine, and refuses one that is off by a pixel, by a class or by a frame."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs onnx")

from rtseg.builder import engine_gate  # noqa: E402
from rtseg.builder.engine_gate import (  # noqa: E402
    LEAST_AGREEMENT,
    check_changing,
    interleaved,
    judged,
    masks_of,
    prove,
)
from rtseg.builder.parity import ParityGate  # noqa: E402
from rtseg.cuda_device import CudaDevice  # noqa: E402
from rtseg.errors import ConfigError, EngineError, InferenceError  # noqa: E402
from tests.builder.engine_parts import (  # noqa: E402
    BANDS,
    Noisy,
    StaleOnce,
    SwapsTwo,
    TornOnce,
    bands,
    frames,
    loaded,
    red,
)

pytestmark = pytest.mark.needs_torch


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    return {"labels": bands(folder / "bands.onnx"), "matte": red(folder / "red.onnx")}


KINDS = pytest.mark.parametrize("kind", ["labels", "matte"])
PRECISIONS = pytest.mark.parametrize("precision", ["fp16", "int8"])


@KINDS
@PRECISIONS
def test_a_sound_engine_passes(networks, kind, precision):
    report = prove(loaded(networks[kind], in_flight=3), networks[kind], precision, frames())
    assert report.accepted, report.verdict()
    assert report.agreement == 1
    assert report.parity.frames == 32
    assert report.in_flight == 3
    facts = json.loads(json.dumps(report.to_json()))
    assert facts["accepted"] is True
    proof = report.proof(CudaDevice("NVIDIA Test", "9.0", "580"))
    assert proof.accepted
    assert "accepted" in proof.verdict


@KINDS
@PRECISIONS
@pytest.mark.parametrize(
    ("fault", "telling"),
    [("shift", "masks shifted by 1, 0 pixels"), ("stale", "masks of earlier frames"), ("class", "")],
)
def test_a_broken_engine_is_refused(networks, kind, precision, fault, telling):
    report = prove(loaded(networks[kind], fault), networks[kind], precision, frames())
    assert not report.accepted
    assert report.verdict().startswith("refused")
    assert telling in report.verdict()


@KINDS
@PRECISIONS
@pytest.mark.parametrize(("broken", "telling"), [(StaleOnce, "1 masks of earlier frames (the first at frame 17)"),
                                                 (TornOnce, "1 frames far worse than the rest (frame 9")])  # fmt: skip
def test_one_bad_frame_among_many_is_enough(networks, kind, precision, broken, telling):
    report = prove(loaded(networks[kind], kind=broken), networks[kind], precision, frames(160))
    assert not report.accepted
    assert telling in report.verdict()


def test_the_average_alone_would_let_one_bad_frame_pass(networks):
    """Positive control: the probes beside the average are what notices."""
    report = prove(loaded(networks["labels"], kind=StaleOnce), networks["labels"], "fp16", frames(320))
    assert report.agreement > LEAST_AGREEMENT
    assert not report.accepted
    assert replace(report, faults=()).accepted


@PRECISIONS
def test_two_swapped_classes_are_named(networks, precision):
    report = prove(loaded(networks["labels"], kind=SwapsTwo), networks["labels"], precision, frames())
    assert "class 1 found as class 2; class 2 found as class 1" in report.verdict()


@PRECISIONS
def test_frames_that_do_not_change_would_miss_a_stale_engine(networks, precision):
    """Control: with constant input the replaying engine passes, so the gate refuses such frames."""
    network = networks["labels"]
    for shown, accepted in ((frames(same=True), True), (interleaved(frames()), False)):
        gate, backend = ParityGate(network, shown), loaded(network, "stale")
        report = judged(gate, masks_of(backend, shown.pictures), precision, matte=False, backend=backend)
        assert report.accepted is accepted
    with pytest.raises(ConfigError, match="frames that change"):
        prove(loaded(network, "stale"), network, precision, frames(same=True))


def test_a_few_still_frames_are_no_matter():
    masks = [np.full((8, 8), index // 2 % 3, np.uint8) for index in range(32)]
    check_changing(masks[::2], "film", matte=False)
    with pytest.raises(ConfigError, match="16 of 31"):
        check_changing(masks, "film", matte=False)


def noisy(network, share, precision):
    backend = loaded(network, kind=Noisy)
    backend.share = share
    return prove(backend, network, precision, frames())


def test_fp16_may_lose_half_a_percent_of_the_labels(networks):
    assert noisy(networks["labels"], 0.003, "fp16").accepted
    refused = noisy(networks["labels"], 0.008, "fp16")
    assert not refused.accepted
    assert refused.faults == ()
    assert "expected at least 99.5%" in refused.verdict()


def test_int8_may_lose_more_but_not_much(networks):
    assert noisy(networks["labels"], 0.008, "int8").accepted
    assert not noisy(networks["labels"], 0.04, "int8").accepted


def test_with_truth_int8_is_judged_by_its_miou(networks):
    network = networks["labels"]
    plain = frames()
    gate = ParityGate(network, plain)
    labelled = replace(plain, truths=gate.expected)
    assert noisy_labelled(network, labelled, 0.003).accepted
    report = noisy_labelled(network, labelled, 0.01)
    assert not report.accepted
    assert "mean IoU loss" in report.verdict()


def noisy_labelled(network, labelled, share):
    backend = loaded(network, kind=Noisy)
    backend.share = share
    return prove(backend, network, "int8", labelled)


def test_a_matte_may_not_drift(networks):
    """Every alpha is off by a little: no label changes, the difference does."""

    class Drifts(type(loaded(networks["matte"]))):
        by = 1

        def _faulty(self, output):
            far = np.where(output.alpha > 127, np.minimum(output.alpha, 255 - self.by) + self.by, output.alpha)
            return type(output)(alpha=far.astype(np.uint8))

    for by, precision, accepted in ((1, "fp16", True), (4, "fp16", False), (4, "int8", True), (9, "int8", False)):
        backend = loaded(networks["matte"], kind=Drifts)
        backend.by = by
        report = prove(backend, networks["matte"], precision, frames())
        assert report.accepted is accepted, (by, precision, report.verdict())
        assert report.agreement == 1
        assert "a matte that differs by" in report.verdict()


def test_too_few_frames_and_other_shapes_are_refused(networks):
    network = networks["labels"]
    with pytest.raises(ConfigError, match="got 31 frames"):
        prove(loaded(network), network, "fp16", frames(31))

    class Halves(type(loaded(network))):
        def _faulty(self, output):
            return type(output)(labels=output.labels[::2, ::2])

    with pytest.raises(EngineError, match="got masks"):
        prove(loaded(network, kind=Halves), network, "fp16", frames())
    with pytest.raises(InferenceError, match="got picture 5"):
        prove(loaded(network, fail_at=5), network, "fp16", frames())


def test_neighbours_come_from_different_scenes():
    shown = interleaved(replace(frames(), pictures=tuple(range(32)), truths=tuple(range(32))))
    assert shown.pictures[:5] == (0, 8, 16, 24, 1)
    assert sorted(shown.pictures) == list(range(32))
    assert shown.truths == shown.pictures
    assert engine_gate.SLOTS == 8
    assert BANDS == 4
