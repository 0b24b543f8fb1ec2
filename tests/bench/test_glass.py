from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import rtseg
from rtseg.backends.fake import FakeBackend
from rtseg.bench.glass import (
    FileGlassSink,
    GlassSink,
    GlassTimes,
    StampedSource,
    StampLog,
    WindowGlassSink,
    glass_pair,
    measure_glass,
)
from rtseg.bench.timecode import draw_code, read_code, tick_of
from rtseg.errors import ConfigError, SinkError, SourceError
from rtseg.pipeline.pipeline import Pipeline
from rtseg.sinks import open_sink
from rtseg.sinks.null import NullSink
from rtseg.sinks.window import WindowSink
from rtseg.sources.base import Source, SourceInfo
from rtseg.sources.packets import picture_ends
from rtseg.types import Frame, Segmentation
from tests.conftest import write_clip
from tests.pipeline.parts import StubSegmenter

SIZE_WH = (320, 180)


class PacedSource(Source):
    """Grey frames, one every 10 ms, so that no frame waits for another."""

    def __init__(self, count: int = 12, *, interval_seconds: float = 0.01, size_wh: tuple[int, int] = SIZE_WH):
        super().__init__()
        self.count, self.interval_seconds, self.size_wh = count, interval_seconds, size_wh
        self.closed = 0

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("paced", "file", False, self.size_wh, Fraction(1, 100), Fraction(100), self.count)

    def open(self) -> None:
        pass

    def frames(self) -> Iterator[Frame]:
        for index in range(self.count):
            time.sleep(self.interval_seconds)
            picture = np.full((self.size_wh[1], self.size_wh[0], 3), 60 + index, np.uint8)
            picture.flags.writeable = False
            yield Frame(picture, index, index, Fraction(1, 100), time.monotonic_ns(), "paced")

    def close(self) -> None:
        self.closed += 1


class SlowSink(NullSink):
    """A null sink that takes its time over every frame."""

    def __init__(self, sleep_seconds: float):
        super().__init__()
        self.sleep_seconds = sleep_seconds

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        time.sleep(self.sleep_seconds)
        super().write(frame, result)


def run_pair(source: Source, sink, **options) -> GlassTimes:
    stamped, watched = glass_pair(source, sink, warm_up_frames=options.pop("warm_up_frames", 2))
    Pipeline(stamped, StubSegmenter(), sinks=[watched], policy="every").run()
    return watched.times


def test_delay_of_the_sink_is_in_the_number():
    quick = run_pair(PacedSource(9, interval_seconds=0.07), NullSink()).to_json()
    slow = run_pair(PacedSource(9, interval_seconds=0.07), SlowSink(0.05)).to_json()
    assert quick["count"] == slow["count"] == 7
    assert quick["unreadable"] == slow["unreadable"] == 0
    assert slow["p50"] >= 50 > 2 * quick["p50"]
    assert 0 < quick["p50"] <= quick["p95"] <= quick["p99"] <= quick["max"]


def test_delay_inside_the_source_is_before_the_near_glass():
    """Positive control of where the stamp is: a frame that the source itself held back is not older for that."""
    slow_source = run_pair(PacedSource(8, interval_seconds=0.12), NullSink()).to_json()
    assert slow_source["p50"] < 100


def test_spoiled_pictures_are_unreadable_not_numbers():
    log = StampLog()
    sink = GlassSink(NullSink(), log, warm_up_frames=0)
    good = draw_code(np.full((180, 320, 3), 90, np.uint8), log.stamp(0))
    for index, picture in enumerate([good, np.full_like(good, 90), good[:, ::-1].copy()]):
        sink.write(Frame(picture, index, index, Fraction(1, 30), 0), None)
    assert sink.times.to_json()["count"] == 1
    assert sink.times.to_json()["unreadable"] == 2
    assert "2 of 3 pictures" in sink.notes[-1]


def test_valid_code_that_was_never_stamped_is_not_believed():
    """A code of another run passes the CRC; only the log knows that it is not ours."""
    log = StampLog()
    log.stamp(0)
    stranger = draw_code(np.full((180, 320, 3), 90, np.uint8), tick_of(time.monotonic_ns() - 60_000_000_000))
    assert read_code(stranger) is not None
    sink = GlassSink(NullSink(), log, warm_up_frames=0)
    sink.write(Frame(stranger, 0, 0, Fraction(1, 30), 0), None)
    assert sink.times.to_json() == {"count": 0, "p50": None, "p95": None, "p99": None, "max": None, "unreadable": 1}


def test_two_frames_at_once_have_two_stamps():
    log = StampLog()
    ticks = [log.stamp(index) for index in range(50)]
    assert all(first != second for first, second in itertools.pairwise(ticks))
    assert log.moment_ns(ticks[-1]) is not None
    assert log.moment_ns(None) is None


def test_stamped_frames_keep_their_identity_and_the_source_is_closed():
    inner, log = PacedSource(3, interval_seconds=0), StampLog()
    with StampedSource(inner, log) as source:
        frames = list(source.frames())
    assert [f.frame_index for f in frames] == [f.pts for f in frames] == [0, 1, 2]
    assert all(log.moment_ns(read_code(f.picture)) >= f.captured_ns for f in frames)
    assert inner.closed == 1


def test_source_too_small_for_the_code_is_refused_and_closed():
    inner = PacedSource(3, size_wh=(96, 64))
    with pytest.raises(ConfigError, match=r"96x64; expected at least 168x67"):
        StampedSource(inner, StampLog()).open()
    assert inner.closed == 1


@pytest.mark.parametrize("name", ["seen.mp4", "seen.mkv"])
def test_file_is_read_back_and_counts_when_its_bytes_were_there(tmp_path, name):
    sink = open_sink(tmp_path / name)
    times = run_pair(PacedSource(24), sink).to_json()
    assert (times["count"], times["unreadable"]) == (22, 0)
    assert (tmp_path / name).is_file()
    assert times["p50"] > run_pair(PacedSource(24), NullSink()).to_json()["p50"]


def test_bytes_that_reach_the_file_late_count_late(tmp_path):
    """The muxer's buffer holds small pictures back until the file is closed; that wait is in the number."""
    stamped, watched = glass_pair(
        PacedSource(12, interval_seconds=0.02), open_sink(tmp_path / "a.mp4"), warm_up_frames=0
    )
    Pipeline(stamped, StubSegmenter(), sinks=[watched], policy="every").run()
    assert (tmp_path / "a.mp4").stat().st_size < 32_768
    assert watched.times.to_json()["max"] >= 12 * 20 * 0.8
    assert watched.outputs == (tmp_path / "a.mp4",)
    watched.close()
    assert watched.times.durations.count == 12


def test_picture_ends_rise_and_lie_inside_the_file(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=12)
    ends = picture_ends(path)
    assert sorted(ends) == [Fraction(index, 25) for index in range(12)]
    assert len(set(ends.values())) == 12
    assert max(ends.values()) <= path.stat().st_size
    with pytest.raises(SourceError):
        picture_ends(Path(__file__))


def test_file_that_vanishes_is_said(tmp_path):
    sink = FileGlassSink(open_sink(tmp_path / "a.mp4"), StampLog())
    with pytest.raises(SinkError, match=r"got no file .*a.*expected the one being written"):
        sink._size_bytes()


def test_sink_without_a_picture_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"the sink masks.*expected null, window"):
        glass_pair(PacedSource(), open_sink(f"masks:{tmp_path / 'm'}"))


def test_kinds_of_sinks_have_their_own_far_glass(tmp_path):
    kinds = [
        type(glass_pair(PacedSource(), sink)[1]) for sink in (NullSink(), WindowSink(), open_sink(tmp_path / "a.mp4"))
    ]
    assert kinds == [GlassSink, WindowGlassSink, FileGlassSink]
    assert len({kind.until for kind in kinds}) == 3


def test_everything_else_is_the_sinks_own(tmp_path):
    inner = open_sink(tmp_path / "a.mp4")
    sink = GlassSink(inner, StampLog())
    assert (sink.name, sink.target, sink.wants_stop, list(sink.take_commands())) == ("file", inner.target, False, [])
    (tmp_path / "a.mp4").touch()
    assert sink.would_replace(tmp_path / "a.mp4")


def test_measure_glass_runs_the_real_pipeline(tmp_path):
    with rtseg.load("person", backend=FakeBackend(0.002), threads=1) as segmenter:
        made = measure_glass(
            "synthetic:desk",
            model=segmenter,
            effect="spotlight",
            warm_up_frames=4,
            max_frames=12,
            source_options={"size_wh": SIZE_WH},
        )
        to_file = measure_glass(
            "synthetic:desk", model=segmenter, effect="none", sink=tmp_path / "a.mkv", warm_up_frames=0, max_frames=6,
            source_options={"size_wh": SIZE_WH},
        )  # fmt: skip
    assert made.glass_ms["count"] + made.glass_ms["unreadable"] == 8
    assert made.glass_ms["count"] >= 6
    assert made.stats.frames.written == 12
    assert (to_file.glass_ms["count"], to_file.glass_ms["unreadable"]) == (6, 0)
    assert any("coded bytes" in note for note in to_file.notes())


@pytest.mark.parametrize("sink", ["null", "a.mkv"])
def test_code_that_an_effect_covers_is_drawn_again_and_told(tmp_path, sink):
    with rtseg.load("person", backend=FakeBackend(), threads=1) as segmenter:
        made = measure_glass(
            "synthetic:desk", model=segmenter, effect="replace:color=#ffffff", warm_up_frames=0, max_frames=4,
            sink=sink if sink == "null" else tmp_path / sink, source_options={"size_wh": SIZE_WH},
        )  # fmt: skip
    assert (made.glass_ms["count"], made.glass_ms["unreadable"]) == (4, 0)
    assert "covered the time code in 4 pictures" in made.notes()[-1]


def test_readable_code_is_left_alone():
    sink = GlassSink(NullSink(), log := StampLog(), warm_up_frames=0)
    log.stamp(0)
    other = draw_code(np.full((180, 320, 3), 90, np.uint8), log.stamp(1))
    sink.write(Frame(other, 0, 0, Fraction(1, 30), 0), None)
    assert (sink.times.redrawn, sink.times.durations.count) == (0, 1)


WINDOW = """
from rtseg.bench.glass import glass_pair
from rtseg.sinks.window import WindowSink
from rtseg.pipeline.pipeline import Pipeline
from tests.bench.test_glass import PacedSource
from tests.pipeline.parts import StubSegmenter
source, sink = glass_pair(PacedSource(10), WindowSink(), warm_up_frames=2)
Pipeline(source, StubSegmenter(), sinks=[sink], policy="every").run()
print(sink.times.to_json())
"""


@pytest.mark.skipif(not shutil.which("xvfb-run"), reason="Xvfb is absent")
def test_window_is_read_when_it_has_the_picture():
    seen = subprocess.run(
        ["xvfb-run", "-a", sys.executable, "-c", WINDOW],
        capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "'count': 8" in seen.stdout, seen.stderr
    assert "'unreadable': 0" in seen.stdout
