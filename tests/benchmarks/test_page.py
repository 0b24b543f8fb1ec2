"""The arithmetic of the minute in the browser."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live.page import ages_of


def minute(age_ms, every_ms: float = 40.0):
    times = np.arange(0, 60_000, every_ms)
    noise = np.random.default_rng(0).normal(0, 5, len(times))
    return [[float(at), float(age_ms(at) + extra)] for at, extra in zip(times, noise, strict=True)]


def test_a_steady_age_has_no_drift_and_a_growing_one_has():
    steady = ages_of(minute(lambda at: 120.0))
    assert abs(steady["drift_ms_per_minute"]) < 4 * steady["drift_standard_error"] + 1
    assert steady["age_ms"]["p50"] == pytest.approx(120, abs=1)
    assert steady["fps"] == pytest.approx(25, abs=0.1)
    growing = ages_of(minute(lambda at: 120.0 + at / 1000))
    assert growing["drift_ms_per_minute"] == pytest.approx(60, abs=2)
    assert growing["last_10_s_p50_ms"] - growing["first_10_s_p50_ms"] == pytest.approx(50, abs=3)


def test_unreadable_pictures_are_counted_as_shown_but_have_no_age():
    measured = minute(lambda at: 100.0)
    measured[5][1] = measured[6][1] = None
    found = ages_of(measured)
    assert found["pictures"] == len(measured)
    assert found["unreadable"] == 2
