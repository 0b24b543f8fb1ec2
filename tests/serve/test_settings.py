"""Settings: checked values, and the effects that they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.errors import ConfigError
from rtseg.models.bundle import load_bundle
from rtseg.render.effects import Blur, Driving, Nothing, Replace, Tint
from rtseg.serve.settings import Settings, changed, default_settings, effects_for_model, effects_of

PERSON, STREET = load_bundle("person"), load_bundle("street")


def picture_of(number: str) -> Path:
    return Path(f"background-{number}.jpg")


def test_a_patch_changes_what_it_names_and_nothing_else():
    first = default_settings(PERSON)
    assert first == Settings("person", "blur", smoothing=True)
    assert changed(first, {}) == first
    second = changed(first, {"strength": 1, "hidden": ["person"], "color": "#00ff00"})
    assert (second.strength, second.hidden, second.color, second.effect) == (1.0, ("person",), "#00ff00", "blur")
    assert changed(second, {"color": None}).color is None


@pytest.mark.parametrize(
    "patch",
    [
        None,
        [],
        "blur",
        {"effects": "blur"},
        {"effect": "cutout"},
        {"effect": ["blur"]},
        {"strength": True},
        {"strength": float("nan")},
        {"strength": -0.1},
        {"strength": "0.5"},
        {"color": "red"},
        {"color": "#12345g"},
        {"smoothing": 1},
        {"hidden": "person"},
        {"hidden": ["x"] * 300},
        {"hidden": [1]},
        {"model": ""},
        {"model": "x" * 300},
        {"background": 7},
        {"background": "x" * 100},
        {"x" * 1000: 1},
    ],
)
def test_what_cannot_be_right_is_refused_in_one_short_line(patch):
    with pytest.raises(ConfigError) as refused:
        changed(default_settings(PERSON), patch)
    assert "expected" in str(refused.value)
    assert len(str(refused.value)) < 600


def test_settings_become_effects():
    assert effects_of(Settings("person", "blur", strength=0.3), PERSON, picture_of) == (Blur(strength=0.3),)
    assert effects_of(Settings("street", "driving"), STREET, picture_of) == (Driving(),)
    assert effects_of(Settings("person", "none"), PERSON, picture_of) == (Nothing(),)
    colored = Settings("person", "replace", color="#010203")
    assert effects_of(colored, PERSON, picture_of) == (Replace(color="#010203"),)
    pictured = Settings("person", "replace", color="#010203", background="7")
    assert effects_of(pictured, PERSON, picture_of) == (Replace(source="background-7.jpg"),)


def test_hidden_classes_are_not_drawn():
    (effect,) = effects_of(Settings("street", "tint", hidden=("road", "sky")), STREET, picture_of)
    assert isinstance(effect, Tint)
    assert effect.classes == tuple(name for name in STREET.classes if name not in ("road", "sky"))
    assert effects_of(Settings("street", "tint", hidden=STREET.classes), STREET, picture_of) == (Nothing(),)
    assert effects_of(Settings("street", "tint", hidden=("unicorn",)), STREET, picture_of) == (Tint(),)


def test_each_model_is_offered_what_suits_it_its_own_first():
    assert effects_for_model(PERSON)[0] == "blur"
    assert effects_for_model(STREET)[0] == "driving"
    assert "driving" not in effects_for_model(PERSON)


def test_the_effect_of_the_command_line_is_taken_over():
    assert default_settings(PERSON, "blur:strength=0.9").strength == 0.9
    assert default_settings(PERSON, "replace:color=#123456").color == "#123456"
    with pytest.raises(ConfigError, match="cutout"):
        default_settings(PERSON, "cutout")
    with pytest.raises(ConfigError, match="glitter"):
        default_settings(PERSON, "glitter")
