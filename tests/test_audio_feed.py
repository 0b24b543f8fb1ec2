"""Sound between a live source and sinks that may be slow, late or gone."""

from __future__ import annotations

import gc

from rtseg.audio_feed import AudioFeed, AudioFormat

SOUND = AudioFormat("aac", 48_000, "stereo", 2, extradata=b"\x11\x90")


def test_packets_wait_for_the_picture_they_belong_to():
    feed = AudioFeed(SOUND)
    reader = feed.reader()
    for index in range(5):
        feed.put(bytes([index]), index * 0.02, 0.02)
    assert [packet.data for packet in reader.take_until(0.045)] == [b"\0", b"\1", b"\2"]
    assert [packet.data for packet in reader.take_until(0.045)] == []
    assert [round(packet.pts_seconds, 2) for packet in reader.take_until(1)] == [0.06, 0.08]
    assert (feed.codec, feed.sample_rate, feed.layout, feed.channels, feed.extradata) == (
        "aac",
        48_000,
        "stereo",
        2,
        b"\x11\x90",
    )


def test_every_reader_gets_every_packet_from_when_it_was_opened():
    feed = AudioFeed(SOUND)
    first = feed.reader()
    feed.put(b"a", 0.0, 0.02)
    second = feed.reader()
    feed.put(b"b", 0.02, 0.02)
    assert [packet.data for packet in first.take_until(9)] == [b"a", b"b"]
    assert [packet.data for packet in second.take_until(9)] == [b"b"]


def test_a_reader_that_does_not_take_loses_the_oldest_and_says_so():
    feed = AudioFeed(SOUND, most_seconds=1.0)
    slow, quick = feed.reader(), feed.reader()
    taken = 0
    for index in range(200):
        feed.put(b"x" * 10, index * 0.02, 0.02)
        taken += len(quick.take_until(index * 0.02))
    assert (taken, quick.dropped) == (200, 0)
    left = slow.take_until(1e9)
    assert len(left) + slow.dropped == 200
    assert len(left) <= 51
    assert left[-1].pts_seconds == 199 * 0.02


def test_bytes_are_bounded_even_where_times_say_nothing():
    feed = AudioFeed(SOUND, most_bytes=1000)
    reader = feed.reader()
    for _ in range(50):
        feed.put(b"x" * 100, 0.0)
    assert len(reader.take_until(0.0)) == 10
    assert reader.dropped == 40


def test_a_reader_that_is_closed_or_forgotten_holds_nothing():
    feed = AudioFeed(SOUND)
    reader = feed.reader()
    feed.put(b"a", 0.0)
    reader.close()
    feed.put(b"b", 0.0)
    assert reader.take_until(1) == []
    reader.close()
    feed.reader()
    gc.collect()
    assert len(feed._readers) == 0
    feed.end()
    assert feed.ended
