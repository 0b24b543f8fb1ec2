"""Host buffers that are lent with their pictures and come back by themselves."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from rtseg.errors import InferenceError
from rtseg.pipeline.slots_ring import HostRing
from tests.pipeline.fake_streams import FakeBuffer


def ring_of(count=2):
    return HostRing([[FakeBuffer(), FakeBuffer(4)] for _ in range(count)], wait_seconds=0.02)


def test_a_buffer_comes_back_when_the_last_view_is_gone():
    ring = ring_of()
    lease = ring.lease()
    view = lease.array(0).reshape(2, 4)[:, 1:3]
    del lease
    gc.collect()
    assert ring.free == 1
    del view
    assert ring.free == 2


def test_an_array_looks_into_the_buffer_itself_and_is_read_only():
    lease = ring_of().lease()
    array = lease.array(1)
    lease.buffers[1].array[:] = 7
    assert array.tolist() == [7] * 4
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_held_picture_stays_as_it_is_while_the_ring_goes_round():
    ring = ring_of(3)
    held = ring.lease()
    held.buffers[0].array[:] = 9
    picture = held.array(0)
    del held
    for value in range(20):
        lease = ring.lease()
        lease.buffers[0].array[:] = value
    assert set(picture.tolist()) == {9}


def test_control_a_buffer_that_is_given_back_by_hand_changes_under_its_picture():
    ring = ring_of(1)
    lease = ring.lease()
    lease.buffers[0].array[:] = 9
    picture = np.asarray(lease.buffers[0].array)
    del lease
    ring.lease().buffers[0].array[:] = 1
    assert set(picture.tolist()) == {1}


def test_whoever_keeps_all_pictures_is_told_so():
    ring = ring_of(1)
    kept = ring.lease().array(0)
    with pytest.raises(InferenceError, match="let go of a picture"):
        ring.lease()
    del kept
    assert ring.lease() is not None
