from __future__ import annotations

import pytest

from rtseg.errors import ConfigError
from rtseg.train.augment import PROFILES, AugmentSettings, augment_settings, milder


def test_a_table_changes_fields_of_its_profile():
    found = augment_settings({"profile": "street", "fog_share": 0.5})
    assert found.fog_share == 0.5
    assert found.night_share == PROFILES["street"].night_share


def test_a_table_without_profile_changes_the_runs():
    assert augment_settings({"flip": False}, PROFILES["person"]).rotation_degrees == 12.0
    assert augment_settings("", PROFILES["person"]) is not PROFILES["plain"]
    assert augment_settings("", PROFILES["person"]) == PROFILES["person"]


@pytest.mark.parametrize(
    "value",
    ["stret", {"profile": "stret"}, {"fogg_share": 0.1}, {"fog_share": "much"}, {"fog_share": 1.5}, {"flip": 1},
     {"colour": -1.0}, {"smallest_crop": 0.0}, {"smallest_crop": 0.9, "largest_crop": 0.5}, {"blur_share": True}],
)  # fmt: skip
def test_what_cannot_be_right_is_refused(value):
    with pytest.raises(ConfigError, match="augment"):
        augment_settings(value)


def test_only_the_street_has_weather_and_only_people_are_cut_out():
    weather = ("night_share", "glare_share", "rain_share", "fog_share")
    assert all(getattr(PROFILES["street"], name) > 0 for name in weather)
    assert not any(getattr(PROFILES[p], name) for p in ("none", "plain", "person") for name in weather)
    assert PROFILES["person"].cut_out_share > 0 == PROFILES["street"].cut_out_share
    assert AugmentSettings() == PROFILES["plain"]


def test_milder_settings_change_less_and_show_the_same_views():
    street = PROFILES["street"]
    gentle = milder(street, 0.75)
    assert gentle.night_share == pytest.approx(0.25 * street.night_share)
    assert gentle.colour == pytest.approx(0.25 * street.colour)
    assert (gentle.smallest_crop, gentle.largest_crop, gentle.flip) == (street.smallest_crop, street.largest_crop, True)
    assert milder(street, 0.0) is street
    assert milder(street, 1.0).fog_share == 0
