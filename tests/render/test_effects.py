from __future__ import annotations

import subprocess
import sys

import pytest

from rtseg.errors import ConfigError
from rtseg.render import effects
from rtseg.render.effects import class_indices, parse_effect, parse_effects
from rtseg.render.palette import CITYSCAPES_CLASSES, PERSON_CLASSES

PARSED = [
    ("driving", effects.Driving()),
    ("Driving:legend=no,outlines=off", effects.Driving(legend=False, outlines=False)),
    ("blur:strength=0.6", effects.Blur(0.6)),
    ("blur:0.6", effects.Blur(0.6)),
    ("blur:60%", effects.Blur(0.6)),
    ("replace:#0f0", effects.Replace(color="#0f0")),
    ("replace:color=#00ff00", effects.Replace(color="#00ff00")),
    ("tint:opacity=0.4,classes=road+car", effects.Tint(0.4, ("road", "car"))),
    ("tint:classes=traffic_light", effects.Tint(classes=("traffic light",))),
    ("outline:3,color=#fff", effects.Outline(3.0, "#fff")),
    ("spotlight:grey", effects.Spotlight("grey")),
    ("cutout", effects.Cutout()),
    ("cutout:no", effects.Cutout(False)),
    ("none", effects.Nothing()),
]


@pytest.mark.parametrize(("text", "effect"), PARSED)
def test_texts_become_effects(text, effect):
    assert parse_effect(text, classes=CITYSCAPES_CLASSES) == effect


REFUSED = [
    ("glow", "expected one of driving, tint, outline"),
    ("", "expected one of driving"),
    ("blur:strenght=1", "of strength, classes"),
    ("blur:0.5,0.6", "KEY=VALUE, each key once"),
    ("blur:0.5,strength=0.6", "each key once"),
    ("blur:2", "from 0 to 1"),
    ("blur:nan", "from 0 to 1"),
    ("blur:much", "from 0 to 1"),
    ("none:1", "expected no options"),
    ("driving:legend=maybe", "yes or no"),
    ("outline:-1", "above 0"),
    ("outline:color=red", "#rrggbb"),
    ("spotlight:pink", "dark or grey"),
    ("replace", "expected one of them"),
    ("replace:source=a.jpg,color=#000000", "expected one of them"),
    ("replace:no_such_beach.jpg", "picture or video file"),
    ("tint:classes=", "class names"),
    ("tint:classes=road+unicorn", "'unicorn'; expected among road"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_wrong_texts_are_refused_with_a_way_out(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_effect(text, classes=CITYSCAPES_CLASSES)
    assert "got" in str(caught.value)


def test_effects_are_stacked_in_order():
    assert parse_effects(["blur:0.3", "tint"]) == (effects.Blur(0.3), effects.Tint())


def test_a_source_may_hold_colons(tmp_path):
    path = tmp_path / "a:b.png"
    path.write_bytes(b"")
    assert parse_effect(f"replace:{path}") == effects.Replace(str(path))


def test_the_subject_is_what_is_not_background():
    assert class_indices(effects.Blur(), PERSON_CLASSES) == (1,)
    assert class_indices(effects.Tint(), PERSON_CLASSES) == (1,)
    assert class_indices(effects.Tint(), CITYSCAPES_CLASSES) == tuple(range(19))


def test_on_a_street_the_subject_is_what_moves():
    names = {CITYSCAPES_CLASSES[index] for index in class_indices(effects.Spotlight(), CITYSCAPES_CLASSES)}
    assert names == set(effects.DEFAULT_SUBJECTS)


def test_named_classes_are_the_subject():
    assert class_indices(effects.Blur(classes=("Traffic-Light",)), CITYSCAPES_CLASSES) == (6,)


def test_without_a_subject_the_classes_must_be_named():
    with pytest.raises(ConfigError, match="classes=NAME"):
        class_indices(effects.Blur(), ("road", "curb"))


def test_every_effect_can_be_made_from_its_name_and_is_in_the_help():
    for name in effects.effect_names():
        text = "replace:#000000" if name == "replace" else name
        assert parse_effect(text).name == name
        assert name in effects.effect_help()
        assert all(f"{key}=" in effects.effect_help() for key in effects.effect_keys(name))


def test_only_the_cutout_has_alpha():
    assert effects.has_alpha([effects.Blur(), effects.Cutout()])
    assert not effects.has_alpha([effects.Blur()])


def test_the_language_needs_neither_opencv_nor_numpy():
    code = "import sys, rtseg.render.effects; print(*({'cv2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
