"""Calibration pictures: spread evenly, and normalised exactly as the engine does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtseg.backends.openvino_planes import OpenVINOPlanes
from rtseg.builder.calibration import evenly, network_input, open_calibration, some
from rtseg.errors import ConfigError, SourceError
from rtseg.network import NetworkSpec
from tests.conftest import write_clip

MODELS = Path(__file__).resolve().parents[1] / "golden" / "models"


def numbered(count: int) -> list[np.ndarray]:
    return [np.full((1, 1, 3), index, np.uint8) for index in range(count)]


@pytest.mark.parametrize(("length", "count"), [(0, 4), (3, 4), (4, 4), (7, 4), (8, 4), (9, 4), (100, 4), (250, 7)])
def test_pictures_are_spread_over_the_whole_of_a_sequence(length, count):
    found = [int(picture[0, 0, 0]) for picture in evenly(iter(numbered(length)), count)]
    assert len(found) == min(length, count)
    assert found == sorted(set(found))
    if length > count:
        steps = np.diff(found)
        assert found[0] == 0
        assert found[-1] >= length * (1 - 2.1 / count)
        assert steps.max() <= 2 * max(1, steps.min())


def test_memory_is_bounded_by_twice_the_count():
    alive = 0
    most = 0

    class Counted(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def pictures():
        nonlocal alive, most
        for _ in range(200):
            alive += 1
            most = max(most, alive)
            yield np.zeros((1, 1, 3), np.uint8).view(Counted)

    assert len(some(list(numbered(10)), 3)) == 3
    kept = evenly(pictures(), 5)
    assert len(kept) == 5
    assert most <= 12


@pytest.mark.parametrize(
    "facts",
    [
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "channel_order": "BGR"},
        {"scale": 1.0},
    ],
)
@pytest.mark.parametrize("name", ["alpha_any_size", "alpha_nhwc"])
def test_the_bare_file_is_fed_what_the_engine_folds_into_its_graph(name, facts):
    """The networks give their first input channel: it must be the one that the backend computes from the bytes."""
    layout = "NHWC" if name == "alpha_nhwc" else "NCHW"
    network = NetworkSpec(
        MODELS / f"{name}.onnx", (32, 16), 2, layout=layout, output_layout=layout, output_kind="alpha", **facts
    )
    picture = np.random.default_rng(1).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    fed = network_input(picture, network)
    first = fed[0, ..., 0] if layout == "NHWC" else fed[0, 0]
    assert fed.shape == ((1, 16, 32, 3) if layout == "NHWC" else (1, 3, 16, 32))
    np.testing.assert_allclose(OpenVINOPlanes(network)(picture)[0], np.clip(first, 0, 1), atol=1e-5)


def test_a_video_is_read_at_the_size_of_the_network(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=12)
    network = NetworkSpec(MODELS / "logits_nchw.onnx", (32, 16), 4)
    found = open_calibration(str(clip), network, "semantic", 5)
    assert [picture.shape for picture in found.pictures] == [(16, 32, 3)] * 5
    assert len({picture.tobytes() for picture in found.pictures}) == 5
    assert found.note is None
    assert str(tmp_path) not in found.source


def test_the_built_in_scene_says_that_real_frames_are_better():
    network = NetworkSpec(MODELS / "alpha_any_size.onnx", (32, 16), 2)
    found = open_calibration(None, network, "matte", 2)
    assert found.source == "synthetic:desk"
    assert found.note is not None
    assert "real frames" in found.note
    again = open_calibration("synthetic:desk", network, "matte", 2)
    assert all(np.array_equal(a, b) for a, b in zip(found.pictures, again.pictures, strict=True))


def test_what_cannot_calibrate_is_refused(tmp_path):
    network = NetworkSpec(MODELS / "logits_nchw.onnx", (32, 16), 4)
    with pytest.raises(ConfigError, match="got 0 frames"):
        open_calibration(None, network, "semantic", 0)
    with pytest.raises(ConfigError, match="never ends"):
        open_calibration("synthetic:street?seconds=inf", network, "semantic", 2)
    with pytest.raises(SourceError, match="no such file"):
        open_calibration(str(tmp_path / "nowhere"), network, "semantic", 2)
