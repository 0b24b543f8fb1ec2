"""The sound of a file sink: copied bit for bit or re-encoded, in sync, interleaved, and never the video's end."""

from __future__ import annotations

import os

import av
import pytest

from rtseg.sinks import open_sink
from rtseg.sinks.audio import AudioTrack

TICK_SECONDS = 0.001

COPIED = [
    ("aac", "mp4", "mp4"),
    ("aac", "mp4", "mov"),
    ("aac", "mp4", "mkv"),
    ("libmp3lame", "mp4", "mkv"),
    ("libmp3lame", "mkv", "mp4"),
    ("libopus", "mkv", "webm"),
    ("vorbis", "mkv", "webm"),
    ("vorbis", "mkv", "mkv"),
    ("libopus", "mkv", "mp4"),
    ("flac", "mkv", "mkv"),
    ("flac", "mkv", "mp4"),
    ("ac3", "mp4", "mov"),
    ("pcm_s16le", "mov", "mov"),
    ("pcm_s16le", "mov", "mkv"),
]
REENCODED = [
    ("aac", "mp4", "webm", "opus"),
    ("flac", "mkv", "mov", "aac"),
    ("libopus", "mkv", "mov", "aac"),
    ("pcm_s16le", "mkv", "mp4", "aac"),
    ("pcm_s16le", "mov", "webm", "opus"),
    ("vorbis", "mkv", "mp4", "aac"),
    ("vorbis", "mkv", "mov", "aac"),
]


@pytest.mark.parametrize(("codec", "source_ext", "ext"), COPIED)
def test_sound_is_copied_bit_for_bit_and_keeps_its_times(tmp_path, tools, codec, source_ext, ext):
    source = tools.make_clip(tmp_path / f"in.{source_ext}", sound=codec)
    out = tmp_path / f"out.{ext}"
    sink = tools.run(source, out)
    given, got = tools.sound_packets(source), tools.sound_packets(out)
    assert [content for content, _ in got] == [content for content, _ in given]
    assert max(abs(a - b) for (_, a), (_, b) in zip(given, got, strict=True)) <= TICK_SECONDS
    assert sink.notes == ()
    assert tools.read_back(out).seconds == tools.read_back(source).seconds


@pytest.mark.parametrize(("codec", "source_ext", "ext", "new"), REENCODED)
def test_sound_that_does_not_fit_is_reencoded_in_sync_and_said_so(tmp_path, tools, codec, source_ext, ext, new):
    source = tools.make_clip(tmp_path / f"in.{source_ext}", sound=codec)
    out = tmp_path / f"out.{ext}"
    sink = tools.run(source, out)
    assert tools.sound_codec(out) == new
    assert any(f"to {new}" in note for note in sink.notes)
    assert tools.click_seconds(out) == pytest.approx(tools.click_seconds(source), abs=0.004)
    assert len(tools.read_back(out).seconds) == 50


@pytest.mark.parametrize("ext", ["mp4", "mkv", "mov", "webm"])
@pytest.mark.parametrize("first_pts", [12800 * 3, -6400])
def test_sound_moves_with_the_picture(tmp_path, tools, ext, first_pts):
    source = tools.make_clip(tmp_path / "in.mkv", sound="libopus", first_pts=max(0, first_pts))
    out = tmp_path / f"out.{ext}"
    if first_pts >= 0:
        tools.run(source, out)
        expected = tools.click_seconds(source)
    else:  # no container holds negative times, so the stream's start is put behind the file's
        tools.run(source, out, start_seconds=0.4)
        expected = tools.click_seconds(source) - 0.4
    assert tools.click_seconds(out) == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize("ext", ["mp4", "mkv", "webm"])
def test_start_and_end_cut_the_sound_too(tmp_path, tools, ext):
    source = tools.make_clip(tmp_path / "in.mp4", seconds=6.0)
    out = tmp_path / f"out.{ext}"
    tools.run(source, out, start_seconds=0.6, end_seconds=2.0)
    packets = tools.sound_packets(out)
    assert -0.01 <= packets[0][1] <= 0.03
    assert 1.36 <= packets[-1][1] < 1.42
    assert tools.click_seconds(out) == pytest.approx(tools.click_seconds(source) - 0.6, abs=0.004)


def test_start_deep_in_the_file(tmp_path, tools):
    source = tools.make_clip(tmp_path / "in.mp4", seconds=5.0)
    out = tmp_path / "out.mp4"
    tools.run(source, out, start_seconds=4.0)
    given = [content for content, seconds in tools.sound_packets(source) if seconds >= 4.0]
    assert [content for content, _ in tools.sound_packets(out)] == given


def test_a_run_that_stops_early_has_no_more_sound_than_picture(tmp_path, tools):
    source = tools.make_clip(tmp_path / "in.mp4", seconds=6.0)
    out = tmp_path / "out.mp4"
    tools.run(source, out, stop_after=25)
    assert 0.9 <= tools.sound_packets(out)[-1][1] <= 1.0


def test_sound_longer_than_the_picture_is_kept_whole(tmp_path, tools):
    source = tools.make_clip(tmp_path / "in.mp4", seconds=1.0, sound_seconds=5.0)
    out = tmp_path / "out.mkv"
    tools.run(source, out)
    assert len(tools.sound_packets(out)) == len(tools.sound_packets(source))


def test_an_aborted_run_has_no_more_sound_than_picture(tmp_path, tools):
    source = tools.make_clip(tmp_path / "in.mp4", seconds=6.0)
    sink = open_sink(tmp_path / "out.mp4")
    tools.write_all(sink, tools.stream_format(audio_path=source), [i * 512 for i in range(25)], close=False)
    sink.abort()
    assert 0.9 <= tools.sound_packets(tmp_path / "out.partial.mp4")[-1][1] <= 1.0


@pytest.mark.parametrize("ext", ["mp4", "mkv"])
def test_long_sound_is_interleaved_with_the_picture(tmp_path, tools, ext):
    source = tools.make_clip(tmp_path / "in.mp4", seconds=6.0)
    out = tmp_path / f"out.{ext}"
    tools.run(source, out)
    with av.open(str(out)) as container:
        packets = sorted((p for p in container.demux() if p.size), key=lambda packet: packet.pos)
        latest = {"video": 0.0, "audio": 0.0}
        farthest = 0.0
        for packet in packets:
            latest[packet.stream.type] = float(
                (packet.dts if packet.dts is not None else packet.pts) * packet.time_base
            )
            farthest = max(farthest, abs(latest["video"] - latest["audio"]))
    assert farthest < 0.5


def test_source_without_sound_and_stream_without_sound_path(tmp_path, tools):
    silent = tools.make_clip(tmp_path / "silent.mp4", sound=None)
    sink = tools.run(silent, tmp_path / "a.mp4")
    assert tools.sound_codec(tmp_path / "a.mp4") is None
    assert sink.notes == ()
    tools.write_all(open_sink(tmp_path / "b.mp4"), tools.stream_format(), [0, 512])
    assert tools.sound_codec(tmp_path / "b.mp4") is None


def test_sound_that_cannot_be_opened_is_left_out_and_said_so(tmp_path, tools):
    (tmp_path / "broken.mp4").write_bytes(b"nothing of a film")
    for name in ("broken.mp4", "missing.mp4"):
        out = tmp_path / f"out_{name}"
        stream = tools.stream_format(audio_path=tmp_path / name)
        sink = tools.write_all(open_sink(out), stream, [0, 512])
        assert len(tools.read_back(out).seconds) == 2
        assert any("left out" in note for note in sink.notes)


def test_sound_that_cannot_be_read_on_never_kills_the_video(tmp_path, tools, monkeypatch):
    source = tools.make_clip(tmp_path / "in.mp4")
    good = AudioTrack._demuxed

    def breaks_after_ten(self):
        for number, packet in enumerate(good(self)):
            if number == 10:
                raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input")
            yield packet

    monkeypatch.setattr(AudioTrack, "_demuxed", breaks_after_ten)
    sink = tools.run(source, tmp_path / "out.mp4")
    assert len(tools.read_back(tmp_path / "out.mp4").seconds) == 50
    assert len(tools.sound_packets(tmp_path / "out.mp4")) == 10
    assert any("audio ends early" in note for note in sink.notes)


def test_sound_that_the_muxer_refuses_never_kills_the_video(tmp_path, tools, monkeypatch):
    source = tools.make_clip(tmp_path / "in.mp4")
    good = AudioTrack._copied_packets

    def impossible_times(self):
        for number, packet in enumerate(good(self)):
            if number == 10:
                packet.dts = packet.pts + 5000
            yield packet

    monkeypatch.setattr(AudioTrack, "_copied_packets", impossible_times)
    sink = tools.run(source, tmp_path / "out.mp4")
    assert len(tools.read_back(tmp_path / "out.mp4").seconds) == 50
    assert any("audio ends early" in note for note in sink.notes)


def test_truncated_source_gives_the_sound_that_there_is(tmp_path, tools):
    source = tools.make_clip(tmp_path / "in.mkv", sound="flac", seconds=4.0)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    out = tmp_path / "out.mkv"
    tools.run(source, out)
    assert tools.sound_packets(out)
    assert tools.read_back(out).seconds == tools.read_back(source).seconds


def test_transport_stream_sound_fits_mp4(tmp_path, tools):
    source = tools.make_clip(tmp_path / "in.ts")
    out = tmp_path / "out.mp4"
    sink = tools.run(source, out)
    assert sink.notes == ()
    assert len(tools.sound_packets(out)) == len(tools.sound_packets(source))
    assert tools.click_seconds(out) == pytest.approx(tools.click_seconds(source), abs=0.001)


def test_sound_source_is_closed_with_the_sink(tmp_path, tools):
    source = tools.make_clip(tmp_path / "in.mp4")
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    before = len(os.listdir("/proc/self/fd"))
    for index in range(3):
        tools.run(source, tmp_path / f"{index}.mp4")
    assert len(os.listdir("/proc/self/fd")) <= before
