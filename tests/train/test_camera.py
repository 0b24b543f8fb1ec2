from __future__ import annotations

import numpy as np
import pytest

from rtseg.train import camera
from rtseg.train.augment import PROFILES
from rtseg.train.blending import mixed, noisy, piece, screened

FLAT = np.full((64, 96, 3), (120, 90, 60), np.uint8)


def test_colours_change_but_nothing_moves():
    striped = np.zeros((32, 32, 3), np.uint8)
    striped[:, 16:] = 200
    for seed in range(20):
        found = camera.recoloured(striped, np.random.default_rng(seed))
        assert (found == found[:1, :1]).all(axis=2)[:, :16].all()
        assert (found == found[:1, -1:]).all(axis=2)[:, 16:].all()
    assert not np.array_equal(camera.recoloured(FLAT, np.random.default_rng(1)), FLAT)


def test_noise_has_the_deviation_that_was_asked_for_and_no_bias():
    grey = np.full((256, 256, 3), 128, np.uint8)
    for deviation in (4.0, 12.0):
        found = noisy(grey, deviation, np.random.default_rng(0)).astype(float) - 128
        assert found.std() == pytest.approx(deviation, rel=0.1)
        assert abs(found.mean()) < 0.5


def test_a_motion_kernel_keeps_the_light_and_points_its_way():
    along, down = camera.motion_kernel(5, 0.0), camera.motion_kernel(5, np.pi / 2)
    assert along.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(along, down.T, atol=0.02)
    assert along[5].sum() > 0.9


def test_compression_keeps_the_channels_apart():
    found = camera.compressed(FLAT, 90).astype(int)
    assert np.abs(found - FLAT).max() <= 6


def test_every_fault_can_happen_and_no_share_means_none():
    ramp = np.repeat(np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    same = [np.array_equal(camera.faulty(ramp, PROFILES["plain"], np.random.default_rng(s)), ramp) for s in range(60)]
    assert 0.1 < np.mean(same) < 0.6
    assert np.array_equal(camera.faulty(ramp, PROFILES["none"], np.random.default_rng(0)), ramp)


def test_a_webcam_in_poor_light_is_noisy_and_in_place():
    found = camera.webcam(FLAT, np.random.default_rng(3))
    assert found.shape == FLAT.shape
    assert found.std(axis=(0, 1)).max() > 1.5
    assert np.abs(found.mean(axis=(0, 1)) - FLAT[0, 0]).max() < 8


def test_mixing_takes_the_upper_picture_where_the_weight_is_full():
    weight = np.zeros((64, 96), np.uint8)
    weight[:, 48:] = 255
    found = mixed(FLAT, np.full_like(FLAT, 250), weight)
    assert np.array_equal(found[:, :48], FLAT[:, :48])
    assert (found[:, 48:] == 250).all()


def test_light_on_a_lens_never_darkens():
    glow = np.random.default_rng(0).random((8, 12, 3), np.float32)
    assert (screened(FLAT, glow).astype(int) >= FLAT.astype(int) - 1).all()


def test_a_bank_that_is_too_small_is_repeated():
    bank = np.arange(16, dtype=np.uint8).reshape(4, 4)
    found = piece(bank, (11, 6), np.random.default_rng(0))
    assert found.shape == (6, 11)
    assert np.array_equal(found[:2, :4], found[4:6, :4])
