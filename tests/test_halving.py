import cv2
import numpy as np
import pytest

from rtseg.halving import box_means
from rtseg.recycling import Scratch

BOXES = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (4, 2), (2, 4), (4, 4), (8, 8), (8, 4), (1, 4)]


def random_plane(height: int, width: int, *, stride: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    wide = rng.integers(0, 256, (height, stride or width), np.uint8)
    return wide[:, :width]


def by_area(plane: np.ndarray, box_wh: tuple[int, int]) -> np.ndarray:
    size_wh = (plane.shape[1] // box_wh[0], plane.shape[0] // box_wh[1])
    return cv2.resize(plane, size_wh, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("box_wh", BOXES)
@pytest.mark.parametrize(("width", "stride"), [(64, 64), (64, 96), (64, 67), (8, 8), (24, 32)])
def test_equals_opencv_by_area_to_the_byte(box_wh, width, stride):
    plane = random_plane(32, width, stride=stride)
    assert np.array_equal(box_means(plane, box_wh), by_area(plane, box_wh))


@pytest.mark.parametrize("box_wh", BOXES)
def test_extremes_do_not_overflow(box_wh):
    assert (box_means(np.full((16, 64), 255, np.uint8), box_wh) == 255).all()
    assert (box_means(np.zeros((16, 64), np.uint8), box_wh) == 0).all()


def test_halves_are_rounded_to_even_but_of_squares_upwards():
    pair = np.tile(np.array([[0, 1], [2, 3]], np.uint8), (1, 8))  # means 0.5 and 2.5
    assert set(np.unique(box_means(pair, (2, 1))[0])) == {0}
    assert set(np.unique(box_means(pair, (2, 1))[1])) == {2}
    square = np.tile(np.array([[0, 1], [0, 1]], np.uint8), (1, 8))  # mean 0.5
    assert (box_means(square, (2, 2)) == 1).all()


def test_a_picture_and_an_offset_plane_take_the_other_way():
    picture = np.random.default_rng(3).integers(0, 256, (16, 32, 3), np.uint8)
    assert np.array_equal(box_means(picture, (2, 1)), by_area(picture, (2, 1)))
    plane = random_plane(16, 72)[:, 3:67]
    assert np.array_equal(box_means(plane, (4, 2)), by_area(plane, (4, 2)))


def test_buffers_are_used_and_the_plane_is_left_alone():
    plane = random_plane(32, 64)
    before = plane.copy()
    plane.flags.writeable = False
    into, scratch = np.empty((16, 16), np.uint8), Scratch()
    for _ in range(2):
        assert box_means(plane, (4, 2), into, scratch) is into
        assert np.array_equal(into, by_area(before, (4, 2)))
    assert np.array_equal(plane, before)
