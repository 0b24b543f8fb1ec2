"""The mark on a held frame is seen, in every format and size."""

from __future__ import annotations

import numpy as np
import pytest

from rtseg import color
from rtseg.render.held import DIMMED, mark_held
from rtseg.types import Yuv420, picture_size_wh

RGB = np.full((180, 320, 3), 200, np.uint8)


@pytest.mark.parametrize("kind", ["rgb", "yuv", "rgba"])
def test_the_picture_is_dimmed_and_has_light_words_on_a_dark_panel_in_its_middle(kind):
    given = {
        "rgb": RGB,
        "yuv": color.to_yuv420(RGB, matrix="bt709", full_range=False),
        "rgba": np.dstack([RGB, np.zeros((180, 320), np.uint8)]),
    }[kind]
    marked = mark_held(given)
    assert type(marked) is type(given)
    assert picture_size_wh(marked) == (320, 180)
    rgb = color.to_rgb(marked).astype(int)
    assert abs(rgb[5, 5] - round(200 * DIMMED)).max() <= 2
    middle = rgb[75:105, 90:230]
    assert middle.max() > 180
    assert middle.min() < 60
    if isinstance(marked, Yuv420):
        assert (marked.matrix, marked.full_range) == ("bt709", False)
    if kind == "rgba":
        assert marked[90, 160, 3] > 100  # the words are seen where the picture is cut out
        assert marked[5, 5, 3] == 0


def test_the_given_picture_is_not_written_on():
    before = RGB.copy()
    mark_held(RGB)
    assert np.array_equal(RGB, before)


def test_a_picture_without_room_is_dimmed_only():
    marked = mark_held(np.full((16, 16, 3), 200, np.uint8))
    assert np.unique(marked).tolist() == [round(200 * DIMMED)]
