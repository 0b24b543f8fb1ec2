"""The desk scene: the same seed gives the same people, and the matte lies on them."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from rtseg.errors import ConfigError
from rtseg.scenes import DeskScene

SMALL_WH = (480, 270)


@pytest.fixture(scope="module")
def desk() -> DeskScene:
    return DeskScene(size_wh=SMALL_WH)


def test_pictures_and_mattes_have_the_asked_size_and_type(desk: DeskScene) -> None:
    rgb, alpha = desk.render_with_alpha(1.0)
    assert rgb.shape == (270, 480, 3)
    assert rgb.dtype == np.uint8
    assert alpha.shape == (270, 480)
    assert alpha.dtype == np.float32
    assert desk.classes == ("background", "person")


def test_the_same_seed_and_time_give_the_same_bytes(desk: DeskScene) -> None:
    first = desk.render(3.2)
    desk.render(9.9)
    again = DeskScene(size_wh=SMALL_WH)
    np.testing.assert_array_equal(first, again.render(3.2))
    np.testing.assert_array_equal(first, again.render_with_alpha(3.2)[0])


@pytest.mark.parametrize("size_wh", [(16, 16), (17, 301), (333, 21), (641, 359), (240, 320)])
def test_odd_tiny_and_upright_sizes_render(size_wh: tuple[int, int]) -> None:
    rgb, alpha = DeskScene(size_wh=size_wh, seed=2).render_with_alpha(0.7)
    assert rgb.shape == (size_wh[1], size_wh[0], 3)
    assert alpha.shape == rgb.shape[:2]
    assert rgb.std() > 8


@pytest.mark.parametrize("seed", range(5))
def test_the_matte_covers_a_person_softly(seed: int) -> None:
    _, alpha = DeskScene(size_wh=SMALL_WH, seed=seed).render_with_alpha(2.0)
    assert alpha.min() == 0
    assert 0.999 < alpha.max() <= 1
    assert 0.12 < alpha.mean() < 0.75
    soft = ((alpha > 0.02) & (alpha < 0.98)).mean()
    assert 0.002 < soft < 0.05
    assert alpha[-1].max() > 0.99
    assert alpha[0].mean() < 0.2


def test_the_room_outside_the_matte_stands_still() -> None:
    scene = DeskScene(size_wh=SMALL_WH)
    first, alpha = scene.render_with_alpha(1.0)
    second, other = scene.render_with_alpha(1.9)
    outside = (alpha == 0) & (other == 0)
    moved = np.abs(first.astype(np.int16) - second).mean(axis=2)
    assert moved[outside].mean() < 4
    changed = np.abs(alpha - other) > 0.5
    assert changed.sum() > 50
    assert moved[changed].mean() > 4 * moved[outside].mean()


def test_matte_edges_are_picture_edges() -> None:
    """Moving the matte by three pixels must make the picture agree less with it."""
    rgb, alpha = DeskScene(seed=0).render_with_alpha(1.0)
    grey = cv2.GaussianBlur(rgb, (0, 0), 1.0).astype(np.float32).mean(axis=2)
    slope = np.abs(np.diff(grey, axis=1))

    def strength(shift_px: int) -> float:
        inside = np.roll(alpha, shift_px, axis=1) > 0.5
        edge = np.diff(inside.astype(np.int8), axis=1) != 0
        return float(slope[:, 4:-4][edge[:, 4:-4]].mean())

    assert strength(0) > 1.3 * max(strength(-3), strength(3))


@pytest.mark.parametrize("seed", [0, 4])
def test_motion_is_continuous(seed: int) -> None:
    scene = DeskScene(size_wh=SMALL_WH, seed=seed)
    for time_seconds in (0.5, 4.0, 12.0):
        now, alpha = scene.render_with_alpha(time_seconds)
        soon, next_alpha = scene.render_with_alpha(time_seconds + 1 / 30)
        assert 0.5 < np.abs(now.astype(np.int16) - soon).mean() < 6
        assert 0 < np.abs(alpha - next_alpha).mean() < 0.02


def test_people_raise_a_hand_now_and_then() -> None:
    scene = DeskScene(size_wh=(240, 135))
    covers = [scene.render_with_alpha(time_seconds)[1].mean() for time_seconds in np.arange(0.0, 20.0, 0.5)]
    assert max(covers) > 1.03 * min(covers)


def test_eyes_blink_and_lips_move() -> None:
    scene = DeskScene()
    faces = [
        cv2.GaussianBlur(scene.render(time_seconds), (0, 0), 2)[120:260, 300:660]
        for time_seconds in np.arange(0, 4, 0.1)
    ]
    steps = [np.abs(a.astype(np.int16) - b).max() for a, b in pairwise(faces)]
    assert max(steps) > 25


@pytest.mark.parametrize("seed", [0, 4, 9])
def test_the_look_does_not_depend_on_the_size(seed: int) -> None:
    big_rgb, big = DeskScene(seed=seed).render_with_alpha(2.5)
    small_rgb, small = DeskScene(seed=seed, size_wh=SMALL_WH).render_with_alpha(2.5)
    shrunk = cv2.resize(big, SMALL_WH, interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk - small).mean() < 0.004
    assert ((shrunk > 0.5) == (small > 0.5)).mean() > 0.99
    difference = cv2.resize(big_rgb, SMALL_WH, interpolation=cv2.INTER_AREA).astype(np.int16) - small_rgb
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("size_wh", [(15, 100), (100, 8193), (64.0, 64), (64,)])
def test_bad_sizes_are_refused(size_wh: object) -> None:
    with pytest.raises(ConfigError, match="scene size: got"):
        DeskScene(size_wh=size_wh)  # type: ignore[arg-type]


@pytest.mark.parametrize("time_seconds", [-0.01, float("nan"), None])
def test_bad_times_are_refused(desk: DeskScene, time_seconds: object) -> None:
    with pytest.raises(ConfigError, match="scene time: got"):
        desk.render(time_seconds)  # type: ignore[arg-type]
