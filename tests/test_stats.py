"""Rates, percentiles and sums."""

from __future__ import annotations

import numpy as np
import pytest

from rtseg.stats import DurationHistogram, RateMeter, Stats, machine_facts, merged, rate_hz


def test_rate_is_intervals_over_span_not_stamps_over_span():
    assert rate_hz(2, 0.1) == pytest.approx(10.0)
    assert rate_hz(31, 1.0) == pytest.approx(30.0)
    assert rate_hz(1, 1.0) is None


def test_rate_meter_is_right_for_two_ticks_and_for_a_window():
    meter = RateMeter(window_seconds=1.0)
    meter.tick(0)
    assert meter.hz is None
    meter.tick(100_000_000)
    assert meter.hz == pytest.approx(10.0)
    for tick in range(2, 100):
        meter.tick(tick * 100_000_000)
    assert meter.hz == pytest.approx(10.0)


def test_percentiles_agree_with_numpy_within_one_percent():
    samples = np.random.default_rng(3).lognormal(2.5, 0.6, 5000)
    histogram = DurationHistogram()
    for value in samples:
        histogram.add(int(value * 1e6))
    for percent in (50, 95, 99):
        expected = float(np.percentile(samples, percent))
        assert histogram.percentile_ms(percent) == pytest.approx(expected, rel=0.012)
    assert histogram.summary_ms()["max"] == pytest.approx(samples.max(), abs=1e-3)


def test_an_empty_histogram_is_all_zero():
    assert DurationHistogram().summary_ms() == {"p50": 0, "p95": 0, "p99": 0, "max": 0}


def test_percentile_never_exceeds_the_maximum():
    histogram = DurationHistogram()
    histogram.add(1_000_003)
    assert histogram.percentile_ms(99) <= histogram.max_ns / 1e6


def make_run(name: str, frames: int, seconds: float) -> Stats:
    stats = Stats(source_id=name)
    for index in range(frames):
        stats.count_output(int(index * seconds / (frames - 1) * 1e9))
        stats.frames.decoded += 1
        stats.frames.written += 1
        stats.stage("infer").add(10_000_000)
    stats.wall_seconds = seconds
    return stats


def test_merged_runs_add_up_and_keep_each_source():
    total = merged([make_run("a", 11, 1.0), make_run("b", 31, 2.0)])
    report = total.to_json()
    assert report["frames"]["written"] == 42
    assert report["fps"] == pytest.approx(40 / 3.0, rel=1e-3)
    assert [source["source"] for source in report["sources"]] == ["a", "b"]
    assert report["stages"]["infer"]["busy_share"] == pytest.approx(0.42 / 3.0, rel=1e-3)


def test_one_run_is_not_wrapped():
    run = make_run("a", 3, 1.0)
    assert merged([run]) is run


def test_machine_facts_name_cores_and_versions():
    facts = machine_facts()
    assert facts["cores"] >= 1
    assert facts["cpu"]
    assert "numpy" in facts["versions"]


def test_merged_runs_say_at_the_top_only_what_holds_for_all():
    runs = [make_run("a", 3, 1.0), make_run("b", 3, 1.0)]
    for run, width in zip(runs, (640, 320), strict=True):
        run.facts = {"model": "street", "input": {"width": width}}
    runs[1].facts["interrupted"] = True
    report = merged(runs).to_json()
    assert report["model"] == "street"
    assert "input" not in report
    assert report["interrupted"] is True
    assert [source["input"]["width"] for source in report["sources"]] == [640, 320]


def test_a_lap_holds_what_came_since_the_last_one_and_the_run_goes_on():
    stats = Stats(source_id="a")
    for duration_ns in (5_000_000, 1_000_000):
        stats.frames.decoded += 1
        stats.frames.dropped["newer_frame"] += duration_ns == 5_000_000
        stats.latency.add(duration_ns)
        stats.stage("infer").add(duration_ns, busy_ns=duration_ns // 2)
        lap = stats.lap()
        assert lap.frames.decoded == 1
        assert lap.latency.max_ns == lap.stages["infer"].durations.max_ns == duration_ns
        assert lap.stages["infer"].busy_ns == duration_ns // 2
    assert lap.frames.dropped.total() == 0
    assert stats.frames.decoded == 2
    assert stats.stage("infer").busy_ns == 3_000_000
    assert stats.lap().stages["infer"].durations.count == 0


def test_bins_hold_every_duration_between_their_edges():
    histogram = DurationHistogram()
    samples_ms = np.random.default_rng(5).lognormal(2.5, 0.6, 2000)
    for value in samples_ms:
        histogram.add(int(value * 1e6))
    edges, counts = histogram.bins_ms(40)
    expected, _ = np.histogram(samples_ms, edges)
    assert len(counts) <= 40
    assert sum(counts) == 2000
    assert np.abs(expected - counts).max() <= 3
    assert histogram.mean_ms == pytest.approx(samples_ms.mean(), rel=1e-6)
    assert DurationHistogram().bins_ms() == ([], [])
    assert DurationHistogram().mean_ms == 0
