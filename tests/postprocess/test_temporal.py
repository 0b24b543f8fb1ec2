"""Smoothing measured on synthetic footage: flicker where nothing moves, accuracy and lag where something does."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from rtseg.errors import ConfigError
from rtseg.postprocess.temporal import AlphaSmoother, LabelSmoother

SIDE = 256
FRAMES = 60


def scene(center_x, *, seed=0, noise_levels=2.0, light_levels=0.0):
    """A dark disc on a bright wall: its true matte and its luma with camera noise, uint8 [256, 256] each."""
    finer = np.zeros((SIDE * 2, SIDE * 2), np.uint8)
    cv2.circle(finer, (round(center_x * 16) * 2, SIDE * 16 + 1), 50 * 32, 255, -1, cv2.LINE_AA, shift=4)
    truth = cv2.resize(finer, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    share = truth / 255
    wall = 150 + 20 * np.sin(np.arange(SIDE) / 9)[None, :] + 10 * np.cos(np.arange(SIDE) / 5)[:, None]
    luma = wall * (1 - share) + 70 * share + light_levels
    luma += np.random.default_rng(seed).normal(0, noise_levels, luma.shape)
    return truth, np.clip(luma, 0, 255).astype(np.uint8)


def trembling(truth, *, seed):
    """The matte as a network gives it: soft, and with an edge that wanders from frame to frame."""
    rng = np.random.default_rng(seed)
    wander = cv2.resize(rng.normal(0, 90, (32, 32)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(truth, (0, 0), 2).astype(np.float32)
    edge = 4 * (soft / 255) * (1 - soft / 255)
    return np.clip(soft + wander * edge, 0, 255).astype(np.uint8)


def flips_per_pixel_second(masks, *, where=None, fps=30.0):
    """How often a pixel changes sides of one half (or its label), per pixel and second."""
    sides = [mask > 127 if mask.max() > 40 else mask for mask in masks]
    flips = np.mean([(a != b)[... if where is None else where].mean() for a, b in pairwise(sides)])
    return float(flips) * fps


def iou(mask, truth):
    first, second = mask > 127, truth > 127
    return float((first & second).sum() / (first | second).sum())


def run(smoother, masks, lumas):
    pairs = zip(masks, lumas, strict=True)
    return [smoother.smooth(mask, luma, index / 30) for index, (mask, luma) in enumerate(pairs)]


def centers_x(masks):
    return np.array([(mask.astype(float) * np.arange(SIDE)).sum() / mask.astype(float).sum() for mask in masks])


def lag_frames(shown, true):
    """By how many frames a path trails another: the peak of their cross-correlation, between frames by a parabola."""
    shown, true = np.diff(shown), np.diff(true)
    shown, true = shown - shown.mean(), true - true.mean()
    lags = np.arange(-6, 7)
    inner = slice(6, -6)
    scores = np.array([(shown[inner] * np.roll(true, lag)[inner]).sum() for lag in lags])
    best = int(np.clip(scores.argmax(), 1, len(lags) - 2))
    left, middle, right = scores[best - 1 : best + 2]
    return float(lags[best] + 0.5 * (left - right) / (left - 2 * middle + right))


@pytest.fixture(scope="module")
def still():
    truth, _ = scene(128)
    lumas = [scene(128, seed=index)[1] for index in range(FRAMES)]
    return truth, [trembling(truth, seed=index) for index in range(FRAMES)], lumas


def moving(speed_px):
    """A disc that swings to and fro with this speed at most."""
    phases = 2 * np.pi * np.arange(FRAMES) / 20
    xs = 128 + speed_px * 20 / (2 * np.pi) * np.sin(phases)
    pairs = [scene(x, seed=index) for index, x in enumerate(xs)]
    truths, lumas = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return truths, [trembling(truth, seed=index) for index, truth in enumerate(truths)], lumas


def test_a_still_subject_flickers_at_least_five_times_less(still):
    _, masks, lumas = still
    before = flips_per_pixel_second(masks)
    after = flips_per_pixel_second(run(AlphaSmoother(), masks, lumas)[5:])
    assert before > 0.05  # the footage does flicker
    assert after < before / 5


@pytest.mark.parametrize("speed_px", [0.3, 1.0, 3.0, 8.0])
def test_a_moving_subject_keeps_its_edge_and_does_not_trail(speed_px):
    truths, masks, lumas = moving(speed_px)
    shown = run(AlphaSmoother(), masks, lumas)
    before = np.mean([iou(mask, truth) for mask, truth in zip(masks, truths, strict=True)])
    after = np.mean([iou(mask, truth) for mask, truth in zip(shown, truths, strict=True)])
    assert after > before - 0.005
    assert abs(lag_frames(centers_x(shown), centers_x(truths))) <= 1.0


def test_the_measures_see_what_a_plain_average_does():
    truths, masks, _ = moving(8.0)
    average = masks[0].astype(np.float32)
    shown = []
    for mask in masks:
        average += (mask - average) * np.float32(0.2)
        shown.append(average.astype(np.uint8))
    before = np.mean([iou(mask, truth) for mask, truth in zip(masks, truths, strict=True)])
    assert np.mean([iou(mask, truth) for mask, truth in zip(shown, truths, strict=True)]) < before - 0.05
    assert lag_frames(centers_x(shown), centers_x(truths)) > 1.0


def test_a_change_of_light_is_not_motion(still):
    _, masks, _ = still
    lumas = [scene(128, seed=index, light_levels=index % 7 * 3.0)[1] for index in range(FRAMES)]
    assert flips_per_pixel_second(run(AlphaSmoother(), masks, lumas)[5:]) < flips_per_pixel_second(masks) / 4


@pytest.mark.parametrize(
    ("pts_seconds", "luma"), [(9.0, "same"), (-1.0, "same"), (2.0, "cut")], ids=["gap", "backwards", "cut"]
)
def test_a_cut_or_a_jump_starts_afresh(still, pts_seconds, luma):
    _, masks, lumas = still
    smoother = AlphaSmoother()
    run(smoother, masks, lumas)
    other = cv2.GaussianBlur(255 - lumas[0] // 2, (0, 0), 9) if luma == "cut" else lumas[0]
    other = np.roll(other, SIDE // 3, axis=1) // (3 if luma == "cut" else 1)
    fresh = np.zeros_like(masks[0])
    np.testing.assert_array_equal(smoother.smooth(fresh, other, pts_seconds), fresh)


def test_without_a_jump_the_old_matte_stays(still):
    _, masks, lumas = still
    smoother = AlphaSmoother()
    run(smoother, masks, lumas)
    assert smoother.smooth(np.zeros_like(masks[0]), lumas[0], FRAMES / 30).max() > 100


def test_another_size_starts_afresh(still):
    _, masks, lumas = still
    for smoother in (AlphaSmoother(), LabelSmoother()):
        smoother.smooth(masks[0], lumas[0], 0.0)
        small = np.full((9, 7), 3, np.uint8)
        np.testing.assert_array_equal(smoother.smooth(small, small, 1 / 30), small)


def test_sizes_that_differ_are_refused():
    with pytest.raises(ConfigError, match="of one size"):
        AlphaSmoother().smooth(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))


def restless(labels, *, seed, share=0.15):
    """Labels of which some patches say another class, others in every frame."""
    rng = np.random.default_rng(seed)
    patches = cv2.resize((rng.random((64, 64)) < share).astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    return np.where(patches > 0, (labels + rng.integers(1, 3)) % 19, labels).astype(np.uint8)


def test_labels_flicker_at_least_five_times_less(still):
    truth, _, lumas = still
    labels = [restless(np.where(truth > 127, 11, 2).astype(np.uint8), seed=index) for index in range(FRAMES)]
    shown = run(LabelSmoother(), labels, lumas)
    assert flips_per_pixel_second(shown[5:]) < flips_per_pixel_second(labels) / 5
    assert set(np.unique(np.stack(shown))) <= set(np.unique(np.stack(labels)))


@pytest.mark.parametrize("speed_px", [0.3, 1.0, 3.0, 8.0])
def test_labels_of_a_moving_subject_move_with_it(speed_px):
    truths, _, lumas = moving(speed_px)
    labels = [np.where(truth > 127, 11, 2).astype(np.uint8) for truth in truths]
    shown = run(LabelSmoother(), labels, lumas)
    agreement = [iou((s == 11) * np.uint8(255), truth) for s, truth in zip(shown, truths, strict=True)]
    assert np.mean(agreement) > 0.995
    mattes = [(s == 11) * np.uint8(255) for s in shown]
    assert abs(lag_frames(centers_x(mattes), centers_x(truths))) <= 1.0


def test_a_label_that_persists_is_believed_in_time(still):
    _, _, lumas = still
    smoother = LabelSmoother(persistence_seconds=0.1)
    first, second = np.zeros((SIDE, SIDE), np.uint8), np.full((SIDE, SIDE), 5, np.uint8)
    smoother.smooth(first, lumas[0], 0.0)
    shown = [int(smoother.smooth(second, lumas[index], index / 30)[0, 0]) for index in range(1, 7)]
    assert shown[:2] == [0, 0]
    assert shown.index(5) in (2, 3)
