"""The measure of flicker on masks and paths that are known."""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np
import pytest

import rtseg
from benchmarks.flicker import Flips, calm, lag_frames, moving, unchanged
from tests.evaluate.parts import red_picture


def test_what_moves_is_left_out_with_its_surroundings():
    before = np.full((64, 96), 100, np.uint8)
    after = before.copy()
    after[20:30, 40:50] = 160
    where = unchanged(before, after)
    assert not where["in_place"][20:30, 40:50].any()
    assert where["in_place"][20, 30]
    assert not where["nearby"][20, 35]  # beside the motion: too near to be called calm
    assert where["nearby"][20, 20]
    assert np.all(where["in_place"] | ~where["nearby"])


def test_flips_are_counted_per_pixel_and_second_of_what_does_not_change():
    flips = Flips()
    luma = np.full((64, 64), 100, np.uint8)
    for index in range(11):
        labels = np.zeros((64, 64), np.uint8)
        labels[:32, :32] = index % 2
        flips.add(luma, labels, index / 25)
    assert flips.rates() == {name: pytest.approx(25 / 4) for name in ("nearby", "in_place", "carried")}


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_lag_of_a_path_that_trails_is_found(lag):
    true = np.sin(np.arange(100) / 9) * 30
    assert lag_frames(list(np.roll(true, lag)), list(true)) == pytest.approx(lag, abs=0.1)


def test_a_path_without_motion_has_no_lag():
    assert math.isnan(lag_frames([5.0] * 50, [5.0] * 50))


def swinging(count=40):
    """A red disc that swings on black, with its truth; the fake backend sees red."""
    for index in range(count):
        red = np.zeros((256, 256), np.uint8)
        cv2.circle(red, (round(128 + 60 * math.sin(index / 6)), 128), 40, 255, -1)
        yield rtseg.Frame(red_picture(red), index, index, Fraction(1, 30), 0), red > 127


@pytest.fixture(scope="module")
def person():
    with rtseg.load("person", backend="fake", edges=False) as segmenter:
        yield segmenter


def test_a_model_that_sees_a_moving_disc_loses_nothing_and_does_not_trail(person):
    measured = moving(person, swinging())
    assert measured["frames"] == 40
    assert measured["iou"]["off"] > 99
    assert abs(measured["iou"]["loss_points"]) < 0.5
    assert abs(measured["lag_frames"]["on"]) < 0.1


def test_calm_compares_the_same_frames_with_smoothing_and_without(person):
    pictures = []
    for index in range(12):
        red = np.zeros((256, 256), np.uint8)
        red[64:128, 64:128] = 128 + (2 if index % 2 else -2)
        pictures.append(rtseg.Frame(red_picture(red), index, index, Fraction(1, 25), 0))
    for rates in calm(person, pictures).values():
        assert rates["off"] == pytest.approx(25 / 16, rel=0.1)
        assert rates["on"] < rates["off"] / 5
