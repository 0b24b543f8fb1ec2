"""Curves and overlays: what is drawn is where it belongs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.datasets import Sample, Taxonomy
from rtseg.train.curves import (
    PANEL_HEIGHT_PX,
    WIDTH_PX,
    Panel,
    curve_panels,
    draw_curves,
    draw_panel,
    ticks,
)
from rtseg.train.overlays import CELL_WIDTH_PX, GAP_PX, draw_overlays, truth_palette
from rtseg.types import Segmentation

pytestmark = pytest.mark.needs_torch
ROWS = [
    {"step": 1, "samples": 8, "seconds": 1.0, "loss": 2.0, "rate": 1e-3},
    {"step": 2, "samples": 16, "seconds": 2.0, "loss": 1.0, "rate": 5e-4},
    {"step": 2, "samples": 16, "seconds": 2.5, "scores": {"mean": 0.5, "set/miou": 0.5, "set/accuracy": 0.9}},
]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.13, 0.87, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 4700, [0, 1000, 2000, 3000, 4000, 5000]),
        (3, 3, [3, 4]),
        (0, 0, [0, 0.2]),
    ],
)
def test_ticks_are_round_and_enclose_the_range(low, high, expected):
    found = ticks(low, high, 5)
    assert found[0] <= low
    assert found[-1] >= high
    if low != high:
        assert found == pytest.approx(expected)


def test_panels_hold_loss_rate_and_the_sets_own_scores():
    loss, rate, scores = curve_panels(ROWS)
    assert loss.lines == {"loss": [(8, 2), (16, 1)]}
    assert rate.lines == {"rate": [(8, 1e-3), (16, 5e-4)]}
    assert scores.lines == {"set/miou": [(16, 0.5)]}
    assert len(curve_panels(ROWS[:2])) == 2


def test_a_line_goes_through_its_points():
    drawn = draw_panel(Panel("t", {"a": [(0.0, 0.0), (10.0, 1.0)]}))
    assert drawn.shape == (PANEL_HEIGHT_PX, WIDTH_PX, 3)
    coloured = np.argwhere(np.ptp(drawn.astype(int), axis=2) > 60)
    lowest, highest = coloured[coloured[:, 1].argmin()], coloured[coloured[:, 1].argmax()]
    assert lowest[0] > PANEL_HEIGHT_PX - 50  # 0 at the left, at the bottom
    assert highest[0] < 60  # 1 at the right, at the top
    assert highest[1] > WIDTH_PX - 40


def test_curves_with_nothing_or_nan_do_not_fail(tmp_path):
    draw_curves(tmp_path / "none.png", [])
    assert not (tmp_path / "none.png").exists()
    draw_curves(tmp_path / "some.png", [*ROWS, {"step": 3, "samples": 24, "loss": float("nan"), "rate": 0.0}])
    assert cv2.imread(str(tmp_path / "some.png")).shape == (3 * PANEL_HEIGHT_PX, WIDTH_PX, 3)


class Half:
    """Says class 1 in the right half."""

    classes = ("left", "right")

    def __call__(self, rgb):
        labels = np.zeros(rgb.shape[:2], np.uint8)
        labels[:, rgb.shape[1] // 2 :] = 1
        return Segmentation(self.classes, (rgb.shape[1], rgb.shape[0]), network_labels=labels)


def test_a_row_is_picture_truth_prediction(tmp_path):
    rgb = np.full((80, 160, 3), 100, np.uint8)
    truth = np.zeros((80, 160), np.uint8)
    truth[:40] = 255
    draw_overlays(
        tmp_path / "o.png",
        Half(),
        [Sample("x", rgb, truth)],
        Taxonomy("t", ("left", "right")),
        [(255, 0, 0), (0, 0, 255)],
    )
    drawn = cv2.cvtColor(cv2.imread(str(tmp_path / "o.png")), cv2.COLOR_BGR2RGB)
    assert drawn.shape == (160, 3 * CELL_WIDTH_PX + 2 * GAP_PX, 3)
    picture, true, found = (drawn[:, start : start + CELL_WIDTH_PX] for start in (0, 324, 648))
    assert (picture == 100).all()
    assert (true[:80] == 100).all()  # ignored: grey
    assert true[120, 10, 0] > 150 > true[120, 10, 2]
    assert found[10, 10, 0] > 150 > found[10, 10, 2]
    assert found[10, 310, 2] > 150 > found[10, 310, 0]


def test_a_coarse_truth_has_the_colour_of_a_class_it_takes_in():
    taxonomy = Taxonomy("t", ("vehicle", "other"), mapping={"car": "vehicle", "bus": "vehicle"})
    assert truth_palette(taxonomy, ("road", "car", "bus"), [(1, 1, 1), (2, 2, 2), (3, 3, 3)]) == [(2, 2, 2), (0, 0, 0)]


def test_a_matte_is_shown_before_a_backdrop(tmp_path):
    class Matte:
        classes = ("background", "person")

        def __call__(self, rgb):
            alpha = np.full(rgb.shape[:2], 255, np.uint8)
            return Segmentation(self.classes, (rgb.shape[1], rgb.shape[0]), network_alpha=alpha)

    rgb = np.full((80, 160, 3), 100, np.uint8)
    sample = Sample("x", rgb, np.zeros((80, 160), np.uint8), np.zeros((80, 160), np.float32))
    draw_overlays(
        tmp_path / "m.png", Matte(), [sample], Taxonomy("matte", Matte.classes, kind="matte"), [(0, 0, 0)] * 2
    )
    drawn = cv2.cvtColor(cv2.imread(str(tmp_path / "m.png")), cv2.COLOR_BGR2RGB)
    assert drawn[40, 400].tolist() == [20, 160, 90]
    assert drawn[40, 800].tolist() == [100, 100, 100]
