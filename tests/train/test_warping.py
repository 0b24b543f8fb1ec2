from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtseg.train.augment import PROFILES
from rtseg.train.warping import at_scale, looks_outside, random_warp, view, warp_ids, warp_smooth
from tests.train.pictures import blocks

COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)


def test_the_whole_picture_at_its_own_size_is_itself():
    labels = blocks(0, (64, 32), 5)
    matrix = view((32, 16), (64, 32), (64, 32))
    assert np.array_equal(warp_ids(labels, matrix, (64, 32), 255), labels)
    assert np.array_equal(warp_smooth(COLOURS[labels], matrix, (64, 32)), COLOURS[labels])
    assert np.array_equal(warp_ids(labels, view((32, 16), (64, 32), (64, 32), flip=True), (64, 32), 9), labels[:, ::-1])


@pytest.mark.parametrize("out_wh", [(160, 80), (96, 64), (64, 32), (40, 30)])
@pytest.mark.parametrize("seed", range(4))
def test_labels_stay_on_the_picture_whatever_the_view(out_wh, seed):
    rng = np.random.default_rng(seed)
    labels = blocks(seed, (128, 64), 5, block_px=16)
    matrix = random_warp((128, 64), out_wh, replace(PROFILES["person"], whole_share=0.0), rng)
    seen = warp_smooth(COLOURS[labels], matrix, out_wh).astype(int)
    moved = warp_ids(labels, matrix, out_wh, 255)
    nearest = np.abs(seen[:, :, None] - COLOURS[None, None].astype(int)).sum(3).argmin(2)
    inside = cv2.erode((moved != 255).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    flat = cv2.morphologyEx(moved, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) == 0
    assert (nearest == moved)[inside & flat].mean() > 0.999
    # Only the interpolated seam itself may be of either side: a shift by a pixel would put far more in the wrong.
    seams = inside & ~flat
    assert (nearest == moved)[seams].mean() > 0.75
    shifted = np.roll(moved, 1, axis=1)
    assert (nearest == shifted)[seams].mean() < (nearest == moved)[seams].mean()


def test_a_much_smaller_view_is_averaged_and_in_its_place():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 200
    small = warp_smooth(stripes, view((128, 128), (256, 256), (32, 32)), (32, 32))
    assert np.abs(small.astype(int) - 100).max() <= 2
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 256, 0)
    small = warp_smooth(ramp, view((128, 128), (256, 256), (32, 32)), (32, 32))
    expected = np.arange(32) * 8 + 3.5
    assert np.abs(small[16] - expected)[1:-1].max() <= 1


def test_outside_is_marked_and_the_picture_goes_on():
    labels = np.zeros((32, 32), np.uint8)
    matrix = view((16, 16), (64, 64), (64, 64))
    moved = warp_ids(labels, matrix, (64, 64), 255)
    assert (moved[16:48, 16:48] == 0).all()
    assert (moved == 255).sum() == 64 * 64 - 32 * 32
    assert (warp_smooth(np.full((32, 32, 3), 90, np.uint8), matrix, (64, 64)) == 90).all()
    assert looks_outside(matrix, (32, 32), (64, 64))
    assert not looks_outside(view((16, 16), (32, 32), (64, 64)), (32, 32), (64, 64))


def test_crops_stay_within_their_range():
    settings = replace(PROFILES["plain"], whole_share=0.0, rotation_degrees=0.0, smallest_crop=0.5, largest_crop=0.8)
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = random_warp((100, 50), (100, 50), settings, rng)
        sides = np.abs(np.diag(matrix[:, :2]))
        assert ((sides >= 0.5 - 1e-9) & (sides <= 0.8 + 1e-9)).all()
        assert not looks_outside(matrix, (100, 50), (100, 50))


def test_a_view_at_another_scale_shows_the_same_places():
    rng = np.random.default_rng(1)
    labels = blocks(1, (128, 64), 5, block_px=16)
    matrix = random_warp((128, 64), (96, 64), replace(PROFILES["plain"], whole_share=0.0), rng)
    full = warp_ids(labels, matrix, (96, 64), 255)
    twice = labels.repeat(2, 0).repeat(2, 1)
    assert np.array_equal(warp_ids(twice, at_scale(matrix, (2.0, 2.0), 1.0), (96, 64), 255), full)
    half = warp_ids(labels, at_scale(matrix, (1.0, 1.0), 2.0), (48, 32), 255)
    assert (half == full[1::2, 1::2]).mean() > 0.93
