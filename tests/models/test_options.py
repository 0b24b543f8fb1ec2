"""ONNX files without a card: what is derived, what must be said, and how what is missing is named."""

from __future__ import annotations

import pytest

from rtseg.cityscapes import CITYSCAPES
from rtseg.errors import ConfigError
from rtseg.models.bundle import load_bundle
from rtseg.models.options import CardOptions, derived_output_layout
from rtseg.models.presets import generated_palette

PLAIN = {"channel_order": "RGB", "scale": 1 / 255, "mean": (0, 0, 0), "std": (1, 1, 1)}


def test_everything_missing_is_named_at_once_with_the_options_that_give_it(tiny_onnx):
    with pytest.raises(ConfigError) as failure:
        load_bundle(tiny_onnx("logits_nchw"))
    text = str(failure.value)
    assert "got no card and no channel_order, scale, mean, std, output_kind, classes (the file has 4 of them)" in text
    for option in ("channel_order=", "scale=", "mean=", "std=", "output_kind=", "classes="):
        assert option in text
    assert "size_wh" not in text  # the file says
    assert "layout=" not in text


def test_class_names_are_not_asked_for_where_the_file_has_one_plane(tiny_onnx):
    with pytest.raises(ConfigError, match=r"got no card and no channel_order, scale, mean, std, output_kind; "):
        load_bundle(tiny_onnx("alpha_nhwc"))


def test_only_what_is_missing_is_named(tiny_onnx):
    options = CardOptions(**{**PLAIN, "mean": None}, output_kind="logits", classes=4)
    with pytest.raises(ConfigError, match=r"got no card and no mean; .* Give mean="):
        load_bundle(tiny_onnx("logits_nchw"), options=options)


@pytest.mark.parametrize(
    ("name", "options", "layouts", "kind"),
    [
        ("logits_nchw", {"output_kind": "logits", "classes": "a,b,c,d"}, ("NCHW", "NCHW"), "logits"),
        ("logits_nhwc", {"output_kind": "logits", "classes": 4}, ("NCHW", "NHWC"), "logits"),
        ("labels_int64", {"classes": ["a", "b", "c", "d"]}, ("NCHW", "NCHW"), "labels"),
        ("probability_4", {"output_kind": "Probability", "classes": 4}, ("NCHW", "NCHW"), "probability"),
    ],
)
def test_semantic_networks(tiny_onnx, name, options, layouts, kind):
    bundle = load_bundle(tiny_onnx(name), options=CardOptions(**PLAIN, **options))
    assert bundle.task == "semantic"
    assert not bundle.has_card
    assert bundle.name == name
    assert bundle.default_effect == "tint"
    network = bundle.network
    assert (network.layout, network.output_layout) == layouts
    assert (network.output_kind, network.class_count, network.size_wh) == (kind, 4, (32, 16))


@pytest.mark.parametrize(("name", "kind"), [("alpha_nhwc", "alpha"), ("probability_2", "probability")])
def test_mattes_need_no_class_names(tiny_onnx, name, kind):
    bundle = load_bundle(tiny_onnx(name), options=CardOptions(**PLAIN, output_kind=kind))
    assert (bundle.task, bundle.classes) == ("matte", ("background", "foreground"))
    assert (bundle.default_effect, bundle.smoothing, bundle.edges) == ("blur", True, True)


def test_a_network_of_any_size_needs_one(tiny_onnx):
    path = tiny_onnx("alpha_any_size")
    with pytest.raises(ConfigError, match="got no card and no size_wh"):
        load_bundle(path, options=CardOptions(**PLAIN, output_kind="alpha"))
    bundle = load_bundle(path, options=CardOptions(**PLAIN, output_kind="alpha", size_wh=(33, 17)))
    assert bundle.network.size_wh == (33, 17)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_wh": (64, 16)}, "got 64x16; expected 32x16, which the file fixes"),
        ({"classes": 5}, "got 5 class names; expected 4"),
        ({"classes": 0}, "classes: got 0"),
        ({"output_name": "logit"}, "Did you mean 'logits'"),
        ({"channel_order": "RBG"}, "channel_order: got 'RBG'"),
        ({"palette": ["#000000"]}, "got 1 colours; expected 4"),
        ({"std": (1, 1)}, "std: got"),
        ({"output_kind": "alpha"}, "for a matte"),
    ],
)
def test_wrong_options_are_refused(tiny_onnx, changes, message):
    options = {**PLAIN, "output_kind": "logits", "classes": 4, **changes}
    with pytest.raises(ConfigError, match=message):
        load_bundle(tiny_onnx("logits_nchw"), options=CardOptions(**options))


@pytest.mark.parametrize(
    ("shape", "size_wh", "classes", "layout"),
    [
        ((1, 19, 512, 1024), (1024, 512), None, "NCHW"),
        ((1, 512, 896, 4), (896, 512), None, "NHWC"),
        ((1, 256, 256, 1), (256, 256), None, "NHWC"),
        ((1, 1, 256, 256), (256, 256), None, "NCHW"),
        ((1, 19, 64, 128), (1024, 512), 19, "NCHW"),
        ((1, 16, 16, 16), (64, 64), 16, None),
        ((1, None, None, 19), (64, 64), 19, "NHWC"),
        ((1, 1, None, None), (64, 64), None, "NCHW"),
    ],
)
def test_output_layout_follows_from_the_shapes_or_is_asked_for(shape, size_wh, classes, layout):
    assert derived_output_layout(shape, size_wh, classes) == layout


def test_the_cityscapes_preset_has_the_usual_classes_and_colours(tiny_onnx):
    options = CardOptions(**PLAIN, classes="cityscapes")
    bundle = load_bundle(tiny_onnx("labels_int64"), options=options)
    assert len(bundle.classes) == 19
    assert bundle.classes[0] == "road"
    assert bundle.classes[18] == "bicycle"
    assert bundle.palette[0] == (128, 64, 128)
    assert bundle.default_effect == "driving"


def test_generated_colours_are_distinct_and_known_classes_keep_theirs():
    names = ("background", "road", *(f"class {n}" for n in range(40)))
    palette = generated_palette(names)
    assert palette[0] == (0, 0, 0)
    assert palette[1] == CITYSCAPES["road"]
    assert len(set(palette)) == len(names)
