"""The quick path of refined edges against the plain one: the same bytes, from less work."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg.errors import ConfigError
from rtseg.postprocess.edges import refine_alpha
from rtseg.postprocess.temporal import AlphaSmoother

SMALL = 64


def footage(size_wh, *, frames=6, seed=0):
    """A blob that moves over a textured wall: mattes and lumas at network size, and lumas at frame size."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(90, 200, (size_wh[1], size_wh[0]), np.uint8)
    for index in range(frames):
        blob = np.zeros((SMALL * 4, SMALL * 4), np.uint8)
        cv2.ellipse(blob, (110 + 6 * index, 140), (60, 80), 20, 0, 360, 255, -1)
        matte = cv2.resize(cv2.GaussianBlur(blob, (0, 0), 5), (SMALL, SMALL), interpolation=cv2.INTER_AREA)
        matte[5:9, 3:8] = 100  # a soft patch that has no steep border all round
        share = cv2.resize(blob, size_wh).astype(np.float32) / 255
        full = (texture * (1 - share) + 40 * share + rng.integers(0, 5, texture.shape)).astype(np.uint8)
        yield matte, cv2.resize(full, (SMALL, SMALL), interpolation=cv2.INTER_AREA), full


SIZES = [(320, 180), (320, 192), (240, 136), (333, 187), (64, 64), (1280, 720), (97, 200)]


@pytest.mark.parametrize("size_wh", SIZES)
def test_both_paths_give_the_same_bytes(size_wh):
    plain, quick = AlphaSmoother(), AlphaSmoother()
    for index, (matte, small, full) in enumerate(footage(size_wh)):
        smoothed = plain.smooth(matte, small, index / 30)
        expected = plain.steady(refine_alpha(smoothed, small, full))
        shown = quick.refine(quick.smooth(matte, small, index / 30), small, full)
        np.testing.assert_array_equal(shown, expected)
        assert len(np.unique(shown)) > 50  # there is a border, and it is soft


@pytest.mark.parametrize("level", [0, 255, 90])
def test_both_paths_agree_on_mattes_without_a_border_and_on_what_comes_after(level):
    plain, quick = AlphaSmoother(), AlphaSmoother()
    sequence = list(footage((320, 180), frames=4))
    flat = np.full((SMALL, SMALL), level, np.uint8)
    for index, matte in enumerate([sequence[0][0], flat, flat, sequence[3][0]]):
        _, small, full = sequence[index]
        smoothed = plain.smooth(matte, small, index / 30)
        expected = plain.steady(refine_alpha(smoothed, small, full))
        np.testing.assert_array_equal(quick.refine(quick.smooth(matte, small, index / 30), small, full), expected)


def test_a_frame_smaller_than_the_matte_is_refined_too():
    plain, quick = AlphaSmoother(), AlphaSmoother()
    for index, (matte, small, _) in enumerate(footage((64, 64), frames=3)):
        tiny = cv2.resize(small, (50, 40), interpolation=cv2.INTER_AREA)
        expected = plain.steady(refine_alpha(plain.smooth(matte, small, index / 30), small, tiny))
        np.testing.assert_array_equal(quick.refine(quick.smooth(matte, small, index / 30), small, tiny), expected)


def test_frames_of_another_size_start_afresh():
    smoother = AlphaSmoother()
    for size_wh in ((320, 180), (240, 136), (320, 180)):
        for matte, small, full in footage(size_wh, frames=2):
            smoothed = smoother.smooth(matte, small, None)
            assert smoother.refine(smoothed, small, full).shape == full.shape


def test_what_is_returned_may_be_kept_and_written_on():
    one, other = AlphaSmoother(), AlphaSmoother()
    kept = []
    for index, (matte, small, full) in enumerate(footage((320, 180))):
        shown = one.refine(one.smooth(matte, small, index / 30), small, full)
        same = other.refine(other.smooth(matte, small, index / 30), small, full)
        np.testing.assert_array_equal(shown, same)
        kept.append((same, same.copy()))
        shown[:] = 77
    for same, before in kept:
        np.testing.assert_array_equal(same, before)


def test_sizes_that_differ_are_refused():
    with pytest.raises(ConfigError, match="of one size"):
        AlphaSmoother().refine(np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8), np.zeros((8, 8), np.uint8))
