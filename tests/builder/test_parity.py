"""The parity gate passes what says the same, and refuses what does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs the extra `train`")

from onnx import numpy_helper  # noqa: E402

from rtseg.builder import parity_frames  # noqa: E402
from rtseg.builder.parity import Parity, ParityGate  # noqa: E402
from rtseg.builder.parity_frames import ParityFrames, labelled_frames, scene_frames, unlabelled_frames  # noqa: E402
from rtseg.builder.speed import measure_speed  # noqa: E402
from rtseg.datasets import load_taxonomy, open_dataset  # noqa: E402
from rtseg.errors import ConfigError, SourceError  # noqa: E402
from rtseg.network import NetworkSpec  # noqa: E402
from tests.builder.parts import CLASSES, SIZE_WH, network, picture_folder, pictures, spec, truth_of  # noqa: E402

pytestmark = pytest.mark.needs_torch

TAXONOMY = 'classes = ["red", "green", "blue"]\n'


def frames(count: int = 4, *, labelled: bool = True) -> ParityFrames:
    found = tuple(pictures(count))
    truths = tuple(truth_of(picture) for picture in found) if labelled else None
    return ParityFrames("patches", found, truths, CLASSES, np.arange(256, dtype=np.uint8), {})


def changed(path, target, change):
    """Write the network with one of its weights changed."""
    model = onnx.load(str(path))
    weight = next(w for w in model.graph.initializer if w.name.startswith("last.weight"))
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight).copy()), weight.name))
    onnx.save(model, str(target))
    return target


def swapped(weights):
    weights[[0, 1]] = weights[[1, 0]]
    return weights


@pytest.mark.parametrize("labelled", [True, False])
def test_the_same_network_passes(tmp_path, labelled):
    path = network(tmp_path / "model.onnx")
    parity = ParityGate(spec(path), frames(labelled=labelled)).measure(path, "fp32")
    assert parity.accepted
    assert parity.agreement == 1
    assert parity.miou_loss == 0
    assert parity.by_labels == labelled
    assert parity.miou_float > (0.5 if labelled else 0.999)
    assert parity.alpha_mad is None
    assert json.loads(json.dumps(parity.to_json()))["accepted"] is True


@pytest.mark.parametrize("labelled", [True, False])
def test_two_classes_that_changed_places_are_refused(tmp_path, labelled):
    path = network(tmp_path / "model.onnx")
    gate = ParityGate(spec(path), frames(labelled=labelled))
    parity = gate.measure(changed(path, tmp_path / "swapped.onnx", swapped), "fp32")
    assert not parity.accepted
    assert "refused: got" in parity.verdict()
    assert parity.worst_class is not None
    assert parity.worst_class.name in ("red", "green")
    assert parity.worst_class.loss > 0.5
    assert parity.agreement < 0.6


def test_labels_that_the_float_network_cannot_read_do_not_decide(tmp_path):
    """A network that is lost on the data loses nothing by any change; its own labels are the measure then."""
    path = network(tmp_path / "model.onnx")
    known = frames()
    strange = ParityFrames("strange", known.pictures, tuple(2 - t for t in known.truths), CLASSES, known.table, {})
    gate = ParityGate(spec(path), strange)
    parity = gate.measure(changed(path, tmp_path / "swapped.onnx", swapped), "fp32")
    assert parity.labelled
    assert not parity.by_labels
    assert not parity.accepted


def matte(loss: float, mad: float, agreement: float, *, labelled: bool) -> Parity:
    return Parity(40, "x", labelled, 0.9, 0.9 - loss, agreement, mad, (), {})


@pytest.mark.parametrize(
    ("parity", "accepted"),
    [
        (matte(0.0099, 0.5, 0.1, labelled=True), True),
        (matte(0.0101, 0.0, 1.0, labelled=True), False),
        (matte(0.5, 0.0099, 0.98, labelled=False), True),
        (matte(0.0, 0.0101, 1.0, labelled=False), False),
        (matte(0.0, 0.0, 0.979, labelled=False), False),
    ],
)
def test_the_bounds(parity, accepted):
    assert parity.accepted == accepted
    assert parity.verdict().startswith("accepted" if accepted else "refused")


def test_mattes_are_compared_as_mattes(tmp_path):
    from tests.backends.conftest import MODELS

    facts = NetworkSpec(MODELS / "alpha_any_size.onnx", (32, 16), 2, output_kind="alpha")
    shown = tuple(np.full((16, 32, 3), level, np.uint8) for level in (40, 200))
    gate = ParityGate(facts, ParityFrames("x", shown, None, ("no", "yes"), np.arange(256, dtype=np.uint8), {}))
    same = gate.measure(facts.onnx_path, "fp32")
    assert (same.alpha_mad, same.agreement, same.accepted) == (0, 1, True)
    model = onnx.load(str(facts.onnx_path))
    model.graph.node[0].output[0] = "one"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "tenth"))
    model.graph.node.append(onnx.helper.make_node("Add", ["one", "tenth"], ["alpha"]))
    onnx.save(model, str(tmp_path / "brighter.onnx"))
    other = gate.measure(tmp_path / "brighter.onnx", "fp32")
    assert other.alpha_mad == pytest.approx(0.1, abs=0.003)
    assert not other.accepted


def test_labelled_pictures_of_a_folder(tmp_path):
    (tmp_path / "colours.toml").write_text(TAXONOMY)
    dataset = open_dataset(
        picture_folder(tmp_path / "set", 33, labels=True), load_taxonomy(tmp_path / "colours.toml"), layout="folder"
    )
    found = labelled_frames(dataset, CLASSES, (16, 12), 32)
    assert len(found.pictures) == 32
    assert found.pictures[0].shape == (12, 16, 3)
    assert found.truths is not None
    assert found.truths[0].shape == (12, 16)
    assert list(found.table[:4]) == [0, 1, 2, 254]
    assert found.facts["split_hash"] != dataset.split_hash()
    with pytest.raises(SourceError, match="got 33 pictures; expected at least 40"):
        _ = labelled_frames_at_least(40, dataset)
    with pytest.raises(ConfigError, match="got 8 frames"):
        labelled_frames(dataset, CLASSES, (16, 12), 8)
    with pytest.raises(ConfigError, match="Choose another taxonomy"):
        labelled_frames(dataset, ("field", "wood"), (16, 12), 32)


def labelled_frames_at_least(count, dataset):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity_frames, "LEAST_FRAMES", count)
        return labelled_frames(dataset, CLASSES, SIZE_WH, count)


def test_frames_without_labels(tmp_path):
    folder = picture_folder(tmp_path / "plain", 34)
    found = unlabelled_frames(str(folder), CLASSES, SIZE_WH, 32)
    assert len(found.pictures) == 32
    assert found.truths is None
    with pytest.raises(SourceError, match="got 3 frames"):
        unlabelled_frames(str(picture_folder(tmp_path / "few", 3)), CLASSES, SIZE_WH, 32)
    with pytest.raises(ConfigError, match="never ends"):
        unlabelled_frames("synthetic:desk?seconds=inf", CLASSES, SIZE_WH, 32)


def test_the_built_in_scene_has_its_truth_where_the_classes_fit(monkeypatch):
    monkeypatch.setattr(parity_frames, "LEAST_FRAMES", 2)
    found = scene_frames("matte", ("background", "person"), (64, 48), 2)
    assert found.truths is not None
    assert 0.05 < np.mean(found.truths) < 0.9
    assert found.pictures[0].shape == (48, 64, 3)
    assert not np.array_equal(found.pictures[0], found.pictures[1])
    strangers = scene_frames("matte", ("field", "wood"), (64, 48), 2)
    assert strangers.truths is None
    assert strangers.classes == ("field", "wood")


def test_speed_is_a_ratio_of_turns(tmp_path):
    path = network(tmp_path / "model.onnx")
    found = measure_speed(spec(path), path, "fp32", pictures(2), rounds=6)
    assert found.rounds == 6
    assert found.ratio == pytest.approx(found.float_ms / found.built_ms)
    assert found.to_json()[f"median_ms_{found.float_precision}"] > 0
