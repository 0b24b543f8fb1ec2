"""From frame to network picture: planes first gives what converting first would give."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtseg.color import to_rgb, to_yuv420
from rtseg.errors import ConfigError
from rtseg.preprocess import NetworkBuffers, check_rgb, luma_of, to_network


def smooth_picture(size_wh):
    """A natural-looking picture without hard clipping, rgb uint8 [H, W, 3]."""
    noise = np.random.default_rng(3).integers(0, 256, (9, 16, 3)).astype(np.float32)
    picture = cv2.resize(noise, size_wh, interpolation=cv2.INTER_CUBIC)
    return np.clip(picture * 0.6 + 50, 0, 255).astype(np.uint8)


def scene_planes(seed, size_wh):
    """Noise as 4:2:0 planes."""
    noise = np.random.default_rng(seed).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    return to_yuv420(noise, matrix="bt709", full_range=False)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("frame_wh", "network_wh"),
    [((960, 540), (512, 256)), ((1920, 1080), (256, 256)), ((320, 180), (513, 257)), ((640, 480), (640, 480))],
)
def test_planes_first_equals_converting_first(matrix, full_range, frame_wh, network_wh):
    planes = to_yuv420(smooth_picture(frame_wh), matrix=matrix, full_range=full_range)
    ours = to_network(planes, network_wh)
    theirs = to_network(to_rgb(planes), network_wh).rgb
    difference = np.abs(ours.rgb.astype(int) - theirs.astype(int))
    assert ours.rgb.shape == (network_wh[1], network_wh[0], 3)
    # the planes are rounded to bytes once more or once less: a level of chroma is 2 levels of RGB
    assert np.percentile(difference, 99.9) <= 3
    assert difference.max() <= 5
    assert difference.mean() < 0.6


@pytest.mark.parametrize("network_wh", [(512, 288), (256, 256), (333, 187)])
def test_halving_first_is_close_to_averaging_by_area(network_wh):
    picture = smooth_picture((1920, 1080))
    by_area = cv2.resize(picture, network_wh, interpolation=cv2.INTER_AREA)
    assert np.abs(to_network(picture, network_wh).rgb.astype(int) - by_area).max() <= 2


def test_the_comparison_above_would_notice_another_matrix():
    planes = to_yuv420(smooth_picture((640, 480)), matrix="bt709", full_range=False)
    right, wrong = (to_network(p, (256, 256)).rgb.astype(int) for p in (planes, replace(planes, matrix="bt601")))
    assert np.percentile(np.abs(wrong - right), 99.9) > 8


def test_a_side_that_shrinks_more_than_the_other_is_averaged_too():
    picture = np.zeros((1920, 480, 3), np.uint8)
    picture[::8] = 240
    np.testing.assert_allclose(to_network(picture, (480, 240)).rgb, 30, atol=1)


def test_thin_lines_survive_shrinking():
    picture = np.zeros((1080, 1920, 3), np.uint8)
    picture[:, ::8] = 240  # a line in each network pixel, stepped over by two-tap interpolation
    small = to_network(picture, (240, 135)).rgb
    np.testing.assert_allclose(small, 30, atol=1)


def test_luma_is_given_at_both_sizes():
    picture = smooth_picture((640, 480))
    planes = to_yuv420(picture, matrix="bt601", full_range=True)
    assert to_network(planes, (64, 48)).luma.shape == (48, 64)
    np.testing.assert_allclose(
        to_network(planes, (64, 48)).luma.astype(int), to_network(picture, (64, 48)).luma.astype(int), atol=2
    )
    assert luma_of(planes) is planes.y
    np.testing.assert_allclose(luma_of(picture).astype(int), planes.y.astype(int), atol=2)


def test_alpha_of_the_frame_is_left_out():
    picture = smooth_picture((64, 48))
    rgba = np.dstack([picture, np.full((48, 64), 7, np.uint8)])
    np.testing.assert_array_equal(to_network(rgba, (32, 24)).rgb, to_network(picture, (32, 24)).rgb)
    assert luma_of(rgba).shape == (48, 64)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"got uint8 \[4, 4\]; expected an RGB array uint8 \[H, W, 3\]"),
        (np.zeros((4, 4, 4), np.uint8), "Convert grey or RGBA"),
        (np.zeros((4, 4, 3), np.float32), "Scale to 0..255"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \[0, 4, 3\]"),
        ([[0, 0, 0]], "got list"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_rgb_picture_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        check_rgb(wrong)


def test_views_of_pictures_are_taken():
    picture = smooth_picture((64, 48))
    np.testing.assert_array_equal(check_rgb(picture[::-1, ::2, ::-1]), picture[::-1, ::2, ::-1])


@pytest.mark.parametrize("size_wh", [(96, 64), (320, 180)])
def test_buffers_are_used_again_and_change_no_byte(size_wh):
    buffers = NetworkBuffers(keeps_luma=False)
    pictures = [scene_planes(seed, size_wh) for seed in range(3)]
    prepared = [to_network(picture, (48, 32), buffers) for picture in pictures]
    assert all(one.rgb is prepared[0].rgb or np.shares_memory(one.rgb, prepared[0].rgb) for one in prepared)
    last = to_network(pictures[-1], (48, 32))
    np.testing.assert_array_equal(prepared[-1].rgb, last.rgb)
    np.testing.assert_array_equal(prepared[-1].luma, last.luma)
    assert not np.array_equal(last.rgb, to_network(pictures[0], (48, 32)).rgb)


def test_a_luma_that_is_kept_survives_the_next_picture():
    pictures = [scene_planes(seed, (96, 64)) for seed in range(2)]
    for keeps_luma in (True, False):
        buffers = NetworkBuffers(keeps_luma=keeps_luma)
        first = to_network(pictures[0], (48, 32), buffers)
        before = first.luma.copy()
        to_network(pictures[1], (48, 32), buffers)
        assert np.array_equal(first.luma, before) == keeps_luma


def test_preparing_pictures_takes_no_new_memory():
    picture, buffers = scene_planes(0, (640, 360)), NetworkBuffers(keeps_luma=False)
    to_network(picture, (320, 160), buffers)
    taken = {}
    for name, memory in (("buffers", buffers), ("new memory", None)):
        tracemalloc.start()
        to_network(picture, (320, 160), memory)
        taken[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert taken["buffers"] < 20_000 < 150_000 < taken["new memory"]
