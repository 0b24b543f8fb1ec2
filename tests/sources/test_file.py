from __future__ import annotations

import random
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from rtseg.errors import ConfigError, DecodeError, SourceError
from rtseg.sources import file as file_module
from rtseg.sources.file import FileSource
from rtseg.types import Frame, Matrix, Yuv420
from tests.sources.clips import (
    number_of,
    numbered_rgb,
    patch_rgb,
    plain_count,
    write_clip,
    write_patches,
)
from tests.sources.test_pixels import error_inside_patches


def read(path: Path, **options: object) -> tuple[list[Frame], FileSource]:
    source = FileSource(path, **options)
    with source:
        return list(source.frames()), source


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.rgb) for frame in frames]


def test_every_frame_in_order_with_its_time(tmp_path: Path) -> None:
    frames, source = read(write_clip(tmp_path / "b.mp4", options={"bf": "3", "g": "12", "crf": "8"}))
    assert numbers(frames) == list(range(20))
    assert [frame.frame_index for frame in frames] == list(range(20))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([n / 25 for n in range(20)])
    assert source.counters.decoded == 20
    assert source.counters.notes == []


def test_the_test_clip_has_reordered_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "b.mp4", options={"bf": "3", "g": "12", "crf": "8"})
    with av.open(str(path)) as container:
        pts = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert pts != sorted(pts)


def test_what_the_header_says(tmp_path: Path) -> None:
    _, source = read(write_clip(tmp_path / "a clip.mp4", with_audio=True))
    info = source.info
    assert (info.source_id, info.kind, info.live) == ("a clip", "file", False)
    assert (info.size_wh, info.frame_rate, info.frame_count) == ((64, 48), Fraction(25), 20)
    assert info.duration_seconds == pytest.approx(0.8, abs=0.05)
    assert info.has_audio
    assert info.path == tmp_path / "a clip.mp4"
    assert info.details["codec"] == "h264"


def test_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    pts = [0, 10, 15, 100, 101, 350, 351, 352, 900, 1000]
    path = write_clip(tmp_path / "v.mkv", frame_count=10, pts=pts, time_base=Fraction(1, 1000))
    frames, source = read(path)
    assert [round(frame.pts_seconds * 1000) for frame in frames] == pts
    assert source.counters.mended_pts == 0


def test_missing_times_are_mended_and_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "raw.h264", options={"bf": "0"})  # an elementary stream carries no times
    frames, source = read(path)
    assert numbers(frames) == list(range(20))
    assert np.all(np.diff([frame.pts for frame in frames]) > 0)
    assert source.counters.mended_pts == 20
    assert source.counters.notes == ["20 missing or wrong frame times were mended."]


@pytest.mark.parametrize(
    ("turn", "degrees"),
    [((0, False, False), 0), ((90, False, False), 90), ((180, False, False), 180), ((-90, False, False), -90)],
)
def test_the_display_rotation_is_applied(tmp_path: Path, turn: tuple[int, bool, bool], degrees: int) -> None:
    frames, source = read(write_clip(tmp_path / "r.mp4", frame_count=3, turn=turn))
    expected = np.rot90(numbered_rgb(0), degrees // 90)
    assert source.info.size_wh == frames[0].size_wh == (expected.shape[1], expected.shape[0])
    assert np.abs(frames[0].rgb.astype(int) - expected).mean() < 4
    assert isinstance(frames[0].picture, Yuv420)


def test_a_mirrored_display_is_applied(tmp_path: Path) -> None:
    frames, _ = read(write_clip(tmp_path / "m.mp4", frame_count=1, turn=(0, True, False)))
    assert np.abs(frames[0].rgb.astype(int) - numbered_rgb(0)[:, ::-1]).mean() < 4


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le"])
def test_colours_survive_the_file(tmp_path: Path, pixel_format: str, matrix: Matrix, full_range: bool) -> None:
    path = write_patches(tmp_path / "p.mkv", pixel_format, matrix, full_range=full_range, size_wh=(128, 32))
    frames, source = read(path)
    assert (source.info.matrix, source.info.full_range) == (matrix, full_range)
    assert len(frames) == 3
    assert error_inside_patches(frames[2].rgb, patch_rgb().astype(int)) <= 3


@pytest.mark.parametrize("size_wh", [(127, 33), (128, 33), (127, 32), (1, 1), (2, 2), (3, 1)])
def test_odd_sizes(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    path = write_patches(tmp_path / "o.mkv", "yuv420p", "bt601", full_range=False, size_wh=size_wh)
    frames, source = read(path)
    assert source.info.size_wh == size_wh
    assert frames[0].rgb.shape == (size_wh[1], size_wh[0], 3)
    if size_wh[0] > 100:
        assert error_inside_patches(frames[0].rgb, patch_rgb(*size_wh).astype(int)) <= 3


def test_frames_outlive_their_source(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    frames, _ = read(path)
    first = frames[0].picture
    assert isinstance(first, Yuv420)
    assert not first.y.flags.writeable
    assert numbers(frames) == list(range(20))


def test_the_stream_that_is_marked_default_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for size_wh in ((128, 96), (64, 48)):
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height = size_wh
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        streams[0].disposition = 0
        streams[1].disposition = av.stream.Disposition.default
        for number in range(4):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(numbered_rgb(number, (stream.width, stream.height)), "rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    frames, source = read(path)
    assert source.info.size_wh == (64, 48)
    assert source.info.details["video_stream"] == "#1 of 2"
    assert len(frames) == 4


def test_a_span_is_exact_and_keeps_the_times(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "s.mp4", frame_count=60, options={"bf": "2", "g": "20", "crf": "8"})
    frames, source = read(path, start_seconds=1.0, duration_seconds=0.6)
    assert [round(frame.pts_seconds * 25) for frame in frames] == list(range(25, 40))
    assert numbers(frames) == list(range(25, 40))
    assert frames[0].frame_index == 0
    assert source.info.frame_count == 15
    assert (source.info.start_seconds, source.info.end_seconds) == (1.0, 1.6)


def test_a_start_after_the_end_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="got no frame from 99 s on"):
        read(write_clip(tmp_path / "s.mp4"), start_seconds=99)


@pytest.mark.parametrize("options", [{"start_seconds": -1}, {"duration_seconds": 0}, {"start_seconds": float("nan")}])
def test_times_that_cannot_be_right(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected a start"):
        FileSource("a.mp4", **options)


def test_a_size_that_changes_goes_on(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "1.h264", frame_count=5, options={"bf": "0"})
    second = write_clip(tmp_path / "2.h264", frame_count=5, size_wh=(96, 64), options={"bf": "0"})
    path = tmp_path / "both.h264"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames, source = read(path)
    assert [frame.size_wh for frame in frames] == [(64, 48)] * 5 + [(96, 64)] * 5
    assert "The picture size changes, first at frame 5." in source.counters.notes


def damaged(path: Path, kind: str, seed: int) -> Path:
    content, chance = bytearray(path.read_bytes()), random.Random(seed)
    if kind == "truncated":
        content = content[: chance.randrange(len(content) * 3 // 4, len(content))]
    else:
        near_end = kind == "tail"
        for _ in range(1 if near_end else 4):
            start = len(content) - chance.randrange(60, 600) if near_end else chance.randrange(600, len(content) - 60)
            content[start : start + 40] = chance.randbytes(40)
    target = path.with_name(f"{kind}{seed}{path.suffix}")
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("thread_count", [2, 8])
@pytest.mark.parametrize("kind", ["truncated", "corrupted", "tail"])
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi"])
def test_damaged_files_give_all_that_decodes(tmp_path: Path, suffix: str, kind: str, thread_count: int) -> None:
    options = {"bf": "2" if suffix != ".avi" else "0", "g": "10", "crf": "20"}
    sound = write_clip(tmp_path / f"sound{suffix}", frame_count=60, size_wh=(160, 96), options=options)
    for seed in range(4):
        path = damaged(sound, kind, seed)
        frames, source = read(path, thread_count=thread_count)
        assert len(frames) == plain_count(path)
        assert np.all(np.diff([frame.pts for frame in frames]) > 0)
        assert source.counters.decoded == len(frames)


def test_broken_packets_are_counted_and_told(tmp_path: Path) -> None:
    frames, source = read(broken_in_the_middle(tmp_path))
    assert len(frames) == 57
    assert source.counters.decode_errors == 3
    assert "3 broken packets were skipped." in source.counters.notes


@pytest.mark.parametrize("limit_px", [0, 10**9], ids=["seeks", "starts over"])
def test_both_ways_of_going_on_after_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_px: int) -> None:
    monkeypatch.setattr(file_module, "REPLAY_LIMIT_PX", limit_px)
    frames, _ = read(broken_in_the_middle(tmp_path))
    expected = [number for number in range(60) if number not in (20, 21, 40)]
    assert [round(frame.pts_seconds * 25) for frame in frames] == expected


def broken_in_the_middle(folder: Path) -> Path:
    """MJPEG of 60 frames, of which the packets 20, 21 and 40 are noise."""
    sound = write_clip(folder / "sound.mkv", frame_count=60, codec="mjpeg", pixel_format="yuvj420p", options={})
    path = folder / "broken.mkv"
    with av.open(str(sound)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            if number in (20, 21, 40):
                noise = av.Packet(b"\x01" * 50)
                noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
                packet = noise
            packet.stream = stream
            target.mux(packet)
    return path


def test_sound_files_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    monkeypatch.setattr(
        file_module, "VideoPass", lambda *args, **options: passes.append(options) or VideoPass(*args, **options)
    )
    from rtseg.sources.decoding import VideoPass

    read(write_clip(tmp_path / "a.mp4", options={"bf": "3"}))
    assert len(passes) == 1
    read(broken_in_the_middle(tmp_path))
    assert [options["careful"] for options in passes[1:]] == [False, True]


def test_a_header_that_promises_more_is_told(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "whole.mp4", frame_count=40, options={"bf": "0"}, header_first=True)
    with av.open(str(path)) as container:
        positions = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: positions[30]])
    frames, source = read(path)
    assert len(frames) == 30
    assert any("The header promises 40 frames, 30 were found." in note for note in source.counters.notes)


def test_audio_only_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "only.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match=r"only\.wav has no video stream: got audio"):
        read(path)


def test_no_frame_at_all_is_a_decode_error(tmp_path: Path) -> None:
    path = tmp_path / "noise.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.start_encoding()
        for number in range(5):
            packet = av.Packet(b"\x02" * 80)
            packet.pts = packet.dts = number
            packet.stream = stream
            packet.time_base = Fraction(1, 25)
            container.mux(packet)
    with pytest.raises(DecodeError, match="no frame that decodes"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"not a video", b"\0" * 5000])
def test_no_media_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"opening x\.mp4: got invalid data"):
        read(path)


def test_a_missing_file_names_the_closest(tmp_path: Path) -> None:
    write_clip(tmp_path / "holiday.mp4", frame_count=1)
    with pytest.raises(SourceError, match=r"Did you mean .*holiday\.mp4\?"):
        read(tmp_path / "holliday.mp4")


def test_names_with_colons_and_percents_are_files(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no such names there")
    path = write_clip(tmp_path / "plain.mp4", frame_count=2)
    odd = path.rename(tmp_path / "rtmp:%03d movie?.mp4")
    assert len(read(odd)[0]) == 2


def test_no_file_and_no_thread_stays(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frame_count=40, size_wh=(320, 240))
    read(path)
    process = psutil.Process()
    files, threads = len(process.open_files()), process.num_threads()
    for _ in range(20):
        with FileSource(path) as source:
            next(source.frames())
    assert len(process.open_files()) == files
    # A joined thread may stay in the kernel's count for a moment: the join returns before it is taken off the list.
    until = time.monotonic() + 5
    while process.num_threads() > threads and time.monotonic() < until:
        time.sleep(0.01)
    assert process.num_threads() <= threads


def test_info_before_open_and_close_twice(tmp_path: Path) -> None:
    source = FileSource(write_clip(tmp_path / "a.mp4"))
    with pytest.raises(SourceError, match="not open"):
        _ = source.info
    source.open()
    source.close()
    source.close()


EXPECTED_FRAMES = {
    "decord__video_90.mov": 3,
    "file-type__fixture__fixture.mov": 5,
    "file-type__fixture__fixture2.3gp": 97,
    "mp4parse__no_timescale.mp4": 170,
    "mp4parse__white.mp4": 300,
    "torchcodec__discard_first_keyframe.mp4": 25,
    "torchcodec__nasa_13013.mp4": 390,
    "torchcodec__testsrc2_odd_height_and_width_444_10bit.mp4": 25,
}


@pytest.mark.needs_shared
def test_odd_footage_gives_every_frame_or_one_line(shared: Path) -> None:
    counts: dict[str, int] = {}
    lines: list[str] = []
    for path in sorted((shared / "media" / "odd").iterdir()):
        try:
            with FileSource(path) as source:
                counts[path.name] = sum(1 for _ in source.frames())
        except SourceError as error:
            lines.append(str(error))
    assert (len(counts), len(lines)) == (47, 17)
    assert all("\n" not in line and len(line) < 300 for line in lines)
    assert min(counts.values()) >= 1
    assert EXPECTED_FRAMES.items() <= counts.items()
