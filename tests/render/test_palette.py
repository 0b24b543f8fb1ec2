from __future__ import annotations

import itertools

import numpy as np
import pytest

from rtseg.errors import ConfigError
from rtseg.render import palette

HEX = [("#00ff7F", (0, 255, 127)), ("0f8", (0, 255, 136)), (" #123456 ", (18, 52, 86))]


@pytest.mark.parametrize(("text", "rgb"), HEX)
def test_hex_colors(text, rgb):
    assert palette.parse_hex(text) == rgb


@pytest.mark.parametrize("text", ["", "#12345", "green", "#12 456", "#gg0000"])
def test_wrong_hex_colors_are_refused(text):
    with pytest.raises(ConfigError, match="#rrggbb"):
        palette.parse_hex(text)


def test_hex_and_back():
    assert palette.to_hex(palette.parse_hex("#0a1b2c")) == "#0a1b2c"


def test_cityscapes_in_the_order_of_the_train_ids():
    assert palette.CITYSCAPES_CLASSES[0] == "road"
    assert palette.CITYSCAPES_CLASSES[13] == "car"
    assert len(palette.CITYSCAPES_PALETTE) == 19


@pytest.mark.parametrize("count", [7, 19, 40])
def test_generated_colors_are_distinct(count):
    colors = np.array(palette.distinct_palette(count))
    nearest = min(np.abs(a - b).sum() for a, b in itertools.combinations(colors, 2))
    assert nearest >= {7: 90, 19: 40, 40: 15}[count]


def test_default_colors_go_by_name():
    colors = palette.default_palette(("background", "road", "curb"))
    assert colors[1] == palette.CITYSCAPES["road"]
    assert max(colors[0]) < 60
