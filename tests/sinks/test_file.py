"""The file sink: times, colours' tags, placing, ends."""

from __future__ import annotations

import errno
import os
import resource
import signal
import struct
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest

from rtseg import color
from rtseg.errors import ConfigError, SinkError
from rtseg.sinks import open_sink, placing
from rtseg.sinks.file import FileSink

CONTAINERS = ("mp4", "m4v", "mov", "mkv", "webm")
STEADY = [index * 512 for index in range(24)]
TIMES: dict[str, tuple[Fraction, list[int]]] = {
    "steady": (Fraction(1, 12800), STEADY),
    "ntsc": (Fraction(1, 30000), [index * 1001 for index in range(24)]),
    "ntsc as a ratio": (Fraction(1001, 30000), list(range(24))),
    "coarse": (Fraction(1, 25), list(range(24))),
    "milliseconds, uneven": (Fraction(1, 1000), [0, 33, 34, 120, 121, 500, 510, 900, 2500, 2501, 2540]),
    "microseconds": (Fraction(1, 1_000_000), [7, 33_361, 66_700, 100_017, 333_333, 1_000_001]),
    "nanoseconds": (Fraction(1, 1_000_000_000), [0, 33_333_333, 66_666_666, 100_000_000]),
    "starts late": (Fraction(1, 90000), [126_001 + index * 3003 for index in range(12)]),
    "starts after 26 hours": (Fraction(1, 90000), [8_589_934_591 + index * 3003 for index in range(12)]),
    "long gap": (Fraction(1, 90000), [0, 3003, 6006, 90000 * 7200, 90000 * 7200 + 3003]),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("ext", CONTAINERS)
def test_pts_are_kept_to_within_one_tick_of_the_container(tmp_path, tools, ext, times):
    time_base, ptss = TIMES[times]
    out = tmp_path / f"out.{ext}"
    tools.write_all(FileSink(out), tools.stream_format(time_base=time_base), ptss)
    read = tools.read_back(out)
    expected = [pts * time_base for pts in ptss]
    assert len(read.seconds) == len(expected)
    assert max(abs(a - b) for a, b in zip(read.seconds, expected, strict=True)) <= read.tick
    exact = ext in ("mp4", "m4v", "mov") and time_base.denominator <= 1_000_000
    assert not exact or read.seconds == expected


@pytest.mark.parametrize("ext", ["mp4", "mkv"])
def test_the_encoder_really_reorders_frames(tmp_path, tools, ext):
    out = tmp_path / f"out.{ext}"
    tools.write_all(FileSink(out), tools.stream_format(), STEADY)
    with av.open(str(out)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [packet.pts for packet in packets] != sorted(packet.pts for packet in packets)


@pytest.mark.parametrize("ext", CONTAINERS)
def test_negative_first_pts_moves_everything_to_zero_and_says_so(tmp_path, tools, ext):
    out = tmp_path / f"out.{ext}"
    ptss = [pts - 6400 for pts in STEADY]
    sink = tools.write_all(FileSink(out), tools.stream_format(), ptss)
    read = tools.read_back(out)
    assert read.seconds[0] == 0
    assert len(read.seconds) == len(STEADY)
    assert max(abs(a - Fraction(b, 12800)) for a, b in zip(read.seconds, STEADY, strict=True)) <= read.tick
    assert any("0.500 s before 0" in note for note in sink.notes)


@pytest.mark.parametrize("ext", CONTAINERS)
def test_start_seconds_becomes_zero(tmp_path, tools, ext):
    out = tmp_path / f"out.{ext}"
    stream = tools.stream_format(start_seconds=0.5)
    sink = tools.write_all(FileSink(out), stream, [6400 + pts for pts in STEADY])
    read = tools.read_back(out)
    assert read.seconds[0] == 0
    assert abs(read.seconds[-1] - Fraction(STEADY[-1], 12800)) <= read.tick
    assert sink.notes == ()


@pytest.mark.parametrize("ext", CONTAINERS)
def test_the_last_frame_lasts_as_long_as_the_others(tmp_path, tools, ext):
    out = tmp_path / f"out.{ext}"
    tools.write_all(FileSink(out), tools.stream_format(), STEADY)
    assert tools.read_back(out).duration_seconds == pytest.approx(24 / 25, abs=0.002)


def test_a_frame_without_rate_lasts_as_long_as_the_one_before(tmp_path, tools):
    out = tmp_path / "out.mp4"
    tools.write_all(FileSink(out), tools.stream_format(frame_rate=None), [0, 2560, 5120])
    assert tools.read_back(out).duration_seconds == pytest.approx(0.6, abs=0.002)


GAPS_MS = {
    "at the end": [0, 40, 80, 580, 1080, 2080, 3060],
    "at the end, last frame out of order": [0, 40, 80, 600, 1100, 1600, 2100, 3060],
    "at the beginning": [0, 1000, 2000, 2500, *range(2540, 3900, 40)],
    "none": list(range(0, 960, 40)),
}


@pytest.mark.parametrize("gaps", GAPS_MS)
@pytest.mark.parametrize("frame_rate", [None, Fraction(25), Fraction(7)])
@pytest.mark.parametrize(("ext", "codec"), [("mp4", "h264"), ("mov", "h265"), ("mp4", "vp9"), ("mkv", "h264")])
def test_gaps_between_reordered_frames_do_not_change_the_length(tmp_path, tools, ext, codec, frame_rate, gaps):
    ptss = GAPS_MS[gaps]
    out = tmp_path / f"out.{ext}"
    stream = tools.stream_format((64, 64), time_base=Fraction(1, 1000), frame_rate=frame_rate)
    tools.write_all(FileSink(out, codec=codec), stream, ptss)
    read = tools.read_back(out)
    last_frame_ms = float(1000 / frame_rate) if frame_rate else ptss[-1] - ptss[-2]
    length = pytest.approx((ptss[-1] + last_frame_ms) / 1000, abs=0.002)
    assert read.duration_seconds == length
    assert read.seconds == [Fraction(pts, 1000) for pts in ptss]
    if ext != "mkv":
        content = out.read_bytes()
        header = content.index(b"mvhd") + 4  # of version 0: flags, two dates, ticks a second, ticks
        ticks_a_second, ticks = struct.unpack(">II", content[header + 12 : header + 20])
        assert ticks / ticks_a_second == length


def test_times_that_do_not_rise_are_mended_and_told(tmp_path, tools):
    out = tmp_path / "out.mp4"
    sink = tools.write_all(FileSink(out), tools.stream_format(), [0, 512, 512, 100, 1024])
    seconds = tools.read_back(out).seconds
    assert [s * 12800 for s in seconds] == [0, 512, 513, 514, 1024]
    assert any("did not rise" in note for note in sink.notes)


@pytest.mark.parametrize("ext", CONTAINERS)
def test_one_frame_is_a_video(tmp_path, tools, ext):
    out = tmp_path / f"out.{ext}"
    tools.write_all(FileSink(out), tools.stream_format(), [0])
    assert len(tools.read_back(out).seconds) == 1


def test_no_temporary_file_stays_and_outputs_name_the_file(tmp_path, tools):
    out = tmp_path / "out.mp4"
    sink = FileSink(out)
    tools.write_all(sink, tools.stream_format(), STEADY, close=False)
    during = os.listdir(tmp_path)
    assert len(during) == 1
    assert during[0].startswith(".out.rtseg-")
    assert during[0].endswith(".mp4")
    assert sink.outputs == ()
    sink.close()
    sink.close()
    sink.abort()
    assert os.listdir(tmp_path) == ["out.mp4"]
    assert sink.outputs == (out,)


@pytest.mark.parametrize("ext", CONTAINERS)
@pytest.mark.parametrize("count", [1, 24])
def test_abort_keeps_a_playable_partial_file_and_nothing_else(tmp_path, tools, ext, count):
    out = tmp_path / f"out.{ext}"
    sink = tools.write_all(FileSink(out), tools.stream_format(), STEADY[:count], close=False)
    sink.abort()
    sink.abort()
    sink.close()
    partial = tmp_path / f"out.partial.{ext}"
    assert os.listdir(tmp_path) == [partial.name]
    assert len(tools.read_back(partial).seconds) == count
    assert sink.outputs == (partial,)


def test_abort_before_the_first_frame_leaves_nothing(tmp_path, tools):
    for opened in (False, True):
        sink = FileSink(tmp_path / "out.mp4")
        if opened:
            sink.open(tools.stream_format())
        sink.abort()
        assert os.listdir(tmp_path) == []
        assert sink.outputs == ()


def test_close_without_a_frame_leaves_nothing(tmp_path, tools):
    sink = FileSink(tmp_path / "out.mp4")
    sink.open(tools.stream_format())
    sink.close()
    assert os.listdir(tmp_path) == []


def test_leaving_the_context_by_an_error_aborts(tmp_path, tools):
    def interrupted():
        with FileSink(tmp_path / "out.mkv") as sink:
            tools.write_all(sink, tools.stream_format(), STEADY, close=False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == ["out.partial.mkv"]


def test_existing_output_is_refused_before_anything_is_written(tmp_path, tools):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(SinkError, match="--overwrite"):
        FileSink(out).open(tools.stream_format())
    assert out.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_overwrite_replaces_at_the_end_only(tmp_path, tools):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    sink = tools.write_all(FileSink(out, overwrite=True), tools.stream_format(), STEADY, close=False)
    assert out.read_bytes() == b"old"
    sink.close()
    assert len(tools.read_back(out).seconds) == len(STEADY)
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_overwrite_that_is_aborted_keeps_the_old_file(tmp_path, tools):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    tools.write_all(FileSink(out, overwrite=True), tools.stream_format(), STEADY, close=False).abort()
    assert out.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["out.mp4", "out.partial.mp4"]


def test_a_file_that_appears_meanwhile_is_not_clobbered(tmp_path, tools):
    out = tmp_path / "out.mp4"
    sink = tools.write_all(FileSink(out), tools.stream_format(), STEADY, close=False)
    out.write_bytes(b"another program's")
    with pytest.raises(SinkError, match="exists"):
        sink.close()
    assert out.read_bytes() == b"another program's"
    assert sorted(os.listdir(tmp_path)) == ["out.mp4", "out.partial.mp4"]
    assert len(tools.read_back(tmp_path / "out.partial.mp4").seconds) == len(STEADY)


def test_missing_folder_folder_as_output_and_dangling_link_are_one_clear_line(tmp_path, tools):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nowhere")
    for name, words in (("no/out.mp4", "no folder"), ("folder.mp4", "got a folder"), ("link.mp4", "exists")):
        with pytest.raises(SinkError, match=words) as caught:
            FileSink(tmp_path / name, overwrite=words != "exists").open(tools.stream_format())
        assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["folder.mp4", "link.mp4"]


def test_read_only_folder_is_one_clear_line(tmp_path, tools, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere, so the answer is given
    with pytest.raises(SinkError, match="read-only folder"):
        FileSink(tmp_path / "out.mp4").open(tools.stream_format())
    assert os.listdir(tmp_path) == []


@pytest.fixture
def file_size_limit():
    """The system refuses to let any file grow beyond 40 kB, as a full disk would."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_action = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, old_action)


@pytest.mark.parametrize("ext", ["mp4", "mkv"])
def test_a_disk_that_fills_up_is_one_clear_error_and_leaves_no_stray_file(tmp_path, tools, ext, file_size_limit):
    out = tmp_path / f"out.{ext}"
    sink = FileSink(out, quality=100)
    with pytest.raises(SinkError, match="room for it"):
        tools.write_all(sink, tools.stream_format((320, 240)), [index * 512 for index in range(200)])
    sink.abort()
    left = os.listdir(tmp_path)
    assert left in ([], [f"out.partial.{ext}"])
    if left:
        assert tools.read_back(tmp_path / left[0]).seconds
    else:
        assert any("could not be written" in note for note in sink.notes)


def test_full_disk_is_named():
    error = placing.write_error(Path("out.mp4"), OSError(errno.ENOSPC, "No space left on device"))
    assert "full disk" in str(error)


def test_tags_say_matrix_and_range(tmp_path, tools):
    for matrix, code in (("bt601", 6), ("bt709", 1), ("bt2020", 9)):
        for full_range in (False, True):
            for ext in ("mp4", "mkv", "webm", "mov"):
                out = tmp_path / f"{matrix}{full_range}.{ext}"
                tools.write_all(FileSink(out), tools.stream_format(matrix=matrix, full_range=full_range), [0, 512])
                picture = tools.read_back(out).pictures[0]
                assert (int(picture.colorspace), int(picture.color_range)) == (
                    code,
                    2 if full_range else 1,
                ), out.name


@pytest.mark.parametrize("kind", ["rgb", "planes"])
@pytest.mark.parametrize(
    ("primaries", "transfer", "codes"),
    [
        ("bt2020", "smpte2084", (9, 16)),
        ("bt2020", "arib-std-b67", (9, 18)),
        ("smpte170m", "smpte170m", (6, 6)),
        (None, None, (9, 2)),
    ],
)
@pytest.mark.parametrize(
    ("ext", "codec"),
    [("mp4", "h264"), ("mp4", "h265"), ("mp4", "av1"), ("mkv", "h264"), ("webm", "vp9"), ("mov", "prores")],
)
def test_tags_say_primaries_and_transfer(tmp_path, tools, ext, codec, primaries, transfer, codes, kind):
    stream = tools.stream_format((64, 64), matrix="bt2020", color_primaries=primaries, color_transfer=transfer)
    picture = tools.picture_of(0, (64, 64))
    if kind == "planes":
        picture = color.to_yuv420(picture, matrix="bt2020", full_range=False)
    out = tmp_path / f"out.{ext}"
    with FileSink(out, codec=codec) as sink:
        sink.open(stream)
        sink.write(tools.frame_of(picture, 0), None)
    read = tools.read_back(out).pictures[0]
    assert (int(read.color_primaries), int(read.color_trc), int(read.colorspace)) == (*codes, 9)


@pytest.mark.parametrize(
    ("name", "codec", "words"),
    [
        ("out.webm", "h264", "vp9, av1 in .webm"),
        ("out.mp4", "prores", "prores to .mov, .mkv"),
        ("out.mov", "vp9", "h264, h265, prores"),
    ],
)
def test_codec_that_does_not_fit_names_what_does(tmp_path, tools, name, codec, words):
    with pytest.raises(ConfigError, match=words):
        FileSink(tmp_path / name, codec=codec).open(tools.stream_format())
    assert os.listdir(tmp_path) == []


def test_unknown_extension_codec_and_quality_are_refused_at_once(tmp_path):
    for name, codec, quality, words in (
        ("out.avi", None, None, r"\.mp4, \.m4v, \.mov"),
        ("out", None, None, "extension"),
        ("out.mp4", "divx", None, "h264, h265"),
        ("out.mp4", None, 101, "0 .small. to 100"),
        ("out.mp4", None, float("nan"), "0 .small. to 100"),
    ):
        with pytest.raises(ConfigError, match=words):
            open_sink(str(tmp_path / name), codec=codec, quality=quality)


@pytest.mark.parametrize(
    ("ext", "codec", "name"),
    [
        ("mp4", None, "h264"),
        ("mov", None, "h264"),
        ("mkv", None, "h264"),
        ("webm", None, "vp9"),
        ("mp4", "h265", "hevc"),
        ("mp4", "hevc", "hevc"),
        ("mkv", "vp9", "vp9"),
        ("webm", "av1", "dav1d"),
        ("mp4", "av1", "dav1d"),
        ("mov", "prores", "prores"),
    ],
)
def test_every_codec_writes_every_frame(tmp_path, tools, ext, codec, name):
    out = tmp_path / f"out.{ext}"
    tools.write_all(FileSink(out, codec=codec), tools.stream_format((128, 96)), STEADY)
    read = tools.read_back(out)
    assert len(read.seconds) == len(STEADY)
    assert name in read.codec


def test_quality_changes_the_size(tmp_path, tools):
    sizes = []
    for quality in (10, 70, 100):
        out = tmp_path / f"q{quality}.mp4"
        tools.write_all(FileSink(out, quality=quality), tools.stream_format((320, 240)), STEADY)
        sizes.append(out.stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


def test_awkward_names(tmp_path, tools):
    for name in ("a b %d #1?.mp4", "b:c.mkv", "http:x.mp4", "ü" * 120 + ".mp4", ".hidden.webm"):
        out = tmp_path / name
        tools.write_all(FileSink(out), tools.stream_format(), [0, 512])
        assert out.is_file()
        assert len(tools.read_back(out.absolute()).seconds) == 2
    assert len(os.listdir(tmp_path)) == 5


def test_encoder_threads_end_with_the_sink(tmp_path, tools):
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("no /proc")
    tools.write_all(FileSink(tmp_path / "warm.mp4"), tools.stream_format(), STEADY)
    before = _native_threads()
    for end in ("close", "abort"):
        for ext in ("mp4", "mkv"):
            sink = FileSink(tmp_path / f"{end}.{ext}", encode_threads=4)
            tools.write_all(sink, tools.stream_format((320, 240)), STEADY, close=False)
            assert _native_threads() > before  # the control: there are threads to end
            getattr(sink, end)()
            deadline = time.monotonic() + 2
            while _native_threads() > before and time.monotonic() < deadline:
                time.sleep(0.01)
            assert _native_threads() <= before


def _native_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_second_open_and_write_outside_are_refused(tmp_path, tools):
    sink = FileSink(tmp_path / "out.mp4")
    frame = tools.frame_of(tools.picture_of(0, (64, 48)), 0)
    with pytest.raises(SinkError, match="not open"):
        sink.write(frame, None)
    sink.open(tools.stream_format())
    with pytest.raises(SinkError, match="second open"):
        sink.open(tools.stream_format())
    sink.write(frame, None)
    sink.close()
    with pytest.raises(SinkError, match="not open"):
        sink.write(frame, None)
