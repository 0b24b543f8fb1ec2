"""Two engines have one key exactly when they are interchangeable."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtseg.cuda_device import NO_DEVICE
from rtseg.engine_files.key import DIGEST_LENGTH, EngineKey, engine_key, network_digest
from rtseg.errors import ConfigError
from rtseg.network import NetworkSpec
from rtseg.tensorrt_flavour import Flavour
from tests.engine_files.parts import GPU, key, on_gpu

FLAVOUR = Flavour("tensorrt_rtx", "1.7.1", SimpleNamespace(), "test")


@pytest.fixture
def network(tmp_path) -> NetworkSpec:
    path = tmp_path / "street" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return NetworkSpec(path, (640, 320), 19)


OTHERS = {
    "model_sha256": "b" * 64,
    "network": "others",
    "size_wh": (512, 256),
    "batch": 2,
    "precision": "int8",
    "form": "bytes",
    "flavour": "tensorrt",
    "flavour_version": "1.8",
    "gpu": "NVIDIA Test",
    "compute_capability": "9.0",
    "driver": "580",
    "options": (("level", "5"),),
    "graph_revision": 99,
}


def test_every_field_counts_but_the_name():
    assert set(OTHERS) | {"model"} == {field.name for field in fields(EngineKey)}
    assert key(model="another").digest == key().digest
    digests = {replace(key(), **{name: value}).digest for name, value in OTHERS.items()}
    assert len(digests | {key().digest}) == len(OTHERS) + 1
    assert all(len(digest) == DIGEST_LENGTH for digest in digests)


@pytest.mark.parametrize("name", list(OTHERS))
def test_each_difference_is_told(name):
    told = replace(key(), **{name: OTHERS[name]}).differences(key())
    assert len(told) == 1
    words = {"size_wh": "size 512x256, not 640x320", "gpu": "GPU NVIDIA Test, not none", "batch": "batch 2, not 1"}
    assert words.get(name, "") in told[0]


def test_json_and_back():
    changed = on_gpu(options=(("a", "1"), ("b", "2")))
    assert EngineKey.from_json(changed.to_json()) == changed


def test_ahead_is_the_same_without_the_gpu():
    assert on_gpu().ahead() == key()
    assert key().ahead() == key()


def test_the_key_of_a_network_reads_its_file(network):
    found = engine_key(network, FLAVOUR, GPU, precision="fp16")
    assert found.model == "street"
    assert (found.gpu, found.driver) == (GPU.name, GPU.driver)
    network.onnx_path.write_bytes(b"other weights")
    assert engine_key(network, FLAVOUR, GPU, precision="fp16").differences(found) == ("model file changed",)
    assert engine_key(network, FLAVOUR, NO_DEVICE, precision="fp16").gpu == "none"


@pytest.mark.parametrize(
    "facts",
    [{"mean": (0.5, 0.5, 0.5)}, {"layout": "NHWC"}, {"output_kind": "probability"}, {"channel_order": "BGR"},
     {"output_name": "second"}, {"class_count": 7}],
)  # fmt: skip
def test_what_the_card_says_counts(network, facts):
    assert network_digest(replace(network, **facts)) != network_digest(network)


def test_where_the_file_lies_does_not(network):
    assert network_digest(replace(network, onnx_path=Path("elsewhere.onnx"))) == network_digest(network)


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        ({"precision": "bf16"}, "fp16, int8, fp32"),
        ({"form": "planar"}, "planes, masks, bytes"),
        ({"batch": 0}, "got 0"),
    ],
)
def test_what_no_engine_can_have_is_refused(network, options, telling):
    with pytest.raises(ConfigError, match=telling):
        engine_key(network, FLAVOUR, GPU, **{"precision": "fp16", **options})
