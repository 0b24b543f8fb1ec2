from __future__ import annotations

import pytest

from rtseg.render import driving
from rtseg.render.palette import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, PERSON_CLASSES, lifted


def test_objects_have_more_colour_than_the_road_and_the_road_more_than_scenery():
    opacity = {name: driving.driving_opacity(name, 0.6) for name in CITYSCAPES_CLASSES}
    assert opacity["car"] == opacity["person"] == 0.6
    assert opacity["car"] > opacity["road"] > opacity["sidewalk"] > opacity["building"] > opacity["sky"] > 0
    assert driving.driving_opacity("background", 0.6) == 0


def test_the_drivable_area_is_green_and_cars_are_not_black():
    colors = dict(zip(CITYSCAPES_CLASSES, driving.driving_palette(CITYSCAPES_CLASSES, CITYSCAPES_PALETTE), strict=True))
    assert colors["road"] == driving.DRIVABLE_COLOR
    assert max(colors["car"]) > 170
    assert colors["person"] == (220, 20, 60)
    assert len(set(colors.values())) == 19


@pytest.mark.parametrize("rgb", [(0, 0, 0), (0, 0, 142), (70, 70, 70), (219, 0, 0), (255, 255, 255)])
def test_lifting_keeps_bytes_and_never_darkens(rgb):
    bright = lifted(rgb)
    assert all(0 <= value <= 255 for value in bright)
    assert max(bright) >= max(rgb) - 1


def test_groups_are_two_bits_and_leave_out_what_is_not_drawn():
    codes = driving.group_codes(CITYSCAPES_CLASSES, range(19))
    assert max(codes) <= 3
    code = dict(zip(CITYSCAPES_CLASSES, codes, strict=True))
    assert code["car"] == code["truck"] != code["person"] == code["rider"]
    assert driving.group_codes(CITYSCAPES_CLASSES, (13,)).count(0) == 18


def test_any_class_set_has_groups():
    assert driving.group_codes(PERSON_CLASSES, (1,)) == (0, 3)
    codes = driving.group_codes(("background", "road", "curb", "mark"), range(4))
    assert codes[0] == 0
    assert codes[2] > 0


def test_drivable_classes_are_found_by_name():
    assert driving.drivable_indices(CITYSCAPES_CLASSES, range(19)) == (0,)
    assert driving.drivable_indices(CITYSCAPES_CLASSES, (1, 2)) == ()
