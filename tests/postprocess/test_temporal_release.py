"""Smoothing must let go: of whoever has left, of what was mistaken; and it must not let in what is only noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg.postprocess.change import PictureChange, Sensitivity
from rtseg.postprocess.edges import refine_alpha
from rtseg.postprocess.temporal import EDGE_PLAY_LEVELS, AlphaSmoother
from tests.postprocess.test_temporal import (
    FRAMES,
    SIDE,
    centers_x,
    flips_per_pixel_second,
    iou,
    lag_frames,
    moving,
    run,
    scene,
    trembling,
)

EMPTY = np.zeros((SIDE, SIDE), np.uint8)
GONE_SECONDS = 0.3


def room(index, *, noise_levels=2.0):
    """The wall of `scene` with nobody before it."""
    return scene(-200, seed=900 + index, noise_levels=noise_levels)[1]


@pytest.mark.parametrize("fps", [10, 30, 60])
def test_whoever_leaves_leaves_no_ghost(fps):
    smoother = AlphaSmoother()
    for index in range(fps):
        smoother.smooth(scene(128)[0], scene(128, seed=index)[1], index / fps)
    masks = [smoother.smooth(EMPTY, room(index), 1 + index / fps) for index in range(fps)]
    assert masks[0].max() < 128  # the picture changed there, so that at once nobody is shown
    assert max(int(mask.max()) for mask in masks[round(GONE_SECONDS * fps) :]) < 13


@pytest.mark.parametrize("fps", [10, 30, 60])
@pytest.mark.parametrize(("old", "new"), [(255, 0), (0, 255)], ids=["mistaken", "recognised late"])
def test_a_matte_that_insists_is_believed_although_the_picture_stands_still(fps, old, new):
    smoother = AlphaSmoother()
    for index in range(fps):
        smoother.smooth(EMPTY + np.uint8(old), room(index), index / fps)
    late = [smoother.smooth(EMPTY + np.uint8(new), room(index), 1 + index / fps) for index in range(fps)]
    assert not np.any((late[round(GONE_SECONDS * fps)] > 127) != (new > 127))
    assert set(np.unique(late[-1])) == {new}  # not a level of the old one shines through


def test_a_blob_of_one_frame_is_not_shown():
    blob = cv2.circle(EMPTY.copy(), (80, 90), 20, 255, -1)
    smoother = AlphaSmoother()
    shown = [smoother.smooth(blob if index % 6 == 3 else EMPTY, room(index), index / 30) for index in range(36)]
    assert max(int(mask.max()) for mask in shown) < 128


def test_the_pace_is_in_seconds_not_frames():
    halves = {}
    for fps in (15, 60):
        smoother = AlphaSmoother(insistence_hz=0.0)
        smoother.smooth(EMPTY, room(0), 0.0)
        shown = [smoother.smooth(EMPTY + np.uint8(255), room(1), (1 + index) / fps) for index in range(fps)]
        halves[fps] = next(index for index, mask in enumerate(shown) if mask.mean() > 127) / fps
    assert abs(halves[15] - halves[60]) <= 1 / 15


def test_grain_is_not_motion():
    truth, _ = scene(128)
    masks = [trembling(truth, seed=index) for index in range(FRAMES)]
    lumas = [scene(128, seed=index, noise_levels=4.5)[1] for index in range(FRAMES)]
    calm = flips_per_pixel_second(run(AlphaSmoother(), masks, lumas)[5:])
    assert calm < flips_per_pixel_second(masks) / 5


def test_a_change_of_the_same_size_counts_on_a_clean_picture_and_not_on_a_grainy_one():
    def moved_in_the_middle(noise_levels):
        change = PictureChange(Sensitivity(still_levels=1.0, moving_levels=1.0))
        for index in range(3):
            luma = scene(-200, seed=index, noise_levels=noise_levels)[1]
            luma[100:150, 100:150] += np.uint8(5 * (index == 2))
            moved = change.moved(luma, 1 / 30)
        assert moved is not None
        return float(moved[110:140, 110:140].mean())

    assert moved_in_the_middle(0.5) > 0.95
    assert moved_in_the_middle(6.0) < 0.5


def refined(smoother, masks, lumas):
    """What is shown of a stream whose edges are refined, steadied or not."""
    shown = []
    for index, (mask, luma) in enumerate(zip(masks, lumas, strict=True)):
        if smoother is not None:
            mask = smoother.smooth(mask, luma, index / 30)
        full = cv2.resize(luma, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        full += np.random.default_rng(index).integers(0, 6, full.shape, np.uint8)
        sharp = refine_alpha(mask, luma, full)
        shown.append(sharp if smoother is None else smoother.steady(sharp))
    return shown


def test_refined_edges_of_a_still_subject_are_calm_only_because_they_are_steadied():
    truth, _ = scene(128)
    masks = [trembling(truth, seed=index) for index in range(30)]
    lumas = [scene(128, seed=index)[1] for index in range(30)]
    off, on = refined(None, masks, lumas), refined(AlphaSmoother(), masks, lumas)
    restless = AlphaSmoother()
    restless.steady = lambda sharp: sharp
    without = flips_per_pixel_second(refined(restless, masks, lumas)[5:])
    assert flips_per_pixel_second(on[5:]) < flips_per_pixel_second(off) / 5
    assert flips_per_pixel_second(on[5:]) < without / 2


@pytest.mark.parametrize("speed_px", [0.3, 3.0])
def test_refined_edges_of_a_moving_subject_stay_on_it(speed_px):
    truths, masks, lumas = moving(speed_px)
    larger = [cv2.resize(truth, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR) for truth in truths]
    off, on = refined(None, masks, lumas), refined(AlphaSmoother(), masks, lumas)
    scores = [np.mean([iou(mask, truth) for mask, truth in zip(shown, larger, strict=True)]) for shown in (off, on)]
    assert scores[1] > scores[0] - 0.005
    halved = [cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for mask in on]
    assert abs(lag_frames(centers_x(halved), centers_x(truths))) <= 1.0


def test_frames_of_another_size_start_afresh():
    smoother = AlphaSmoother()
    for index in range(3):
        smoother.smooth(EMPTY, room(index), index / 30)
        smoother.steady(EMPTY)
    other = np.full((40, 60), 99, np.uint8)
    np.testing.assert_array_equal(smoother.steady(other), other)


def test_what_is_returned_may_be_written_on():
    truth, luma = scene(128)
    one, other = AlphaSmoother(), AlphaSmoother()
    for index in range(4):
        given = truth.copy()
        shown, same = one.smooth(given, luma, index / 30), other.smooth(truth, luma, index / 30)
        sharp, same_sharp = one.steady(shown), other.steady(same)
        np.testing.assert_array_equal(sharp, same_sharp)
        for written_on in (given, shown, sharp):
            written_on[:] = 77


def test_a_higher_matte_is_never_shown_lower():
    assert EDGE_PLAY_LEVELS < 64
    ramp = np.arange(256, dtype=np.uint8)[None, :].repeat(8, axis=0)
    still = np.full_like(ramp, 128)
    for start in (0, 255):
        smoother = AlphaSmoother()
        smoother.smooth(np.full_like(ramp, start), still, 0.0)
        for index in range(1, 40):
            shown = smoother.smooth(ramp, still, index / 30)
        assert np.all(np.diff(shown[0].astype(int)) >= 0)
        assert (shown[0, 0], shown[0, -1]) == (0, 255)
