from __future__ import annotations

import numpy as np
import pytest

from rtseg.sources.orientation import UPRIGHT, Orientation, orientation_of_matrix
from rtseg.types import Yuv420

ONE = 1 << 16
STORED = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
CASES = {
    "upright": ((ONE, 0, 0, ONE), STORED),
    "90 clockwise": ((0, ONE, -ONE, 0), np.rot90(STORED, -1)),
    "180": ((-ONE, 0, 0, -ONE), np.rot90(STORED, 2)),
    "90 anticlockwise": ((0, -ONE, ONE, 0), np.rot90(STORED, 1)),
    "mirrored left to right": ((-ONE, 0, 0, ONE), STORED[:, ::-1]),
    "mirrored top to bottom": ((ONE, 0, 0, -ONE), STORED[::-1]),
    "transposed": ((0, ONE, ONE, 0), STORED.T),
    "transposed along the other diagonal": ((0, -ONE, -ONE, 0), np.rot90(STORED, 2).T),
}


def matrix_of(a: int, b: int, c: int, d: int) -> np.ndarray:
    return np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32)


@pytest.mark.parametrize("words", CASES)
def test_each_of_the_eight_turns(words: str) -> None:
    numbers, expected = CASES[words]
    orientation = orientation_of_matrix(matrix_of(*numbers))
    assert str(orientation) == words
    assert np.array_equal(orientation.turn_plane(STORED), expected)
    assert orientation.size_wh((3, 2)) == (expected.shape[1], expected.shape[0])


def test_nonsense_matrices_are_upright() -> None:
    assert orientation_of_matrix(np.zeros(9, np.int32)) == UPRIGHT


def test_a_tilted_picture_takes_the_nearest_turn() -> None:
    tilted = [round(ONE * x) for x in (0.17, 0.98, -0.98, 0.17)]
    assert str(orientation_of_matrix(matrix_of(*tilted))) == "90 clockwise"


def test_planes_are_turned_together() -> None:
    y = np.arange(24, dtype=np.uint8).reshape(4, 6)
    u = np.arange(6, dtype=np.uint8).reshape(2, 3)
    turned = Orientation(transposed=True, mirrored_x=True).turn(Yuv420(y=y, u=u, v=u + 100, matrix="bt2020"))
    assert isinstance(turned, Yuv420)
    assert turned.matrix == "bt2020"
    assert np.array_equal(turned.y, np.rot90(y, -1))
    assert np.array_equal(turned.v, np.rot90(u + 100, -1))
    assert not turned.y.flags.writeable
