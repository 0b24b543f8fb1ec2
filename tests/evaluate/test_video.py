"""Temporal stability of a model on frames whose masks are known."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import rtseg
from rtseg.errors import SourceError
from rtseg.evaluate.text import video_text
from rtseg.evaluate.video import score_video
from tests.evaluate.parts import red_picture


def frames(pictures):
    return [rtseg.Frame(rgb, index, index, Fraction(1, 25), 0) for index, rgb in enumerate(pictures)]


def trembling(count=12, levels=2):
    """A still picture in which one square's red trembles around one half: too little to be seen, enough to flip."""
    for index in range(count):
        red = np.zeros((256, 256), np.uint8)
        red[:, 128:] = 250
        red[64:128, 32:96] = 128 + (levels if index % 2 else -levels)
        yield red_picture(red)


@pytest.fixture
def person():
    with rtseg.load("person", backend="fake", edges=False) as segmenter:
        yield segmenter


def test_a_trembling_mask_flips_without_smoothing_and_less_with_it(person):
    report = score_video(person, frames(trembling()), name="tremble")
    assert report.flips_off == pytest.approx(64 * 64 * 25 / 256**2, rel=0.1)
    assert report.flips_on < report.flips_off / 2
    assert report.times_fewer > 2
    assert report.unchanged_share > 0.99
    assert report.frames == 12


def test_a_still_mask_does_not_flip(person):
    report = score_video(person, frames(trembling(levels=0)), name="still")
    assert (report.flips_off, report.flips_on) == (0, 0)
    assert math.isnan(report.times_fewer)
    assert report.to_json()["times_fewer"] is None


def test_the_report_says_how_it_was_measured(person):
    report = score_video(person, frames(trembling(4)), name="tremble")
    text = video_text(report)
    for telling in ("smoothing off", "smoothing on", "times fewer", "256x256", "optical flow", "fake"):
        assert telling in text
    assert report.to_json()["flips_per_pixel_second"]["smoothing_off"] > 0
    assert report.protocol["model_sha256"] == person.bundle.sha256


def test_long_frames_are_compared_at_most_640_px_wide(person):
    wide = [np.zeros((480, 1280, 3), np.uint8)] * 3
    assert score_video(person, frames(wide), name="wide").protocol["scored_at"] == "640x240"


def test_one_frame_is_not_enough(person):
    with pytest.raises(SourceError, match="1 frames"):
        score_video(person, frames(trembling(1)), name="short")
