"""Bundles: strict cards, verified files, shipped names."""

from __future__ import annotations

import shutil
import sys

import pytest

from rtseg.errors import ConfigError, EngineError
from rtseg.models.bundle import list_bundles, load_bundle
from rtseg.models.options import CardOptions


def test_a_bundle_folder_gives_everything_its_card_says(bundle_folder):
    bundle = load_bundle(bundle_folder)
    assert (bundle.name, bundle.version, bundle.task, bundle.licence) == ("tiny", "1", "semantic", "Apache-2.0")
    assert bundle.classes == ("red", "green", "blue", "green again")
    assert bundle.palette == ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 128, 0))
    assert bundle.network.size_wh == (32, 16)
    assert bundle.network.mean == (0.485, 0.456, 0.406)
    assert bundle.network.class_count == 4
    assert bundle.default_effect == "tint"
    assert (bundle.smoothing, bundle.edges) == (False, False)
    assert bundle.training["anything"] == {"goes": True}
    assert bundle.scores["camvid_miou"] == 12.5
    assert bundle.has_card


def test_a_file_that_the_card_beside_it_names_is_loaded_with_it(bundle_folder):
    assert load_bundle(bundle_folder / "model.onnx").name == "tiny"


def test_a_changed_model_file_is_refused(bundle_folder):
    model = bundle_folder / "model.onnx"
    changed = bytearray(model.read_bytes())
    changed[-1] ^= 1
    model.write_bytes(changed)
    with pytest.raises(EngineError, match="got sha256"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("channel_order", "chanel_order", r"unknown key input\.chanel_order.*Did you mean 'channel_order'"),
        ("[output]", "[outputs]", r"unknown table \[outputs\].*Did you mean 'output'"),
        ('licence = "Apache-2.0"\n', "", r"got no model\.licence"),
        ("scale = 0.00392156862745098\nmean = [0.485, 0.456, 0.406]\n", "", r"got no input\.scale, input\.mean;"),
        ('task = "semantic"', 'task = "sematic"', r"model\.task: got 'sematic'.*Did you mean 'semantic'"),
        ('task = "semantic"', 'task = "matte"', "expected matte with alpha"),
        ('kind = "logits"', 'kind = "logit"', r"Did you mean 'logits'"),
        ("std = [0.229, 0.224, 0.225]", "std = [0.229, 0.0, 0.225]", r"input\.std.*three positive numbers"),
        ("std = [0.229, 0.224, 0.225]", "std = [0.229, 0.224]", r"input\.std"),
        ("scale = 0.00392156862745098", "scale = true", r"input\.scale"),
        ("scale = 0.00392156862745098", "scale = nan", r"input\.scale"),
        ("size_wh = [32, 16]", 'size_wh = "32x16"', r"input\.size_wh"),
        ('"#0000FF"', '"blue"', r'expected a colour "#rrggbb"'),
        (', "#008000"', "", "got 3 colours; expected 4"),
        ('"green again"', '"green"', "'green', empty or twice"),
        (', "green again"', "", "got 3 colours|got 4 colours"),
        ('onnx = "model.onnx"', 'onnx = "../model.onnx"', "inside the bundle's folder"),
        ('effect = "tint"', "effect = 3", r"defaults\.effect"),
        ('effect = "tint"', "smoothing = 1", r"defaults\.smoothing.*true or false"),
        ("[scores]", "[scores", "invalid TOML"),
        ('onnx = "model.onnx"', 'onnx = "model.onnx"\nint8 = "model.int8.onnx"', "int8_sha256; expected both"),
        ('effect = "tint"', 'precision = "int8"', r"defaults\.precision: got int8 without files\.int8"),
        ('effect = "tint"', 'precision = "bf16"', r"defaults\.precision.*expected one of fp16, int8"),
    ],
)
def test_a_wrong_card_is_one_line_with_the_remedy(bundle_folder, change_card, old, new, message):
    change_card(old, new)
    with pytest.raises(ConfigError, match=message) as failure:
        load_bundle(bundle_folder)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("old", "new"), [("size_wh = [32, 16]", "size_wh = [16, 32]"), ('layout = "NCHW"', 'layout = "NHWC"')]
)
def test_a_card_against_its_file_is_refused(bundle_folder, change_card, old, new):
    change_card(old, new)
    with pytest.raises(EngineError, match=r"got input \[1, 3, 16, 32\]"):
        load_bundle(bundle_folder)


def test_a_card_with_too_few_classes_for_the_file_is_refused(bundle_folder, change_card):
    change_card(', "green again"', "")
    change_card(', "#008000"', "")
    with pytest.raises(ConfigError, match="got 3 class names; expected 4"):
        load_bundle(bundle_folder)


def test_options_beside_a_card_are_refused(bundle_folder):
    with pytest.raises(ConfigError, match=r"got the options scale and a card"):
        load_bundle(bundle_folder, options=CardOptions(scale=1.0))


def test_a_quantised_file_is_verified_and_used_for_int8_only(bundle_folder, change_card):
    shutil.copy(bundle_folder / "model.onnx", bundle_folder / "small.onnx")
    sha256 = load_bundle(bundle_folder).sha256
    change_card('onnx = "model.onnx"', f'onnx = "model.onnx"\nint8 = "small.onnx"\nint8_sha256 = "{sha256}"')
    bundle = load_bundle(bundle_folder)
    assert bundle.network_for("int8").onnx_path.name == "small.onnx"
    assert bundle.network_for("auto").onnx_path.name == "model.onnx"
    (bundle_folder / "small.onnx").write_bytes(b"\x08\x08changed")
    with pytest.raises(EngineError, match="got sha256"):
        load_bundle(bundle_folder)


def test_a_quantised_file_of_another_float_file_is_refused(bundle_folder, change_card):
    shutil.copy(bundle_folder / "model.onnx", bundle_folder / "small.onnx")
    sha256 = load_bundle(bundle_folder).sha256
    files = f'onnx = "model.onnx"\nint8 = "small.onnx"\nint8_sha256 = "{sha256}"\nint8_of = "{{}}"'
    change_card('onnx = "model.onnx"', files.format(sha256))
    assert "int8" in load_bundle(bundle_folder).precisions
    change_card(f'int8_of = "{sha256}"', f'int8_of = "{"0" * 64}"')
    with pytest.raises(ConfigError, match=r"files\.int8_of: got 000000000000.*made from this float file"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize(("preferred", "chosen"), [("int8", "int8"), ("fp16", "auto")])
def test_the_card_says_which_file_is_used_unless_one_is_asked_for(bundle_folder, change_card, preferred, chosen):
    shutil.copy(bundle_folder / "model.onnx", bundle_folder / "small.onnx")
    sha256 = load_bundle(bundle_folder).sha256
    assert load_bundle(bundle_folder).choose_precision(None) == ("auto", ())
    change_card('onnx = "model.onnx"', f'onnx = "model.onnx"\nint8 = "small.onnx"\nint8_sha256 = "{sha256}"')
    change_card('effect = "tint"', f'effect = "tint"\nprecision = "{preferred}"')
    bundle = load_bundle(bundle_folder)
    assert bundle.precisions[0] == preferred
    for asked in (None, "auto"):
        precision, reasons = bundle.choose_precision(asked)
        assert precision == chosen
        assert len(reasons) == 1
        assert "the card prefers" in reasons[0]
    assert bundle.choose_precision("bf16") == ("bf16", ())
    assert bundle.choose_precision("int8") == ("int8", ())


def test_int8_without_a_file_for_it_is_refused(bundle_folder):
    with pytest.raises(ConfigError, match="got int8"):
        load_bundle(bundle_folder).network_for("int8")


def test_a_folder_without_a_card_says_what_a_bundle_is(tmp_path):
    with pytest.raises(ConfigError, match=r"got no model\.toml"):
        load_bundle(tmp_path)


def shipped_in(tmp_path, monkeypatch, bundle_folder):
    """Install a package of shipped bundles that holds one, "tiny"."""
    package = tmp_path / "site" / "rtseg_engines"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "scripts").mkdir()
    shutil.copytree(bundle_folder, package / "tiny")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "rtseg_engines", raising=False)


def test_shipped_bundles_are_found_by_name(tmp_path, monkeypatch, bundle_folder):
    shipped_in(tmp_path, monkeypatch, bundle_folder)
    assert list_bundles() == ("tiny",)
    assert load_bundle("tiny").folder.parent.name == "rtseg_engines"
    with pytest.raises(ConfigError, match=r"got 'tinny'.*Did you mean 'tiny'"):
        load_bundle("tinny")


def test_without_the_package_of_shipped_bundles_the_command_is_named(monkeypatch, bundle_folder):
    monkeypatch.setitem(sys.modules, "rtseg_engines", None)
    with pytest.raises(EngineError, match="pip install"):
        list_bundles()
    with pytest.raises(EngineError, match="pip install"):
        load_bundle("street")
    assert load_bundle(bundle_folder).name == "tiny"


@pytest.mark.parametrize(("name", "task", "count"), [("street", "semantic", 19), ("person", "matte", 2)])
def test_the_bundles_that_ship_load(name, task, count):
    assert name in list_bundles()
    bundle = load_bundle(name)
    assert (bundle.name, bundle.task, len(bundle.classes)) == (name, task, count)
    assert bundle.training
    assert bundle.scores
