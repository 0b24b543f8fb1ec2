"""The queue of coded packets is bounded, and what to decode when lag grows."""

from __future__ import annotations

import time

import pytest

from rtseg.errors import SourceError
from rtseg.pipeline import packets
from rtseg.pipeline.packets import CatchUp, PacketQueue, PacketsEnded
from rtseg.sources.base import CodedPacket
from tests.pipeline.live_parts import ScriptedSource


def coded(word="p", *, lag_seconds=0.0, size=100):
    return CodedPacket(word, time.monotonic_ns() - round(lag_seconds * 1e9), word == "k", size)


def test_packets_come_out_in_order_and_then_the_reason_for_the_end():
    queue = PacketQueue()
    for word in "kpp":
        queue.put(coded(word))
    queue.end(SourceError("gone"))
    assert [queue.get(0.1).payload for _ in range(3)] == ["k", "p", "p"]
    with pytest.raises(PacketsEnded) as ended:
        queue.get(0.1)
    assert str(ended.value.error) == "gone"


def test_an_empty_queue_is_waited_for_only_so_long():
    started = time.monotonic()
    assert PacketQueue().get(0.05) is None
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("bound", ["MOST_PACKETS", "MOST_BYTES"])
def test_the_queue_never_grows_beyond_its_bounds(monkeypatch, bound):
    monkeypatch.setattr(packets, bound, 10 if bound == "MOST_PACKETS" else 1000)
    queue = PacketQueue()
    for _ in range(25):
        queue.put(coded())
    assert len(queue) <= 10
    assert queue.take_lost() == 20
    assert queue.take_lost() == 0


def catching_up(**options):
    source, queue = ScriptedSource("k"), PacketQueue()
    return source, queue, CatchUp(source, queue, **options)


def test_without_lag_everything_is_decoded():
    source, _, catch_up = catching_up()
    assert all(catch_up.wants(coded(word)) for word in "kppbb")
    assert not source.skips
    assert source.counters.dropped_decode == 0


def test_a_little_lag_leaves_out_disposable_pictures_until_it_is_calm_again():
    source, _, catch_up = catching_up()
    assert catch_up.wants(coded(lag_seconds=0.3))
    assert source.skips
    assert catch_up.wants(coded(lag_seconds=0.1))
    assert source.skips
    catch_up.count(0)
    assert source.counters.dropped_decode == 1
    assert catch_up.wants(coded(lag_seconds=0.01))
    assert not source.skips


def test_much_lag_jumps_to_the_newest_key_frame_that_waits():
    source, queue, catch_up = catching_up()
    for word in "pkpkp":
        queue.put(coded(word, lag_seconds=0.0))
    assert not catch_up.wants(coded(lag_seconds=1.5))
    wanted = []
    while len(queue):
        packet = queue.get(0)
        wanted.append((packet.payload, catch_up.wants(packet)))
    assert wanted == [("p", False), ("k", False), ("p", False), ("k", True), ("p", True)]
    assert source.restarts == 1
    assert source.counters.dropped_decode == 4


def test_a_queue_that_overflowed_makes_it_jump():
    source, queue, catch_up = catching_up()
    queue._lost = 7
    assert not catch_up.wants(coded())
    assert catch_up.is_jumping
    assert catch_up.wants(coded("k"))
    assert source.counters.dropped_decode == 8


def test_where_nothing_may_be_left_out_lag_changes_nothing():
    source, _, catch_up = catching_up(never=True)
    assert catch_up.wants(coded(lag_seconds=5))
    assert not source.skips
