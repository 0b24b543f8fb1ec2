"""A network at another input size: the same weights, and what torch makes of them at that size."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network at another size needs the extra `train`")
onnx = pytest.importorskip("onnx", reason="files are rewritten with it")

from rtseg.backends.openvino_planes import OpenVINOPlanes  # noqa: E402
from rtseg.bench import resizing  # noqa: E402
from rtseg.bench.resizing import resized_bundle  # noqa: E402
from rtseg.errors import BackendUnavailable, EngineError  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.segmenter import load  # noqa: E402

pytestmark = pytest.mark.needs_torch

SIZES = [(256, 128), (200, 100)]
"""The second is no multiple of the network's strides."""


@pytest.fixture(scope="module")
def person():
    return load_bundle("person")


def picture(size_wh) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)


@pytest.mark.parametrize("size_wh", SIZES)
def test_planes_are_those_of_the_torch_network_at_that_size(person, size_wh, tmp_path):
    found = np.asarray(OpenVINOPlanes(resized_bundle(person, size_wh, tmp_path).network)(picture(size_wh)))
    network = person.torch_network()
    mean, std = (np.array(values, np.float32) for values in (person.network.mean, person.network.std))
    batch = (picture(size_wh).astype(np.float32) / 255 - mean) / std
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(batch.transpose(2, 0, 1)[None])).numpy()
    assert found.shape[-2:] == expected.shape[-2:] == size_wh[::-1]
    assert np.abs(found.squeeze() - expected.squeeze()).max() < 2e-3


def test_both_files_declare_the_new_size_and_keep_their_weights(person, tmp_path):
    bundle = resized_bundle(person, (256, 128), tmp_path)
    for old, new in ((person.network.onnx_path, bundle.network.onnx_path), (person.int8_path, bundle.int8_path)):
        before, after = onnx.load(str(old)), onnx.load(str(new))
        assert list(before.graph.initializer) == list(after.graph.initializer)
        for tensor in (*after.graph.input, *after.graph.output):
            assert [side.dim_value for side in tensor.type.tensor_type.shape.dim][2:] == [128, 256]
        onnx.shape_inference.infer_shapes(after, strict_mode=True, data_prop=True)


def test_without_the_resize_targets_the_backend_refuses_the_size(person, tmp_path, monkeypatch):
    """The positive control: input and output alone are not enough."""
    monkeypatch.setattr(resizing, "_targets", lambda _graph: iter(()))
    with pytest.raises(EngineError):
        OpenVINOPlanes(resized_bundle(person, (512, 256), tmp_path).network)(picture((512, 256)))


def test_scores_of_the_card_are_not_those_of_another_size(person, tmp_path):
    assert person.scores
    assert resized_bundle(person, (256, 128), tmp_path).scores == {}
    same = resized_bundle(person, person.network.size_wh, tmp_path)
    assert same == person


def test_what_is_missing_is_named_with_the_command(person, tmp_path, monkeypatch):
    def absent(_name):
        raise ImportError("No module named 'onnx'")

    monkeypatch.setattr(resizing, "import_module", absent)
    with pytest.raises(BackendUnavailable, match=r"512x256 .* 256x256; .* pip install onnx"):
        resized_bundle(person, (512, 256), tmp_path)
    assert load("person", backend="fake").size_wh == person.network.size_wh
