from __future__ import annotations

import time
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from rtseg.errors import ConfigError, SourceError
from rtseg.sources.synthetic import SyntheticSource

SMALL = {"size_wh": (96, 64), "frame_count": 3}


@pytest.mark.parametrize("scene", ["street", "desk"])
def test_frames_and_their_truth(scene: str) -> None:
    with SyntheticSource(scene, **SMALL) as source:
        frames = list(source.frames())
        truth = source.truth(1)
    assert [frame.pts for frame in frames] == [0, 1, 2]
    assert all(frame.rgb.shape == (64, 96, 3) and not frame.rgb.flags.writeable for frame in frames)
    assert truth.shape == (64, 96)
    assert truth.dtype == np.uint8
    assert truth.max() < len(source.classes)
    assert source.info.frame_count == source.counters.decoded == 3


def test_the_matte_of_the_desk() -> None:
    source = SyntheticSource("desk", **SMALL)
    alpha = source.truth_alpha(0)
    assert alpha is not None
    assert alpha.dtype == np.uint8
    assert (alpha.min(), alpha.max()) == (0, 255)
    assert 0.1 < source.truth(0).mean() < 0.8
    assert np.array_equal(source.truth(0), (alpha > 127).astype(np.uint8))
    assert SyntheticSource("street", **SMALL).truth_alpha(0) is None


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    def first(seed: int) -> np.ndarray:
        with SyntheticSource("street", seed=seed, **SMALL) as source:
            return next(source.frames()).rgb

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))


def test_a_run_ends_by_itself_and_can_be_endless() -> None:
    def info(**options: object) -> object:
        with SyntheticSource("street", size_wh=(96, 64), **options) as source:
            return source.info.frame_count, source.info.duration_seconds

    assert info() == (300, 10.0)
    assert info(fps=Fraction(30000, 1001), duration_seconds=1.001) == (30, pytest.approx(1.001))
    assert info(frame_count=0) == (None, None)
    assert info(duration_seconds=float("inf")) == (None, None)


def test_an_endless_scene_goes_on() -> None:
    with SyntheticSource("street", size_wh=(96, 64), frame_count=0, fps=1) as source:
        assert [frame.pts_seconds for frame in islice(source.frames(), 12)] == list(range(12))


def test_the_start_shifts_the_scene() -> None:
    with (
        SyntheticSource("street", fps=10, **SMALL) as early,
        SyntheticSource("street", fps=10, start_seconds=0.2, **SMALL) as late,
    ):
        assert np.array_equal(list(early.frames())[2].rgb, next(late.frames()).rgb)


def test_a_live_scene_keeps_the_pace() -> None:
    with SyntheticSource("street", size_wh=(96, 64), fps=20, frame_count=5, live=True) as source:
        started = time.monotonic()
        list(source.frames())
        assert source.info.live
        assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scene": "beach"}, "expected street or desk"),
        ({"fps": 0}, "frames a second"),
        ({"frame_count": -1}, "0 \\(endless\\) or more"),
        ({"frame_count": 3, "duration_seconds": 1}, "one of the two"),
        ({"duration_seconds": 0}, "more than 0"),
        ({"start_seconds": -1}, "0 or more"),
        ({"size_wh": (0, 5)}, "size"),
    ],
)
def test_what_cannot_be_right(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SyntheticSource(**options)


def test_info_before_open() -> None:
    with pytest.raises(SourceError, match="not open"):
        _ = SyntheticSource("street", **SMALL).info
