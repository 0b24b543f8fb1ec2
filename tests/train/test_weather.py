from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtseg.cityscapes import CITYSCAPES
from rtseg.train import weather
from rtseg.train.augment import PROFILES
from rtseg.train.targets import IGNORED, target_table
from tests.train.pictures import street

TABLE = target_table(tuple(CITYSCAPES), ("camvid11", "idd7"))
KINDS = weather.SceneKinds(TABLE)
SEEDS = range(12)


def view(seed: int = 0) -> weather.View:
    return weather.view_of(street().target, KINDS, np.random.default_rng(seed))


def test_the_scene_is_read_off_the_target():
    found = view()
    assert found.horizon == pytest.approx(0.5, abs=0.05)
    assert found.sky[0].min() == 1
    assert found.road[-1].min() == 1
    assert found.vehicle.sum() > 3
    assert np.allclose(found.vehicle + found.road + found.sky, 1, atol=0.01)


def test_groups_count_where_all_their_classes_are_of_a_kind():
    target = np.full((32, 32), TABLE.members.index((1, 9)), np.uint8)
    assert KINDS.share("road", target, (4, 4)).min() == 1
    assert KINDS.share("vehicle", np.full((32, 32), TABLE.members.index((13, 14, 15, 16)), np.uint8), (4, 4)).min() == 1
    assert KINDS.share("vehicle", np.full((32, 32), TABLE.members.index((12, 17, 18)), np.uint8), (4, 4)).max() == 0


def test_what_stands_is_as_near_as_the_ground_under_it():
    nearness = view().nearness()
    column, foot = 144 // 2 // weather.GRID_STEP + 2, 42 // weather.GRID_STEP
    # The car's roof is above the horizon, yet not farther away than its wheels.
    assert nearness[28 // weather.GRID_STEP, column] == pytest.approx(nearness[foot - 1, column], rel=0.35)
    assert nearness[-1, 0] > 4 * nearness[34 // weather.GRID_STEP, 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_fog_hides_what_is_far_more_than_what_is_near(seed):
    picture = street()
    speckled = picture.rgb.copy()
    speckled[::2, ::2] = 255 - speckled[::2, ::2]
    found = weather.fog(speckled, view(seed), np.random.default_rng(seed)).astype(float)
    assert found[34:36, :20].std() < found[60:, :20].std()
    assert found[60:, :20].std() < speckled[60:, :20].astype(float).std()


@pytest.mark.parametrize("seed", SEEDS)
def test_night_is_dark_above_and_never_black(seed):
    rgb = street().rgb
    found = weather.night(rgb, view(seed), np.random.default_rng(seed)).astype(float)
    assert np.median(found[:16]) < np.median(rgb[:16]) / 2
    assert found.mean() > 12


@pytest.mark.parametrize("seed", SEEDS)
def test_glare_blinds_one_place(seed):
    found = weather.glare(street().rgb, view(seed), np.random.default_rng(seed))
    assert found.min(axis=2).max() > 170
    assert np.median(found[40:].astype(int).max(axis=2)) < 230


@pytest.mark.parametrize("seed", SEEDS)
def test_rain_dulls_the_scene_and_keeps_it_in_place(seed):
    rgb = street().rgb
    found = weather.rain(rgb, view(seed), np.random.default_rng(seed)).astype(int)
    spread, before = np.ptp(found, axis=2).mean(), np.ptp(rgb.astype(int), axis=2).mean()
    assert spread < before
    assert np.abs(np.diff(found[:, :40].mean(axis=(1, 2)))).argmax() == pytest.approx(31, abs=1)


def test_no_weather_is_the_picture_itself_and_each_share_is_kept():
    picture = street()
    rng = np.random.default_rng(0)
    assert weather.weathered(picture.rgb, picture.target, KINDS, PROFILES["plain"], rng) is picture.rgb
    settings = replace(PROFILES["plain"], fog_share=0.3)
    changed = [
        weather.weathered(picture.rgb, picture.target, KINDS, settings, np.random.default_rng(s)) is not picture.rgb
        for s in range(200)
    ]
    assert 0.2 < np.mean(changed) < 0.4


def test_an_unlabelled_picture_has_weather_too():
    picture = street()
    target = np.full_like(picture.target, IGNORED)
    settings = replace(PROFILES["plain"], night_share=1, rain_share=1, fog_share=1)
    blind = weather.view_of(target, KINDS, np.random.default_rng(2))
    assert blind.nearness()[-1].min() > 5 * blind.nearness()[0].max()
    found = weather.weathered(picture.rgb, target, KINDS, settings, np.random.default_rng(2))
    assert found.shape == picture.rgb.shape
    assert found.mean() < picture.rgb.mean()


def test_the_sky_goes_on_where_the_view_leaves_the_picture():
    target = street().target.copy()
    target[:12] = IGNORED
    assert weather.view_of(target, KINDS, np.random.default_rng(0)).sky[0].min() == 1
