"""Building int8: as few layers as needed stay in higher precision, or it is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="building needs the extra `train`")

from rtseg.builder.calibration import Calibration  # noqa: E402
from rtseg.builder.int8 import build_int8, fewest_in_float  # noqa: E402
from rtseg.builder.layers import quantized_layers  # noqa: E402
from rtseg.builder.parity import Parity  # noqa: E402
from rtseg.builder.parity_frames import ParityFrames  # noqa: E402
from rtseg.builder.sensitivity import Sensitivity  # noqa: E402
from rtseg.builder.signed import unsigned_nodes  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from tests.builder.parts import CLASSES, bundle_folder, pictures, truth_of  # noqa: E402

pytestmark = pytest.mark.needs_torch


class Judge:
    """Passes once enough layers stay in floating point."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.asked: list[int] = []

    def __call__(self, left):
        self.asked.append(len(left))
        loss = 0.0 if len(left) >= self.needed else 0.02
        return Parity(40, "x", True, 0.9, 0.9 - loss, 0.99, None, (), {})


def ranking(count):
    return iter([Sensitivity(f"layer{index}", 1.0 / (index + 1)) for index in range(count)])


@pytest.mark.parametrize("needed", [0, 1, 2, 3, 5, 6, 11, 16, 20])
def test_the_fewest_layers_that_pass_are_left(needed):
    judge = Judge(needed)
    left, parity = fewest_in_float(ranking(40), judge, most=20)
    assert [one.layer for one in left] == [f"layer{index}" for index in range(needed)]
    assert parity.accepted
    assert len(judge.asked) <= 1 + 2 * max(1, needed).bit_length() + 1


def test_only_as_many_layers_are_ranked_as_are_needed():
    layers = ranking(40)
    fewest_in_float(layers, Judge(3), most=20)
    assert next(layers).layer == "layer4"


@pytest.mark.parametrize(("most", "there"), [(20, 40), (5, 40), (20, 5), (0, 40)])
def test_where_that_is_not_enough_the_last_try_is_told(most, there):
    left, parity = fewest_in_float(ranking(there), Judge(100), most=most)
    assert not parity.accepted
    assert len(left) == min(most, there)


def frames(count=6):
    found = tuple(pictures(count, seed=9))
    truths = tuple(truth_of(picture) for picture in found)
    return ParityFrames("patches", found, truths, CLASSES, np.arange(256, dtype=np.uint8), {})


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory):
    """A bundle whose middle tensor has one channel 400 times larger than the rest, and its build."""
    pytest.importorskip("nncf", reason="quantization needs the extra `train`")
    bundle = load_bundle(bundle_folder(tmp_path_factory.mktemp("int8") / "outlier", outlier=400.0))
    calibration = Calibration("patches", tuple(pictures(8)))
    steps: list[str] = []
    return build_int8(bundle, calibration, frames(), rounds=5, on_step=steps.append), bundle, calibration, steps


def test_the_layers_that_lose_too_much_stay_in_higher_precision(sabotaged):
    built, _, _, steps = sabotaged
    assert built.parity.accepted
    assert 0 < len(built.left_in_float) <= built.layers // 2
    # What reads the tensor with the outlier: its two convolutions.
    assert {one.layer for one in built.left_in_float} <= {"middle", "back", "add"}
    assert built.left_in_float[0].error > 0.01
    assert len(quantized_layers(built.model)) == built.layers - len(built.left_in_float)
    assert unsigned_nodes(built.model) == ()
    onnx.checker.check_model(built.model, full_check=True)
    assert {"calibrating", "comparing", "ranking layers"} == set(steps)


def test_the_report_tells_all_of_it_and_the_build_repeats(sabotaged):
    built, bundle, calibration, _ = sabotaged
    report = json.loads(json.dumps(built.report()))
    assert report["accepted"] is True
    assert report["calibration"] == {"source": "patches", "frames": 8}
    assert set(report["left_in_higher_precision"]) == {one.layer for one in built.left_in_float}
    assert report["bytes"]["int8_file"] == len(built.model.SerializeToString())
    assert report["speed"]["rounds"] == 5
    assert report["machine"]["cores"] >= 1
    again = build_int8(bundle, calibration, frames(), rounds=5)
    assert again.model.SerializeToString() == built.model.SerializeToString()


def test_without_an_outlier_every_layer_is_quantized(tmp_path):
    """Positive control of the test above: it is the outlier that keeps layers out."""
    pytest.importorskip("nncf", reason="quantization needs the extra `train`")
    bundle = load_bundle(bundle_folder(tmp_path / "plain"))
    built = build_int8(bundle, Calibration("patches", tuple(pictures(8))), frames(), rounds=5)
    assert built.parity.accepted
    assert built.left_in_float == ()
