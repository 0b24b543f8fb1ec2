"""The sound of a live source in a file: in step from the first picture, and never the end of the video."""

from __future__ import annotations

import av
import numpy as np
import pytest

from rtseg.audio_feed import AudioFeed, AudioFormat
from rtseg.sinks import open_sink
from tests.sinks.receivers import RATE_HZ, BeepAndFlash, Received, offsets


def read(path) -> Received:
    got = Received()
    with av.open(str(path)) as container:
        for packet in container.demux():
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    got.times.append(frame.time)
                    got.luma.append(float(frame.to_ndarray(format="gray").mean()))
                else:
                    got.sample_times.append(frame.time)
                    got.samples.append(frame.to_ndarray().reshape(-1)[: frame.samples])
    return got


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("late_seconds", [0.05, 2.0])
def test_lips_are_in_step_in_every_container(tmp_path, suffix, late_seconds):
    path = tmp_path / f"x.{suffix}"
    signal = BeepAndFlash(start_seconds=0.5)
    signal.put_sound(3.0)  # before the sink is opened: nobody's
    signal._put = 0
    sink = open_sink(path)
    sink.open(signal.stream)
    for index in range(100):
        sink.write(signal.frame(index, sound_ahead_seconds=late_seconds), None)
    sink.close()
    found = offsets(read(path))
    assert len(found) == 3
    assert max(map(abs, found)) < 0.005
    assert "audio encoded anew from pcm_s16le" in sink.notes[0]


def test_the_measurement_above_would_notice_a_shift(tmp_path):
    signal = BeepAndFlash(start_seconds=0.0)
    put = signal.feed.put
    signal.feed.put = lambda data, pts, duration: put(data, pts - 0.05, duration)
    sink = open_sink(tmp_path / "x.mkv")
    sink.open(signal.stream)
    for index in range(70):
        sink.write(signal.frame(index), None)
    sink.close()
    assert max(offsets(read(tmp_path / "x.mkv"))) < -0.04


def test_the_sound_ends_with_the_picture(tmp_path):
    signal = BeepAndFlash(start_seconds=0.0)
    sink = open_sink(tmp_path / "x.mp4")
    sink.open(signal.stream)
    for index in range(60):
        sink.write(signal.frame(index, sound_ahead_seconds=5.0), None)
    sink.close()
    got = read(tmp_path / "x.mp4")
    end = got.sample_times[-1] + len(got.samples[-1]) / RATE_HZ
    assert end == pytest.approx(2.0, abs=0.05)


def test_a_codec_that_is_unknown_leaves_the_video(tmp_path, tools):
    feed = AudioFeed(AudioFormat("no_such_codec", RATE_HZ, "mono", 1))
    sink = open_sink(tmp_path / "x.mp4")
    tools.write_all(sink, tools.stream_format(audio_feed=feed), [0, 512, 1024])
    assert len(tools.read_back(tmp_path / "x.mp4").seconds) == 3
    assert any("audio was left out" in note for note in sink.notes)


def test_a_source_that_falls_silent_leaves_the_video(tmp_path, tools):
    feed = AudioFeed(AudioFormat("pcm_s16le", RATE_HZ, "stereo", 2))
    sink = open_sink(tmp_path / "x.mp4")
    sink.open(tools.stream_format(audio_feed=feed))
    feed.put(np.zeros(960 * 2, np.int16).tobytes(), 0.0, 0.02)
    for index in range(50):
        sink.write(tools.frame_of(tools.picture_of(index, (64, 48)), index * 512, index=index), None)
    sink.close()
    assert len(tools.read_back(tmp_path / "x.mp4").seconds) == 50
