"""The overload soak, twenty seconds of it, and the table of faults, with peers that are always there."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live import faults, senders
from benchmarks.live.soak import AgeSink, Slope, judged, soak


@pytest.mark.slow
def test_twenty_seconds_of_overload_stay_within_the_bound():
    """Of a slope, twenty seconds on a machine that may be busy say nothing: that is for the ten minutes."""
    result = soak(seconds=20, fps=60, engine_fps=10, backend="fake")
    assert result["holds"]["age within bound"], result
    assert result["memory_mib"][1] - result["memory_mib"][0] < 3  # forty pictures that nobody lets go are more
    assert result["age_ms"]["max"] < 8000  # a queue would be sixteen seconds long by now
    frames = result["frames"]
    assert frames["decoded"] == frames["written"] + sum(frames["dropped"].values())
    assert frames["dropped"]["newer_frame"] > 0.5 * frames["decoded"]


def test_a_queue_in_place_of_the_freshest_frame_breaks_the_bound():
    """The control: the same judge on ages that grow as those of a queue do."""
    sink = AgeSink()
    sink.at_seconds = [0.1 * index for index in range(200)]
    sink.ages_ms = [100 + 20.0 * index for index in range(200)]
    sink.memory = [(float(second), 200 + 2.0 * second, 3 + second // 5) for second in range(20)]
    stages = {name: {"p99": 1.0} for name in ("preprocess", "postprocess", "render")} | {"infer": {"p99": 100.0}}
    result = judged(sink, {"stages": stages, "frames": {}}, fps=60)
    assert not any(result["holds"].values())


def test_a_slope_is_found_and_a_flat_line_has_none():
    seconds = [0.1 * index for index in range(1000)]
    noise = np.random.default_rng(1).normal(0, 1, 1000)
    rising = Slope.of(seconds, [float(value) for value in noise + 3 * np.array(seconds) / 60])
    assert abs(rising.a_minute - 3) < 5 * rising.error
    flat = Slope.of(seconds, [float(value) for value in noise])
    assert abs(flat.a_minute) < 4 * flat.error


def late(rows):
    """The rows that do not hold even with four times the time: a busy machine is no fault of the source's side."""
    return [
        (row.fault, row.seen, row.seconds)
        for row in rows
        if not row.holds and not (row.seconds and row.most_seconds and row.seconds <= 4 * row.most_seconds)
    ]


@pytest.mark.slow
def test_the_rows_of_a_changing_stream_hold():
    told = []
    rows = faults.measure(["change"], told.append)
    assert late(rows) == []
    assert len(rows) == 5


@pytest.mark.slow
def test_real_peers_that_are_killed_and_frozen_are_noticed_and_found_again():
    if not senders.has_gstreamer():
        pytest.skip("GStreamer's RTSP server and its bindings are absent")
    rows = faults.measure(["rtsp"], lambda _: None)
    assert late(rows) == []


def test_a_table_is_written_between_its_marks(tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{faults.BEGIN}\nrow of before\n{faults.END}\nafter\n")
    monkeypatch.setattr(faults, "README", readme)
    faults.write_table([faults.Row("peer", "killed", "stalled", 1.5, 2.5, True)])
    text = readme.read_text()
    assert "row of before" not in text
    assert "| peer | killed | stalled | 1.50 s | ≤ 2.5 s | yes |" in text
    assert text.startswith("before")
    assert text.rstrip().endswith("after")
