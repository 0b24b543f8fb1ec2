"""The bounded channel: order, capacity, and an end in every case."""

from __future__ import annotations

import threading
import time

import pytest

from rtseg.errors import ConfigError
from rtseg.pipeline.channel import Channel, ChannelClosed


def in_thread(body):
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


def test_items_come_out_in_order_after_finish():
    channel = Channel[int](4)
    for item in (1, 2, 3):
        channel.put(item)
    channel.finish()
    assert list(channel) == [1, 2, 3]


def test_put_waits_while_full_and_goes_on_after_a_get():
    channel = Channel[int](1)
    channel.put(1)
    thread = in_thread(lambda: channel.put(2))
    time.sleep(0.05)
    assert thread.is_alive()
    assert channel.get() == 1
    thread.join(2)
    assert not thread.is_alive()
    assert channel.get() == 2


def test_get_without_waiting_gives_none_when_empty():
    assert Channel[int](1).get(wait=False) is None


@pytest.mark.parametrize("end", ["finish", "abandon"])
def test_a_waiting_consumer_wakes_at_the_end(end):
    channel = Channel[int](1)
    seen = []
    thread = in_thread(lambda: seen.extend(channel))
    time.sleep(0.02)
    getattr(channel, end)()
    thread.join(2)
    assert not thread.is_alive()
    assert seen == []


def test_a_waiting_producer_wakes_when_the_consumer_goes():
    channel = Channel[int](1)
    channel.put(1)
    raised = []

    def produce():
        try:
            channel.put(2)
        except ChannelClosed:
            raised.append(True)

    thread = in_thread(produce)
    time.sleep(0.02)
    channel.abandon()
    thread.join(2)
    assert raised == [True]


def test_abandon_drops_what_is_inside():
    channel = Channel[int](2)
    channel.put(1)
    channel.abandon()
    with pytest.raises(ChannelClosed):
        channel.get()


def test_put_after_the_end_fails():
    channel = Channel[int](2)
    channel.finish()
    with pytest.raises(ChannelClosed):
        channel.put(1)


def test_freshest_drops_the_oldest_and_counts_it():
    channel = Channel[int](2)
    assert [channel.put_freshest(item) for item in (1, 2, 3, 4)] == [0, 0, 1, 1]
    channel.finish()
    assert list(channel) == [3, 4]


def test_no_capacity_fails():
    with pytest.raises(ConfigError, match="capacity 0"):
        Channel[int](0)
