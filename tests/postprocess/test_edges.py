"""Edge refinement against a known soft edge: closer than plain scaling, and never worse where there is no edge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg import geometry
from rtseg.errors import ConfigError
from rtseg.postprocess.edges import refine_alpha

HEIGHT, WIDTH, SMALL = 360, 640, 128


def scene(subject_level, wall_level, *, seed=1):
    """A subject with round and straight borders: true matte and luma, uint8 [360, 640] each."""
    matte = np.zeros((HEIGHT * 2, WIDTH * 2), np.uint8)
    cv2.ellipse(matte, (640, 420), (250, 300), 10, 0, 360, 255, -1)
    cv2.fillPoly(matte, [np.array([[950, 150], [1100, 130], [1150, 550], [1070, 580]])], 255)
    truth = cv2.resize(cv2.GaussianBlur(matte, (0, 0), 1.6), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(seed)
    wall = cv2.resize(wall_level + rng.normal(0, 12, (4, 7)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    share = truth / 255
    luma = subject_level * share + wall * (1 - share) + rng.normal(0, 2, share.shape)
    return truth, np.clip(luma, 0, 255).astype(np.uint8)


def network_matte(truth):
    return cv2.GaussianBlur(cv2.resize(truth, (SMALL, SMALL), interpolation=cv2.INTER_AREA), (0, 0), 1.0)


def refined(truth, luma, **options):
    return refine_alpha(network_matte(truth), geometry.resize_linear(luma, (SMALL, SMALL)), luma, **options)


def mean_difference(matte, truth):
    return float(np.abs(matte.astype(float) - truth).mean()) / 255


@pytest.mark.parametrize(("subject_level", "wall_level"), [(60, 180), (190, 70)])
def test_a_sharp_edge_comes_back(subject_level, wall_level):
    truth, luma = scene(subject_level, wall_level)
    scaled = geometry.resize_linear(network_matte(truth), (WIDTH, HEIGHT))
    assert mean_difference(refined(truth, luma), truth) < 0.35 * mean_difference(scaled, truth)


def test_without_contrast_it_is_no_worse_than_scaling():
    truth, luma = scene(120, 120)
    scaled = geometry.resize_linear(network_matte(truth), (WIDTH, HEIGHT))
    assert mean_difference(refined(truth, luma), truth) < 1.05 * mean_difference(scaled, truth)


def test_a_busy_wall_is_not_taken_for_the_subject():
    truth, luma = scene(120, 120)
    stripes = np.where(np.arange(WIDTH) // 6 % 2, 60, 180).astype(np.uint8)[None, :]
    luma = np.where(truth > 127, luma, stripes).astype(np.uint8)
    scaled = geometry.resize_linear(network_matte(truth), (WIDTH, HEIGHT))
    assert mean_difference(refined(truth, luma), truth) < 1.2 * mean_difference(scaled, truth)


def test_clear_areas_stay_exact_and_nothing_glows():
    truth, luma = scene(60, 180)
    matte = refined(truth, luma)
    reach = np.ones((41, 41), np.uint8)
    outside, inside = cv2.dilate(truth, reach) == 0, cv2.erode(truth, reach) == 255
    assert outside.any()
    assert inside.any()
    assert (matte[outside] == 0).all()
    assert (matte[inside] == 255).all()
    near = (cv2.dilate(truth, np.ones((9, 9), np.uint8)) == 0) & ~outside
    assert matte[near].mean() < 4


@pytest.mark.parametrize("level", [0, 255, 128])
def test_a_flat_matte_stays_flat(level):
    _, luma = scene(60, 180)
    flat = np.full((SMALL, SMALL), level, np.uint8)
    out = refine_alpha(flat, geometry.resize_linear(luma, (SMALL, SMALL)), luma)
    assert out.shape == luma.shape
    assert (out == level).all()


def test_sizes_that_differ_are_refused():
    with pytest.raises(ConfigError, match="of one size"):
        refine_alpha(np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8), np.zeros((8, 8), np.uint8))
