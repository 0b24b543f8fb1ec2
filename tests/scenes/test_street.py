"""The street scene: the same seed gives the same street, and its labels lie on what is seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg.errors import ConfigError
from rtseg.scenes import StreetScene

SMALL_WH = (480, 270)
EVERYWHERE = {"road", "sidewalk", "building", "pole", "traffic sign", "vegetation", "terrain", "sky", "person", "car"}


def shares(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=19) / labels.size


@pytest.fixture(scope="module")
def street() -> StreetScene:
    return StreetScene(size_wh=SMALL_WH)


def test_pictures_have_the_asked_size_and_type(street: StreetScene) -> None:
    rgb, labels = street.render_with_labels(1.0)
    assert rgb.shape == (270, 480, 3)
    assert rgb.dtype == np.uint8
    assert labels.shape == (270, 480)
    assert labels.dtype == np.uint8


def test_the_same_seed_and_time_give_the_same_bytes(street: StreetScene) -> None:
    first = street.render(3.2)
    street.render(9.9)
    again = StreetScene(size_wh=SMALL_WH)
    np.testing.assert_array_equal(first, again.render(3.2))
    np.testing.assert_array_equal(first, again.render_with_labels(3.2)[0])


def test_other_seeds_give_other_streets(street: StreetScene) -> None:
    base = street.render(2.0).astype(np.int16)
    for seed in (1, 2, 5):
        other = StreetScene(size_wh=SMALL_WH, seed=seed).render(2.0)
        assert np.abs(other - base).mean() > 12


@pytest.mark.parametrize("size_wh", [(16, 16), (17, 301), (333, 21), (641, 359), (90, 160)])
def test_odd_tiny_and_upright_sizes_render(size_wh: tuple[int, int]) -> None:
    rgb, labels = StreetScene(size_wh=size_wh, seed=3).render_with_labels(0.7)
    assert rgb.shape == (size_wh[1], size_wh[0], 3)
    assert labels.shape == rgb.shape[:2]
    assert rgb.std() > 8


def test_every_class_shows_in_the_default_street(street: StreetScene) -> None:
    total = np.zeros(19)
    for time_seconds in np.arange(0.0, 20.0, 2.0):
        found = shares(street.render_with_labels(time_seconds)[1])
        names = {name for name, share in zip(street.classes, found, strict=True) if share > 0.0002}
        assert len(names & EVERYWHERE) >= 9, (time_seconds, names)
        total += found / 10
    seen = {name for name, share in zip(street.classes, total, strict=True) if share > 0.003}
    assert EVERYWHERE | {"traffic light", "bus"} == seen


@pytest.mark.parametrize("seed", range(6))
def test_labels_lie_on_what_is_seen(seed: int) -> None:
    rgb, labels = StreetScene(size_wh=SMALL_WH, seed=seed).render_with_labels(4.0)
    mean = {
        name: rgb[labels == index].mean(axis=0)
        for index, name in enumerate(StreetScene.classes)
        if (labels == index).sum() > 60
    }
    assert mean["sky"].mean() > mean["road"].mean() + 25
    assert mean["sidewalk"].mean() > mean["road"].mean() + 12
    for leafy in ("vegetation", "terrain"):
        assert mean[leafy][1] > mean[leafy][2] + 4
    road_spread, sky_spread = (np.ptp(mean[name]) for name in ("road", "sky"))
    assert road_spread < 60
    assert sky_spread < 140


def test_label_edges_are_picture_edges() -> None:
    """Moving the labels by three pixels must make the picture agree less with them."""
    scene = StreetScene(seed=0)
    rgb, labels = scene.render_with_labels(6.0)
    grey = cv2.GaussianBlur(rgb, (0, 0), 0.8).astype(np.float32).mean(axis=2)
    slope = np.abs(np.diff(grey, axis=1))

    def strength(shift_px: int) -> float:
        moved = np.roll(labels, shift_px, axis=1)
        edge = np.diff(moved.astype(np.int16), axis=1) != 0
        return float(slope[:, 4:-4][edge[:, 4:-4]].mean())

    assert strength(0) > 1.3 * max(strength(-3), strength(3))
    assert strength(0) >= max(strength(-1), strength(1))


@pytest.mark.parametrize("seed", [0, 4])
def test_motion_is_continuous(seed: int) -> None:
    scene = StreetScene(size_wh=SMALL_WH, seed=seed)
    for time_seconds in (0.5, 5.0, 12.0):
        now = scene.render(time_seconds).astype(np.int16)

        def change(after_seconds: float, then: float = time_seconds, before: np.ndarray = now) -> float:
            return float(np.abs(scene.render(then + after_seconds).astype(np.int16) - before).mean())

        assert 0.5 < change(1 / 30) < 13
        assert change(1 / 240) < 0.6 * change(1 / 30)
        assert change(3.0) > 1.5 * change(1 / 30)


def test_nothing_large_appears_at_once() -> None:
    scene = StreetScene(size_wh=(160, 90))
    before = scene.render_with_labels(0.0)[1]
    changes = []
    for frame_index in range(1, 150):
        labels = scene.render_with_labels(frame_index / 30)[1]
        changes.append((labels != before).mean())
        before = labels
    assert max(changes) < 3 * np.median(changes)


@pytest.mark.parametrize("seed", [0, 1, 9])
def test_the_look_does_not_depend_on_the_size(seed: int) -> None:
    big_rgb, big = StreetScene(seed=seed).render_with_labels(2.5)
    small_rgb, small = StreetScene(seed=seed, size_wh=SMALL_WH).render_with_labels(2.5)
    assert (big[1::2, 1::2] == small).mean() > 0.95
    shrunk = cv2.resize(big_rgb, SMALL_WH, interpolation=cv2.INTER_AREA).astype(np.int16)
    assert np.abs(shrunk - small_rgb).mean() < 6


def test_the_drive_goes_on_for_ever(street: StreetScene) -> None:
    for time_seconds in (3600.0, 1e9):
        assert (shares(street.render_with_labels(time_seconds)[1]) > 0.0005).sum() >= 8


@pytest.mark.parametrize("size_wh", [(15, 100), (100, 8193), (64.0, 64), (True, 64), (64,), "64x64", None])
def test_bad_sizes_are_refused(size_wh: object) -> None:
    with pytest.raises(ConfigError, match="scene size: got"):
        StreetScene(size_wh=size_wh)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 1.5, "one", None])
def test_bad_seeds_are_refused(seed: object) -> None:
    with pytest.raises(ConfigError, match="scene seed: got"):
        StreetScene(size_wh=(64, 64), seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("time_seconds", [-0.01, float("nan"), float("inf"), "soon", None])
def test_bad_times_are_refused(street: StreetScene, time_seconds: object) -> None:
    with pytest.raises(ConfigError, match="scene time: got"):
        street.render(time_seconds)  # type: ignore[arg-type]
