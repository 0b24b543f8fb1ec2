from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg import color
from rtseg.render import effects, panels
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.render.hud import HudState
from rtseg.render.palette import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from rtseg.types import Segmentation
from tests.render.parts import as_yuv, colorful, composite, frame_of, street_result

HUD = HudState(31.24, 23.6, 2)


def test_the_line_says_what_is_known():
    assert HUD.line() == "31.2 fps   age 24 ms   drops 2"
    assert HudState().line() == "drops 0"


def overlay_box(size_wh, hud=None, *, text="driving:opacity=0,outlines=no"):
    """Where the panels are drawn: the difference from the frame, bool [H, W]."""
    picture = np.full((size_wh[1], size_wh[0], 3), 200, np.uint8)
    drawn = composite(effects.parse_effect(text), picture, street_result(size_wh), hud=hud)
    return np.abs(drawn.astype(int) - 200).max(axis=2) > 20


@pytest.mark.parametrize("size_wh", [(320, 240), (640, 360), (960, 540), (1080, 1920), (3840, 2160)])
def test_the_legend_is_readable_and_leaves_the_picture_alone(size_wh):
    box = overlay_box(size_wh)
    ys, xs = np.nonzero(box)
    assert xs.max() < size_wh[0] * 0.55
    assert ys.max() < size_wh[1] * 0.55
    assert box.mean() < 0.22
    assert panels.text_px(size_wh) >= 7
    assert panels.text_px(size_wh) >= size_wh[1] / 110 or size_wh[0] < size_wh[1]


@pytest.mark.parametrize("size_wh", [(160, 120), (400, 180), (64, 400), (33, 17)])
def test_small_frames_have_no_legend_and_the_hud_only_where_it_fits(size_wh):
    assert not overlay_box(size_wh).any()
    overlay_box(size_wh, HUD)


def test_the_hud_is_at_the_top_right_and_changes_with_its_numbers():
    size_wh = (640, 360)
    first = overlay_box(size_wh, HUD, text="driving:opacity=0,outlines=no,legend=no")
    ys, xs = np.nonzero(first)
    assert xs.min() > 320
    assert ys.max() < 60
    assert (overlay_box(size_wh, HudState(8.0), text="driving:opacity=0,outlines=no,legend=no") != first).any()
    assert not overlay_box(size_wh, HUD, text="driving:opacity=0,outlines=no,legend=no,hud=no").any()


def test_panels_look_the_same_in_planes():
    size_wh = (640, 360)
    rgb = color.to_rgb(as_yuv(cv2.GaussianBlur(colorful(size_wh), (0, 0), 6)))
    effect, result = effects.parse_effect("driving:opacity=0,outlines=no"), street_result(size_wh)
    through_planes = color.to_rgb(composite(effect, as_yuv(rgb), result, hud=HUD)).astype(int)
    apart = np.abs(through_planes - composite(effect, rgb, result, hud=HUD))
    assert apart.mean() < 1.5
    assert np.quantile(apart, 0.99) < 12


def shares_shown(compositor, labels, seconds):
    result = Segmentation(CITYSCAPES_CLASSES, (640, 360), network_labels=labels)
    compositor.composite(frame_of(colorful((640, 360)), seconds=seconds), result)
    legend = next(part for part in compositor._painters if isinstance(part, panels.LegendPainter))
    assert legend._drawn is not None
    return {row.name: row.share for row in legend._drawn[0]}


def test_shares_are_sorted_settle_slowly_and_leave_out_what_is_hardly_there():
    road, sky = np.zeros((32, 64), np.uint8), np.full((32, 64), 10, np.uint8)
    road[0, :5] = 11  # 0.2 %
    effect = effects.parse_effect("driving")
    with CpuCompositor([effect], classes=CITYSCAPES_CLASSES, palette=CITYSCAPES_PALETTE) as compositor:
        assert shares_shown(compositor, road, 0.0) == {"road": 1.0}
        assert shares_shown(compositor, sky, 0.1) == {"road": 1.0}  # written a few times a second
        soon = shares_shown(compositor, sky, 0.3)
        assert 0.2 < soon["sky"] < 0.6
        assert list(soon) == ["road", "sky"]
        for step in range(1, 20):
            late = shares_shown(compositor, sky, 0.3 + step * 0.25)
        assert late == {"sky": 1.0}


def test_the_panel_keeps_its_width_whatever_is_in_sight():
    rows = [panels.Row("road", (1, 2, 3), 0.5), panels.Row("traffic light", (4, 5, 6), 0.1)]
    widths = {panels.legend_panel(rows[:count], (960, 540), 90).alpha.shape[1] for count in (1, 2)}
    assert len(widths) == 1
