"""Built files as bundles: whole or not at all, and the card tells which file is used."""

from __future__ import annotations

import tomllib

import pytest

onnx = pytest.importorskip("onnx", reason="building needs the extra `train`")

import rtseg  # noqa: E402
from rtseg.builder import bundle_files  # noqa: E402
from rtseg.builder.bundle_files import INT8_NAME, add_int8, write_half_bundle, write_int8_bundle  # noqa: E402
from rtseg.builder.cards import read_tables  # noqa: E402
from rtseg.errors import ConfigError, SinkError  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.models.options import CardOptions  # noqa: E402
from tests.builder.parts import CLASSES, SIZE_WH, bundle_folder, network, pictures  # noqa: E402

pytestmark = pytest.mark.needs_torch

REPORT = {
    "data": "patches",
    "frames": 40,
    "labelled": True,
    "miou_fp32": 0.8,
    "miou": 0.795,
    "label_agreement": 0.99,
    "alpha_mad": None,
    "speed": {"speed_up": 1.4, "against": "bf16"},
    "left_in_higher_precision": {"middle": 0.1},
    "calibration": {"source": "patches", "frames": 8},
}


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(bundle_folder(tmp_path / "colours"))


def other(tmp_path):
    """Another network of the same shape, in the place of a quantized one."""
    return onnx.load(str(network(tmp_path / "other.onnx", half=False)))


def test_a_new_bundle_holds_both_files_the_report_and_a_card_that_names_them(bundle, tmp_path):
    (bundle.folder / "weights.safetensors").write_bytes(b"weights")
    folder = write_int8_bundle(bundle, tmp_path / "new", other(tmp_path), REPORT, "int8")
    assert sorted(p.name for p in folder.iterdir()) == [
        "int8.json",
        INT8_NAME,
        "model.onnx",
        "model.toml",
        "weights.safetensors",
    ]
    found = load_bundle(folder)
    assert (found.name, found.classes, found.training) == ("colours", CLASSES, bundle.training)
    assert found.sha256 == bundle.sha256
    assert found.precisions == ("int8", "fp16")
    assert found.scores["camvid_miou"] == 12.5
    assert found.scores["int8"] == {
        "data": "patches",
        "frames": 40,
        "labelled": True,
        "miou_fp32": 0.8,
        "miou": 0.795,
        "label_agreement": 0.99,
        "speed_up": 1.4,
        "speed_up_against": "bf16",
        "layers_in_higher_precision": 1,
        "calibrated_on": "patches",
    }
    with rtseg.load(folder) as segmenter:
        assert segmenter.info.precision == "int8"
        assert "The int8 file, which the card prefers." in segmenter.backend_reasons
        assert segmenter(pictures(1)[0]).labels.shape == SIZE_WH[::-1]
    with rtseg.load(folder, precision="fp32") as segmenter:
        assert segmenter.info.precision == "fp32"


def test_nothing_that_is_there_is_overwritten_and_nothing_half_is_left(bundle, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="which exists"):
        write_int8_bundle(bundle, bundle.folder, other(tmp_path), REPORT, "int8")
    with pytest.raises(ConfigError, match="Make it first"):
        write_int8_bundle(bundle, tmp_path / "no" / "new", other(tmp_path), REPORT, "int8")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_files, "write_card", full)
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(SinkError, match="No space left"):
        write_int8_bundle(bundle, tmp_path / "new", onnx.load(str(bundle.network.onnx_path)), REPORT, "int8")
    assert sorted({p.name for p in tmp_path.iterdir()} - {"other.onnx"}) == sorted(set(before) - {"other.onnx"})


def test_in_place_the_file_the_card_and_the_scores_are_added(bundle, tmp_path):
    add_int8(bundle, other(tmp_path), REPORT, "fp16")
    found = load_bundle(bundle.folder)
    assert found.precisions == ("fp16", "int8")
    assert found.network_for("int8").onnx_path.name == INT8_NAME
    assert found.scores["int8"]["miou"] == 0.795
    assert read_tables(bundle.folder)["files"]["int8_of"] == bundle.sha256
    assert found.licence == bundle.licence
    with rtseg.load(bundle.folder) as segmenter:
        assert segmenter.info.precision != "int8"
        assert "The float file, which the card prefers to its int8 file." in segmenter.backend_reasons
    add_int8(found, onnx.load(str(bundle.network.onnx_path)), REPORT | {"miou": 0.79}, "int8")
    again = load_bundle(bundle.folder)
    assert again.precisions == ("int8", "fp16")
    assert again.int8_sha256 != found.int8_sha256
    assert not list(bundle.folder.glob(".part*"))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_bundle_loads_wherever_replacing_its_int8_file_is_cut_short(bundle, tmp_path, monkeypatch, step):
    """See Note [In place, whole at every moment]."""
    add_int8(bundle, other(tmp_path), REPORT, "int8")
    bundle = load_bundle(bundle.folder)
    calls = []

    def cut_after(name, function):
        def run(*arguments):
            if len(calls) == step:
                raise KeyboardInterrupt
            calls.append(name)
            return function(*arguments)

        return run

    for name in ("write_card", "_write_report"):
        monkeypatch.setattr(bundle_files, name, cut_after(name, getattr(bundle_files, name)))
    changed = onnx.load(str(bundle.network.onnx_path))
    if step < 3:
        with pytest.raises(KeyboardInterrupt):
            add_int8(bundle, changed, REPORT, "int8")
    else:
        add_int8(bundle, changed, REPORT, "int8")
    found = load_bundle(bundle.folder)
    assert found.precisions == (("fp16",) if step < 3 else ("int8", "fp16"))


def test_a_bare_file_gets_a_card_from_its_options(tmp_path):
    options = CardOptions(
        scale=1 / 255, mean=(0, 0, 0), std=(1, 1, 1), channel_order="RGB", output_kind="logits", classes=CLASSES
    )
    bare = load_bundle(network(tmp_path / "bare.onnx"), options=options)
    folder = write_int8_bundle(bare, tmp_path / "new", other(tmp_path), REPORT, "int8")
    found = load_bundle(folder)
    assert found.network.size_wh == SIZE_WH
    assert (found.classes, found.palette) == (bare.classes, bare.palette)
    assert tomllib.loads((folder / "model.toml").read_text())["input"]["std"] == [1.0, 1.0, 1.0]
    with pytest.raises(ConfigError, match="has no card"):
        add_int8(bare, other(tmp_path), REPORT, "int8")


def test_a_half_bundle_forgets_the_int8_file_of_other_weights(bundle, tmp_path):
    add_int8(bundle, other(tmp_path), REPORT, "int8")
    bundle = load_bundle(bundle.folder)
    folder = write_half_bundle(bundle, tmp_path / "half", onnx.load(str(bundle.network.onnx_path)))
    assert load_bundle(folder).precisions == ("fp16",)
    assert "int8" not in load_bundle(folder).scores
