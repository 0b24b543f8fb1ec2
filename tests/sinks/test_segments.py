"""Segments: each one whole, together gapless, the oldest removed, and a kill costs at most the open one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rtseg.errors import ConfigError, SinkError
from rtseg.sinks import open_sink, segments
from rtseg.sinks.segments import parse_segments
from tests.sinks.receivers import RATE_HZ, BeepAndFlash

ROOT = Path(__file__).resolve().parents[2]


def record(spec: str, frames: int, *, signal: BeepAndFlash | None = None, **options) -> list[Path]:
    signal = signal or BeepAndFlash()
    sink = open_sink(spec, **options)
    sink.open(signal.stream)
    for index in range(frames):
        sink.write(signal.frame(index), None)
    sink.close()
    return sorted(path for path in sink.target.iterdir())


def times_and_luma(path: Path) -> tuple[list[float], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [f.time for f in frames], [float(f.to_ndarray(format="gray").mean()) for f in frames]


def samples_of(path: Path) -> tuple[float, np.ndarray]:
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return frames[0].time, np.concatenate([f.to_ndarray().reshape(-1)[: f.samples] for f in frames])


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_segments_are_whole_gapless_and_in_step(tmp_path, suffix):
    files = record(f"segments:{tmp_path}?seconds=1&format={suffix}", 75)
    assert [path.suffix for path in files] == [f".{suffix}"] * 3
    counts = []
    for path in files:
        times, luma = times_and_luma(path)
        counts.append(len(times))
        assert times[0] == 0
        assert luma[0] > 200 > 100 > luma[10]  # the flash is where the segment begins
        start, samples = samples_of(path)
        beep = start + np.nonzero(np.abs(samples) > 0.05)[0][0] / RATE_HZ
        assert beep == pytest.approx(0.0, abs=0.03)
        assert start + len(samples) / RATE_HZ == pytest.approx(len(times) / 30, abs=0.05)
    assert counts == [30, 30, 15]


def test_the_sound_of_a_file_is_parted_too(tools, tmp_path):
    clip = tools.make_clip(tmp_path / "clip.mkv", seconds=3.0)
    sink = open_sink(f"segments:{tmp_path}/s?seconds=1")
    sink.open(tools.stream_format((64, 48), audio_path=clip))
    for index in range(75):
        sink.write(tools.frame_of(tools.picture_of(index, (64, 48)), index * 512, index=index), None)
    sink.close()
    files = sorted((tmp_path / "s").iterdir())
    assert len(files) == 3
    packets = [tools.sound_packets(path) for path in files]
    original = [content for content, _ in tools.sound_packets(clip)]
    copied = [content for of_one in packets for content, _ in of_one]
    assert copied == original[: len(copied)]  # nothing twice, nothing left out, over the borders too
    assert len(copied) >= len(original) - 2
    for of_one in packets:
        assert of_one[0][1] == pytest.approx(0.0, abs=0.03)
        assert of_one[-1][1] == pytest.approx(1.0, abs=0.06)


def test_only_the_newest_are_kept_and_strangers_stay(tmp_path):
    stranger = tmp_path / "holiday.mkv"
    stranger.write_bytes(b"x")
    files = record(f"segments:{tmp_path}?seconds=1&keep=2", 130)
    own = [path for path in files if path != stranger]
    assert stranger.exists()
    assert [path.stem[-5:] for path in own] == ["00003", "00004"]


def test_a_name_of_one_s_own_goes_on_counting(tmp_path):
    spec = f"segments:{tmp_path}/cam-%03d.mp4?seconds=1"
    record(spec, 40)
    files = record(spec, 40)
    assert [path.name for path in files] == [f"cam-{number:03d}.mp4" for number in range(4)]


def test_an_abort_keeps_the_last_as_a_partial_file(tmp_path):
    signal = BeepAndFlash()
    sink = open_sink(f"segments:{tmp_path}?seconds=1")
    sink.open(signal.stream)
    for index in range(45):
        sink.write(signal.frame(index), None)
    sink.abort()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert names[1].endswith(".partial.mkv")


RECORDER = """
import sys
from rtseg.sinks import open_sink
from tests.sinks.receivers import BeepAndFlash
signal, sink, index = BeepAndFlash(size_wh=(64, 48)), open_sink(sys.argv[1]), 0
sink.open(signal.stream)
while True:
    sink.write(signal.frame(index), None)
    index += 1
"""


def test_a_kill_loses_at_most_the_open_one_and_the_next_start_mends_it(tmp_path, monkeypatch):
    spec = f"segments:{tmp_path}?seconds=2"
    child = subprocess.Popen(
        [sys.executable, "-c", RECORDER, spec], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    until = time.monotonic() + 30
    while len([p for p in tmp_path.iterdir() if not p.name.startswith(".")]) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    child.kill()
    child.wait()
    finished = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert len(finished) >= 3
    assert all(len(times_and_luma(path)[0]) == 60 for path in finished)
    hidden = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(hidden) <= 1
    # One that is being written is left alone; one that nobody writes any more is put right.
    before = sorted(path.name for path in hidden)
    sink = open_sink(spec)
    sink.open(BeepAndFlash(size_wh=(64, 48)).stream)
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == before
    monkeypatch.setattr(segments, "ABANDONED_SECONDS", 0.0)
    sink = open_sink(spec)
    sink.open(BeepAndFlash(size_wh=(64, 48)).stream)
    sink.close()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    for path in tmp_path.glob("*.partial.mkv"):
        assert times_and_luma(path)[0]


def test_what_may_be_removed_counts_as_an_output(tmp_path):
    (path,) = record(f"segments:{tmp_path}?seconds=5", 5)
    other = tmp_path / "clip.mkv"
    other.write_bytes(b"x")
    sink = open_sink(f"segments:{tmp_path}?seconds=5")
    assert sink.would_replace(path)
    assert not sink.would_replace(other)


def test_times_that_start_late_begin_at_zero(tmp_path):
    (path,) = record(f"segments:{tmp_path}", 10, signal=BeepAndFlash(start_seconds=1234.5))
    assert times_and_luma(path)[0][0] == 0


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no folder"),
        ("d?seconds=0", "seconds=0"),
        ("d?seconds=soon", "seconds=soon"),
        ("d?keep=-1", "keep=-1"),
        ("d?length=3", "got length"),
        ("d?format=avi", "extension '.avi'"),
        ("d/cam-%Y.mp4", "a number in it"),
    ],
)
def test_what_cannot_be_right(text, match):
    with pytest.raises(ConfigError, match=match):
        parse_segments(text)


def test_names(tmp_path):
    plan = parse_segments(f"{tmp_path}/cam-%Y%m%d-%04d.mp4?seconds=5&keep=3")
    assert (plan.seconds, plan.keep, plan.folder) == (5.0, 3, tmp_path)
    path = plan.file(7, time.strptime("2026-03-01", "%Y-%m-%d"))
    assert path.name == "cam-20260301-0007.mp4"
    assert plan.pattern.fullmatch(path.stem)[1] == "0007"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SinkError, match="output"):
        open_sink(f"segments:{tmp_path}/file/sub").open(BeepAndFlash().stream)


def test_transparent_pictures_are_refused_before_the_first(tools, tmp_path):
    with pytest.raises(ConfigError, match="transparent"):
        open_sink(f"segments:{tmp_path}/s").open(tools.stream_format(has_alpha=True))
    assert not (tmp_path / "s").exists()


def test_a_frame_before_open_is_an_error(tmp_path):
    with pytest.raises(SinkError, match="not open"):
        open_sink(f"segments:{tmp_path}").write(BeepAndFlash().frame(0), None)


def test_fractions_of_seconds_are_kept(tmp_path):
    files = record(f"segments:{tmp_path}?seconds=1.5", 60)
    assert [len(times_and_luma(path)[0]) for path in files] == [45, 15]
    assert Fraction(3, 2) == parse_segments("d?seconds=1.5").seconds
