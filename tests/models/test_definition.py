"""A bundle's network in torch computes what its ONNX file computes."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("onnxruntime", reason="needs the extra `train`")

from rtseg.errors import EngineError  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.models.definition import open_network  # noqa: E402

pytestmark = pytest.mark.needs_torch


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", ["street", "person"])
def test_the_planes_are_those_of_the_onnx_file(name):
    bundle = load_bundle(name)
    width, height = bundle.network.size_wh
    batch = np.random.default_rng(1).normal(0, 1, (1, 3, height // 8, width // 8)).astype(np.float32)
    batch = batch.repeat(8, axis=2).repeat(8, axis=3)
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(bundle.network.onnx_path), options, providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: batch})[0]
    with torch.inference_mode():
        found = open_network(bundle)(torch.from_numpy(batch)).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert expected.std() > 0.01  # it says something


def test_opening_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    open_network(load_bundle("person"))
    assert torch.equal(torch.rand(3), expected)


def with_network(table, name="person"):
    bundle = load_bundle(name)
    training = {key: value for key, value in bundle.training.items() if key != "network"}
    return replace(bundle, training=training if table is None else {**training, "network": table})


def test_a_card_without_a_network_says_what_to_use_instead():
    with pytest.raises(EngineError, match=r"names no network; .*Use --backend openvino or tensorrt"):
        open_network(with_network(None))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "DdrNet", "planes": 24, "fine": True}, r"got a weight of .* expected .* as the card's"),
        ({"name": "DdrNett"}, "DdrNet"),
        ({"name": "DdrNet", "width": 3}, "unknown setting 'width'"),
    ],
)
def test_a_card_that_names_another_network_than_the_files_is_refused(table, message):
    with pytest.raises(EngineError, match=message):
        open_network(with_network(table))
