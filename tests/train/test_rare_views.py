"""The view with most of what is rare is taken, and only where it is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtseg.cityscapes import CITYSCAPES
from rtseg.errors import ConfigError
from rtseg.train.augment import PROFILES, AugmentSettings
from rtseg.train.mixing import MixedSource
from rtseg.train.pictures import LabelledPicture, SetSettings
from rtseg.train.rare_views import choose_view, rarity_of
from rtseg.train.targets import IGNORED, target_table
from rtseg.train.warping import view
from tests.train.pictures import ListedSet

TABLE = target_table(tuple(CITYSCAPES))
ROAD, POLE = 0, 5


def with_a_pole() -> LabelledPicture:
    target = np.full((64, 128), ROAD, np.uint8)
    target[:, 4:8] = POLE
    return LabelledPicture(np.zeros((64, 128, 3), np.uint8), target)


def test_what_is_rarer_is_worth_more_and_what_is_absent_or_unknown_nothing():
    worth = rarity_of(np.array([0.9, 0.1, 0.0]))
    assert worth[1] / worth[0] == pytest.approx(3.0)
    assert worth[2] == worth[IGNORED] == 0


def test_the_view_with_the_pole_is_chosen():
    left, right = view((32, 32), (64, 64), (64, 64)), view((96, 32), (64, 64), (64, 64))
    rarity = rarity_of(np.array([0.95, 0, 0, 0, 0, 0.05]))
    for warps in ([left, right], [right, left]):
        assert choose_view(with_a_pole().target, warps, (64, 64), rarity) is left


def poles_seen(**changes) -> float:
    settings = replace(PROFILES["none"], whole_share=0.0, smallest_crop=0.5, largest_crop=0.5, **changes)
    sets = [ListedSet(SetSettings("s", "s", "cityscapes19"), TABLE, [with_a_pole()])]
    source = MixedSource(sets, [1], settings, 0)
    return float(np.mean([(source.draw(index, (64, 32)).target == POLE).any() for index in range(60)]))


def test_rare_things_are_seen_more_often():
    assert poles_seen(rare_share=1.0, rare_views=4) > poles_seen() + 0.2


def test_no_view_is_refused():
    with pytest.raises(ConfigError, match="rare_views"):
        AugmentSettings(rare_views=0)
