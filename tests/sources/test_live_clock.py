"""One timeline, whatever the source's clock does."""

from __future__ import annotations

import math

import pytest

from rtseg.sources.live_clock import TIME_BASE, LiveClock

SECOND_NS = 1_000_000_000


def seconds(clock, raw, arrived_seconds):
    return float(clock.frame_ticks(raw, round(arrived_seconds * SECOND_NS)) * TIME_BASE)


def test_the_first_frame_is_at_zero_and_the_source_keeps_its_own_distances():
    clock = LiveClock()
    assert seconds(clock, 5000.0, 100.0) == 0
    assert seconds(clock, 5000.04, 100.3) == pytest.approx(0.04, abs=1e-4)
    assert seconds(clock, 5000.08, 100.31) == pytest.approx(0.08, abs=1e-4)


def test_after_a_reconnection_time_goes_on_as_it_passed():
    clock = LiveClock()
    seconds(clock, 10.0, 100.0)
    seconds(clock, 11.0, 101.0)
    clock.reconnected()
    assert seconds(clock, 0.0, 108.0) == pytest.approx(8.0)
    assert seconds(clock, 0.5, 108.9) == pytest.approx(8.5, abs=1e-4)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, 95_443.7])
def test_a_clock_that_jumps_does_not_take_the_timeline_along(jump):
    clock = LiveClock()
    seconds(clock, 10.0, 100.0)
    assert seconds(clock, 10.04 + jump, 100.04) == pytest.approx(0.04, abs=0.01)
    assert seconds(clock, 10.08 + jump, 100.08) == pytest.approx(0.08, abs=0.01)
    assert clock.jumps == 1


def test_times_always_rise():
    clock = LiveClock()
    given = [clock.frame_ticks(raw, 100 * SECOND_NS) for raw in (1.0, 1.04, 1.04, 1.03, 1.02, 1.5, None, 1.6)]
    assert given == sorted(set(given))


def test_without_times_the_arrival_counts():
    clock = LiveClock()
    assert [round(seconds(clock, None, 50 + at), 3) for at in (0, 0.1, 0.25)] == [0, 0.1, 0.25]


def test_a_recording_may_pause_for_as_long_as_it_likes():
    clock = LiveClock(jump_seconds=math.inf)
    seconds(clock, 0.0, 10.0)
    assert seconds(clock, 90.0, 10.1) == pytest.approx(90)


def test_sound_is_on_the_same_timeline_once_there_is_a_picture():
    clock = LiveClock()
    assert clock.sound_seconds(7.0) is None
    seconds(clock, 7.0, 1.0)
    assert clock.sound_seconds(7.25) == pytest.approx(0.25)
    clock.reconnected()
    assert clock.sound_seconds(7.3) is None
