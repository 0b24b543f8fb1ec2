from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg.render import effects
from rtseg.render.outline import edge_level, line_table, separate_codes
from rtseg.types import Segmentation
from tests.render.parts import composite

ROAD_SKY = ("road", "car", "sky")


def half_plane(angle_degrees, *, side=64):
    """Labels with one straight border through the middle."""
    ys, xs = np.mgrid[:side, :side] + 0.5 - side / 2
    angle = np.radians(angle_degrees)
    return np.where(xs * np.cos(angle) + ys * np.sin(angle) > 0, 2, 1).astype(np.uint8)


def drawn_line(labels, text, size_wh):
    """The opacity of a white line on black, 0..1, float [H, W]."""
    result = Segmentation(ROAD_SKY, size_wh, network_labels=labels)
    black = np.zeros((*size_wh[::-1], 3), np.uint8)
    effect = effects.parse_effect(text, classes=ROAD_SKY)
    return composite(effect, black, result)[..., 0] / 255


@pytest.mark.parametrize("angle_degrees", [0, 30, 45, 75, 90])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_line_has_its_width_in_every_direction(angle_degrees, scale):
    side = 64 * scale
    line = drawn_line(half_plane(angle_degrees), f"outline:width={4 * 720 / side},color=#ffffff", (side, side))
    middle = line[side // 4 : -side // 4, side // 4 : -side // 4]
    length = side / 2 / max(abs(np.cos(np.radians(angle_degrees))), abs(np.sin(np.radians(angle_degrees))))
    assert middle.sum() / length == pytest.approx(4, rel=0.25)
    assert middle.max() > 0.97


def test_a_line_lies_on_the_border_and_is_antialiased():
    line = drawn_line(half_plane(0), "outline:width=20,color=#ffffff", (256, 256))
    across = line[128]
    assert (across * (np.arange(256) + 0.5)).sum() / across.sum() == pytest.approx(128, abs=0.3)
    slanted = drawn_line(half_plane(20), "outline:width=20,color=#ffffff", (256, 256))
    assert ((slanted > 0.05) & (slanted < 0.95)).sum() > 0.2 * (slanted > 0.05).sum()


def test_far_from_a_border_nothing_is_drawn():
    for size_wh in ((32, 32), (64, 64), (256, 256), (1000, 700)):
        labels = half_plane(0)
        labels[labels == 1] = 0  # the road, whose line is bold
        line = drawn_line(labels, "driving:opacity=0,legend=no", size_wh)
        assert line.max() > 0.2
        assert line[:, : size_wh[0] // 3].max() == 0
        assert line[:, -size_wh[0] // 3 :].max() == 0


def test_the_line_of_the_road_is_the_bolder_one():
    road = np.where(half_plane(0) == 1, 0, 2).astype(np.uint8)
    amount = {
        name: drawn_line(labels, "driving:opacity=0,legend=no", (1280, 720)).sum()
        for name, labels in (("road", road), ("car", half_plane(0)))
    }
    assert amount["road"] > 1.5 * amount["car"] > 0


def test_a_line_in_the_colors_of_the_classes():
    result = Segmentation(("background", "person"), (128, 128), network_labels=half_plane(0) - 1)
    drawn = composite(effects.Outline(width=30), np.zeros((128, 128, 3), np.uint8), result)
    ys, xs = np.nonzero(drawn.max(axis=2) > 200)
    assert len(xs)
    assert set(map(tuple, drawn[ys, xs])) <= {tuple(drawn[ys[0], xs[0]])} or np.ptp(drawn[ys, xs], axis=0).max() < 60
    assert drawn[ys[0], xs[0], 2] > drawn[ys[0], xs[0], 0]  # the person is blue


def test_the_outline_of_a_matte_follows_one_half():
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    result = Segmentation(("background", "person"), (256, 256), network_alpha=ramp)
    drawn = composite(effects.Outline(color="#ffffff"), np.zeros((256, 256, 3), np.uint8), result)
    xs = np.nonzero(drawn[128, :, 0])[0]
    assert abs(xs.mean() - 127.5) < 4


def test_the_table_is_empty_far_away_and_full_on_the_border():
    table = line_table(2.0, 2.0, 1.0)
    assert table[0] == table[edge_level(2.0, 2.0) - 1] == 0
    assert table[127] == 255
    assert (np.diff(table.astype(int)) >= 0).all()


def test_codes_leave_out_what_is_not_named():
    assert separate_codes((1, 3), 5) == (0, 1, 0, 2, 0)


def test_a_curve_has_no_stairs():
    """The distance of the line from the centre of a circle hardly varies, though the labels are square pixels."""
    labels = np.ones((64, 64), np.uint8)
    cv2.circle(labels, (32, 32), 20, 2, -1)
    line = drawn_line(labels, "outline:width=8,color=#ffffff", (512, 512))
    ys, xs = np.nonzero(line > 0.5)
    distances = np.hypot(xs - 260, ys - 260)
    assert distances.std() < 4.5  # network pixels are 8 wide


@pytest.mark.parametrize("size_wh", [(1, 1), (2, 2), (16, 16)])
def test_a_frame_of_a_few_pixels_under_a_large_mask_is_drawn(size_wh):
    labels = half_plane(0, side=256)
    assert drawn_line(labels, "outline:color=#ffffff,width=2", size_wh).shape == size_wh[::-1]
