"""The planes of tiny networks, worked out from the picture."""

from __future__ import annotations

import numpy as np
import pytest

from rtseg.backends.base import EngineRequest
from rtseg.backends.openvino import OpenVINOBackend
from rtseg.backends.openvino_planes import OpenVINOPlanes
from rtseg.errors import ConfigError, EngineError


def softmax(logits):
    shares = np.exp(logits - logits.max(0))
    return shares / shares.sum(0)


@pytest.mark.parametrize("name", ["logits_nchw", "logits_nhwc", "probability_4"])
def test_classes_come_as_probabilities_in_either_layout(spec, picture, name):
    kind = "probability" if name == "probability_4" else "logits"
    layout = "NHWC" if name == "logits_nhwc" else "NCHW"
    network = spec(name, scale=1 / 255, output_kind=kind, output_layout=layout)
    planes = OpenVINOPlanes(network)(picture)
    expected = softmax(picture.transpose(2, 0, 1)[[0, 1, 2, 1]] / 255.0)
    assert planes.shape == (4, 16, 32)
    assert planes.dtype == np.float32
    assert planes == pytest.approx(expected, abs=1e-6)


def test_the_largest_plane_is_the_label_of_the_backend(spec, picture):
    network = spec("logits_nchw", scale=1 / 255)
    with OpenVINOBackend() as backend:
        backend.load(EngineRequest(network, "fp32", "latency"))
        labels = backend.infer(picture).labels
    assert np.array_equal(OpenVINOPlanes(network)(picture).argmax(0), labels)


def test_a_matte_is_one_plane_the_last_of_two(spec, picture):
    alpha = OpenVINOPlanes(spec("alpha_any_size", scale=1 / 255, class_count=2, output_kind="alpha"))(picture)
    assert alpha[0] == pytest.approx(picture[..., 0] / 255.0, abs=1e-6)
    pair = OpenVINOPlanes(spec("probability_2", scale=1 / 255, class_count=2, output_kind="probability"))(picture)
    assert pair[0] == pytest.approx(picture[..., 1] / 255.0, abs=1e-6)


def test_another_size_where_the_network_takes_it(spec):
    network = spec("alpha_any_size", scale=1 / 255, class_count=2, output_kind="alpha")
    planes = OpenVINOPlanes(network, size_wh=(64, 24))
    assert planes(np.full((24, 64, 3), 51, np.uint8)) == pytest.approx(np.full((1, 24, 64), 0.2), abs=1e-6)


def test_labels_have_no_planes_and_a_missing_file_is_told(spec, tmp_path):
    with pytest.raises(ConfigError, match="gives labels"):
        OpenVINOPlanes(spec("labels_int64", output_kind="labels"))
    with pytest.raises(EngineError, match="gone"):
        OpenVINOPlanes(spec("../../gone"))
