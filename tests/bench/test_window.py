"""What a window counts, what it leaves out, and what it costs."""

from __future__ import annotations

import time

import pytest

from rtseg.bench.steady import BLOCK_FRAMES, SteadyRate
from rtseg.bench.window import Window
from rtseg.errors import SourceError
from rtseg.stats import StageStats, Stats


def feed(rate: SteadyRate, gaps_ms) -> int | None:
    now_ns = 0
    for index, gap_ms in enumerate(gaps_ms):
        if rate.add(now_ns):
            return index
        now_ns += round(gap_ms * 1e6)
    return None


def test_an_even_rate_is_steady_after_three_blocks():
    assert feed(SteadyRate(block_seconds=0.1), [20] * 100) == 3 * BLOCK_FRAMES


def test_a_rate_that_still_rises_is_not_steady_and_becomes_it_when_it_stops():
    rising = [60 * 0.97**index for index in range(60)]
    assert feed(SteadyRate(block_seconds=0.1), rising) is None
    index = feed(SteadyRate(block_seconds=0.1), [*rising, *[10] * 200])
    assert index is not None
    assert index > 60


def run_window(window: Window, *, interval_seconds: float, on_frame=lambda number: None) -> None:
    for number in range(10_000):
        if window.closed:
            return
        time.sleep(interval_seconds)
        on_frame(number)
        window.frame()
    raise AssertionError("the window never closed")


def test_frames_are_counted_between_the_stamps_and_the_warm_up_apart():
    window = Window(0.3, most_warm_up_seconds=0.5)
    run_window(window, interval_seconds=0.01)
    usage = window.usage()
    assert usage.seconds >= 0.3
    assert usage.fps == pytest.approx(usage.frames / usage.seconds)
    assert 10 < usage.fps < 101
    assert usage.warm_up.frames > 0
    assert usage.cpu_cores < 0.9


def test_a_warm_up_that_never_settles_is_reported_as_such():
    window = Window(0.1, most_warm_up_seconds=0.15)
    gaps = iter([0.001, 0.03] * 5_000)
    run_window(window, interval_seconds=0, on_frame=lambda number: time.sleep(next(gaps) * (1 + number % 7)))
    assert not window.usage().warm_up.steady


def test_processor_time_of_the_window_is_what_was_burnt():
    def burn(_number: int) -> None:
        until = time.process_time() + 0.01
        while time.process_time() < until:
            pass

    window = Window(0.3, most_warm_up_seconds=0.1)
    run_window(window, interval_seconds=0, on_frame=burn)
    assert 9.5 < window.usage().core_ms < 14


def test_only_what_happened_inside_the_window_is_in_its_stats():
    stats, decode = Stats(), StageStats()

    def slow_at_first(number: int) -> None:
        stats.stage("render").add(10**9 if number == 0 else 10**6)
        stats.frames.decoded += 1
        stats.frames.dropped["newer_frame"] += number == 0
        decode.add(10**9 if number == 0 else 2 * 10**6)

    window = Window(0.1, most_warm_up_seconds=0.05)
    window.watch(stats, decode)
    run_window(window, interval_seconds=0.001, on_frame=slow_at_first)
    (lap,) = window.usage().stats
    assert lap.stages["render"].durations.max_ns == 10**6
    assert lap.stages["decode"].durations.max_ns == 2 * 10**6
    assert lap.frames.decoded == window.usage().frames
    assert lap.frames.dropped.total() == 0
    assert stats.frames.dropped.total() == 1  # the control: it did happen, before the window opened


def test_a_window_that_was_ended_early_has_no_numbers():
    window = Window(5)
    window.frame()
    window.end()
    window.frame()
    with pytest.raises(SourceError, match="got 1 frames and then no more"):
        window.usage()
