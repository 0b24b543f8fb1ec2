"""Arrays come back when nobody holds them, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from rtseg import recycling
from rtseg.recycling import MOST_KEPT, Recycler, Scratch


def test_an_array_that_was_dropped_comes_back():
    recycler = Recycler()
    first = recycler.take((4, 5))
    place = first.ctypes.data
    del first
    assert recycler.take((4, 5)).ctypes.data == place


HOLDERS = {
    "itself": lambda array: array,
    "a view": lambda array: array[1:, ::2],
    "a view of a view": lambda array: array[1:].reshape(-1)[3:],
    "a memory view": memoryview,
    "a list": lambda array: [array],
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_an_array_that_somebody_holds_stays_away(holder):
    recycler = Recycler()
    held = HOLDERS[holder](recycler.take((4, 5)))
    places = {recycler.take((4, 5)).ctypes.data for _ in range(3)}
    first = np.asarray(held[0] if holder == "a list" else held)
    base = first if first.base is None else first.base
    assert np.asarray(base).ctypes.data not in places


def test_without_the_count_a_held_array_is_given_out_again(monkeypatch):
    recycler = Recycler()
    held = recycler.take((4, 5))
    monkeypatch.setattr(recycling, "_NOBODY", 99)
    assert recycler.take((4, 5)) is held


def test_shapes_and_types_are_kept_apart():
    recycler = Recycler()
    taken = [recycler.take((4, 5)), recycler.take((5, 4)), recycler.take((4, 5), np.float32)]
    assert [(array.shape, array.dtype) for array in taken] == [
        ((4, 5), np.uint8),
        ((5, 4), np.uint8),
        ((4, 5), np.float32),
    ]


def test_no_more_are_remembered_than_is_said():
    recycler = Recycler()
    held = [recycler.take((8,)) for _ in range(3 * MOST_KEPT)]
    assert len({array.ctypes.data for array in held}) == len(held)
    assert sum(len(kept) for kept in recycler._kept.values()) == MOST_KEPT


def test_a_copy_is_another_array():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    copy = Recycler().copy_of(pixels)
    np.testing.assert_array_equal(copy, pixels)
    assert not np.shares_memory(copy, pixels)


def test_a_scratch_buffer_is_the_same_memory_whatever_the_shape():
    scratch = Scratch()
    place = scratch.get("plane", (6, 7)).ctypes.data
    assert scratch.get("plane", (3, 4)).ctypes.data == place
    assert scratch.get("other", (3, 4)).ctypes.data != place
    assert scratch.get("plane", (3, 4), np.float32).dtype == np.float32
    assert scratch.get("plane", (60, 70)).shape == (60, 70)
