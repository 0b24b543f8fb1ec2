"""Sound in step: by the picture's time, through holes, drifting clocks and broken packets."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from rtseg.audio_feed import AudioFeed, AudioFormat
from rtseg.sinks.live_sound import FeedSound, LiveSound
from tests.sinks.receivers import RATE_HZ

BLOCK = 960


def pcm(samples: np.ndarray) -> bytes:
    return (samples * 32767).astype(np.int16).tobytes()


def heard(packets, config: bytes) -> tuple[float, np.ndarray]:
    """Decode raw AAC; return the time of the first sample and all samples."""
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = config
    pieces = [f.to_ndarray()[0] for p in packets for f in decoder.decode(av.Packet(p.content))]
    return float(packets[0].seconds), np.concatenate(pieces)


def click_times(packets, config: bytes) -> list[float]:
    start, samples = heard(packets, config)
    loud = np.nonzero(np.abs(samples) > 0.3)[0]
    firsts = [i for i, at in enumerate(loud) if i == 0 or at - loud[i - 1] > RATE_HZ // 10]
    return [start + loud[i] / RATE_HZ for i in firsts]


def clicking(feed: AudioFeed, begin: float, count: int, *, step_seconds=BLOCK / RATE_HZ, skip=()) -> None:
    """Blocks with a click at the beginning of every tenth."""
    for index in range(count):
        block = np.zeros(BLOCK)
        if index % 10 == 0:
            block[:48] = 0.9 * np.sin(np.arange(48) * 0.8)
        if index not in skip:
            feed.put(pcm(block), begin + index * step_seconds, BLOCK / RATE_HZ)


def feed_of(codec="pcm_s16le", channels=1) -> AudioFeed:
    return AudioFeed(AudioFormat(codec, RATE_HZ, "mono" if channels == 1 else "stereo", channels), most_seconds=100)


def test_sound_waits_for_its_picture():
    feed = feed_of()
    sound = LiveSound(FeedSound(feed))
    clicking(feed, 3.0, 100)
    assert list(sound.until(Fraction(2))) == []
    first = list(sound.until(Fraction(7, 2)))
    assert float(first[-1].seconds) == pytest.approx(3.5, abs=0.06)
    rest = list(sound.until(Fraction(5)))
    assert rest[0].seconds > first[-1].seconds


def test_times_are_the_source_s():
    feed = feed_of()
    sound = LiveSound(FeedSound(feed))
    clicking(feed, 3.0, 100)
    packets = list(sound.until(Fraction(10)))
    got = click_times(packets, sound.config)
    assert got == pytest.approx([3.0 + 0.2 * i for i in range(len(got))], abs=0.002)
    assert len(got) >= 9


def test_a_hole_becomes_silence_and_what_follows_is_in_time():
    feed = feed_of()
    sound = LiveSound(FeedSound(feed))
    clicking(feed, 3.0, 100, skip=range(31, 49))
    got = click_times(list(sound.until(Fraction(10))), sound.config)
    wanted = [3.0 + 0.2 * i for i in range(10) if i != 4]
    assert got == pytest.approx(wanted[: len(got)], abs=0.002)
    assert len(got) >= 8


def test_after_a_long_hole_the_clock_jumps():
    feed = feed_of()
    sound = LiveSound(FeedSound(feed))
    clicking(feed, 3.0, 20)
    clicking(feed, 33.0, 20)
    packets = list(sound.until(Fraction(40)))
    assert len(packets) < 60  # not thirty seconds of silence
    late = [p for p in packets if p.seconds >= 33]
    assert click_times(late, sound.config)[-1] == pytest.approx(33.2, abs=0.03)


@pytest.mark.parametrize("drift", [0.995, 1.005])
def test_a_clock_that_drifts_stays_within_a_twentieth_of_a_second(drift):
    """Blocks of 20 ms, stamped 0.5 % closer or farther: left alone, clicks would be 100 ms off after 20 s."""
    feed = feed_of()
    sound = LiveSound(FeedSound(feed))
    clicking(feed, 0.0, 1000, step_seconds=BLOCK / RATE_HZ * drift)
    packets = list(sound.until(Fraction(30)))
    got = click_times(packets, sound.config)
    stamped = np.arange(0, 1000, 10) * BLOCK / RATE_HZ * drift
    for time in got[-10:]:
        assert np.abs(stamped - time).min() < 0.06
    assert float(packets[-1].seconds) == pytest.approx(20 * drift, abs=0.15)


def test_broken_packets_are_left_out():
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE_HZ, "mono", "fltp"
    encoder.flags |= av.codec.context.Flags.global_header
    encoder.open()
    feed = AudioFeed(AudioFormat("aac", RATE_HZ, "mono", 1, bytes(encoder.extradata)))
    sound = LiveSound(FeedSound(feed))
    for index in range(60):
        frame = av.AudioFrame.from_ndarray(np.full((1, 1024), 0.1, np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, index * 1024
        for packet in encoder.encode(frame):
            content = bytes(packet) if index % 7 else b"\xff\xff\xff\xff"
            feed.put(content, index * 1024 / RATE_HZ, 1024 / RATE_HZ)
    assert len(list(sound.until(Fraction(5)))) > 40
    assert sound.notes == []


def test_an_unknown_codec_leaves_the_sound_out(tools):
    feed = AudioFeed(AudioFormat("no_such_codec", RATE_HZ, "mono", 1))
    sound, notes = LiveSound.of(tools.stream_format(audio_feed=feed), "udp://x:1")
    assert sound is None
    assert "audio was left out" in notes[0]


def test_the_sound_of_a_file_goes_along(tools, tmp_path):
    clip = tools.make_clip(tmp_path / "clip.mp4")
    sound, notes = LiveSound.of(tools.stream_format(audio_path=clip), "udp://x:1")
    assert notes == []
    packets = list(sound.until(Fraction(10)))
    assert click_times(packets, sound.config)[0] == pytest.approx(1.0, abs=0.003)
    sound.close()
