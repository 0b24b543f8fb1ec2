"""What follows from the progress of a run."""

from __future__ import annotations

import pytest

from rtseg.errors import ConfigError
from rtseg.train.schedule import Phase, ScheduleSettings

ONE = (Phase(size_wh=(64, 32), batch=2),)


def test_progress_is_by_steps_or_by_minutes():
    assert ScheduleSettings(phases=ONE, steps=200).progress(50, 1e9) == 0.25
    assert ScheduleSettings(phases=ONE, minutes=2).progress(10**9, 30) == 0.25
    assert ScheduleSettings(phases=ONE, steps=2).progress(5, 0) == 1


@pytest.mark.parametrize("shape", ["cosine", "poly"])
def test_the_rate_rises_then_falls_to_its_end(shape):
    schedule = ScheduleSettings(phases=ONE, steps=1, rate=0.1, shape=shape, warm_up=0.1, final_share=0.02)
    rates = [schedule.rate_at(share / 1000) for share in range(1001)]
    assert rates[0] == pytest.approx(0.002)
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) == 100
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] == pytest.approx(0.002)


def test_cosine_and_poly_have_their_middles():
    middle = {
        shape: ScheduleSettings(phases=ONE, steps=1, rate=1, shape=shape, warm_up=0, final_share=0).rate_at(0.5)
        for shape in ("cosine", "poly")
    }
    assert middle["cosine"] == pytest.approx(0.5)
    assert middle["poly"] == pytest.approx(0.5**0.9)


def test_phases_follow_each_other():
    phases = (*ONE, Phase(size_wh=(128, 64), batch=1, start=0.4))
    schedule = ScheduleSettings(phases=phases, steps=1)
    assert [schedule.phase_index(share) for share in (0, 0.39, 0.4, 1)] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "expected exactly one budget"),
        ({"steps": 3, "minutes": 1}, "expected exactly one budget"),
        ({"steps": 0}, "expected numbers above 0"),
        ({"steps": 3, "rate": -1}, "expected numbers above 0"),
        ({"steps": 3, "warm_up": 1}, "expected shares"),
        ({"steps": 3, "phases": ()}, "expected 0, then rising"),
        ({"steps": 3, "phases": (Phase(size_wh=(32, 32), batch=1, start=0.5),)}, "expected 0, then rising"),
        ({"steps": 3, "phases": (Phase(size_wh=(33, 32), batch=1),)}, "multiples of 32"),
        ({"steps": 3, "phases": (Phase(size_wh=(32, 32), batch=0),)}, "at least one picture"),
        ({"steps": 3, "phases": (Phase(size_wh=(32, 32), batch=1, mildness=1.5),)}, "mildness"),
    ],
)
def test_what_cannot_be_right_fails(changes, message):
    with pytest.raises(ConfigError, match=message):
        ScheduleSettings(**({"phases": ONE} | changes))
