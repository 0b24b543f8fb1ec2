"""The search for how many cameras run in time."""

from __future__ import annotations

import pytest

from rtseg.bench.capacity import CapacitySearch, Trial, trial_of
from tests.bench.parts import stats_with, usage


def search_for(most: int, *, limit: int = 256) -> CapacitySearch:
    return CapacitySearch(lambda cameras: Trial(cameras, 30.0 * cameras, 20.0, 0, cameras <= most), most=limit)


@pytest.mark.parametrize("most", [0, 1, 2, 3, 5, 8, 13, 100])
def test_the_most_that_holds_is_found_without_trying_every_number(most):
    search = search_for(most)
    assert search.run() == most
    assert len(search.tried) <= 24
    counts = [trial.cameras for trial in search.tried]
    assert counts[0] == 1
    if most:
        assert counts.count(most) == 2  # the answer was tried once more
    assert counts.count(most + 1) == 2  # and the next number failed twice


def test_the_search_ends_where_more_are_not_tried():
    assert search_for(1000, limit=10).run() == 10


def test_one_hiccup_is_forgiven():
    seen = []

    def attempt(cameras: int) -> Trial:
        seen.append(cameras)
        return Trial(cameras, 0.0, 0.0, 0, cameras <= 3 and seen.count(cameras) != 1)

    search = CapacitySearch(attempt)
    assert search.run() == 3
    assert not search.tried[0].held  # and is told


def test_an_answer_that_does_not_hold_twice_is_taken_back():
    seen = []

    def attempt(cameras: int) -> Trial:
        seen.append(cameras)
        return Trial(cameras, 0.0, 0.0, 0, cameras <= 3 or (cameras == 4 and seen.count(4) == 1))

    assert CapacitySearch(attempt).run() == 3


PACE = {"cameras": 2, "pace_hz": 25.0, "p99_limit_ms": 50.0}


def test_in_time_means_young_enough_at_the_full_rate_and_without_drops():
    young = tuple(stats_with(ages_ms=[20] * 50) for _ in range(2))
    assert trial_of(usage(frames=100, seconds=2, stats=young), **PACE).held
    old = (stats_with(ages_ms=[20] * 48 + [80] * 2), young[0])
    assert not trial_of(usage(frames=100, seconds=2, stats=old), **PACE).held
    dropping = (stats_with(ages_ms=[20] * 50, drops=2), young[0])
    trial = trial_of(usage(frames=100, seconds=2, stats=dropping), **PACE)
    assert not trial.held
    assert trial.drops == 2
    assert not trial_of(usage(frames=80, seconds=2, stats=young), **PACE).held  # late, and so fewer
