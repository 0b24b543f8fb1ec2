"""Ratios, limits, spreads and faults, on measurements made up so that the answer is known."""

from __future__ import annotations

import pytest

from rtseg.bench.summary import (
    Repetition,
    faults_of,
    limit_json,
    machine_limit_fps,
    spread_of,
    stages_json,
    values_of,
    warm_up_json,
)
from rtseg.stats import Stats
from tests.bench.parts import stats_with, usage


def repetition(*, fps=40.0, bare_fps=50.0, decode_core_ms=2.0, infer_core_ms=38.0, encode_core_ms=None) -> Repetition:
    def alone(core_ms: float, rate: float) -> object:
        return usage(frames=round(rate * 10), seconds=10, cpu_seconds=core_ms * rate / 100)

    return Repetition(
        pipeline=usage(frames=round(fps * 10), seconds=10, cpu_seconds=19),
        bare=alone(infer_core_ms, bare_fps),
        decode=alone(decode_core_ms, 500),
        encode=None if encode_core_ms is None else alone(encode_core_ms, 300),
    )


def test_the_limit_is_cores_over_the_core_milliseconds_of_all_that_cannot_be_left_out():
    assert machine_limit_fps(2, needed_core_ms=2 + 38) == pytest.approx(50)
    for one in (repetition(), repetition(infer_core_ms=33.0, encode_core_ms=5.0)):
        assert values_of([one], cores=2, paced=False).median("limit_fps") == pytest.approx(50)


def test_shares_are_taken_within_each_repetition():
    rounds = [repetition(fps=40, bare_fps=50), repetition(fps=20, bare_fps=25, infer_core_ms=78)]
    values = values_of(rounds, cores=2, paced=False)
    assert values.lists["efficiency"] == pytest.approx([0.8, 0.8])
    assert values.lists["limit_fps"] == pytest.approx([50, 25])
    assert values.lists["limit_share"] == pytest.approx([0.8, 0.8])
    assert values.spreads()["limit_share"] == pytest.approx(0)
    assert values.spreads()["fps"] == pytest.approx(20 / 30, rel=1e-4)


def test_work_that_could_be_left_out_shows_even_where_others_used_the_cores():
    half_busy = repetition(fps=20, bare_fps=50)  # 19 core-seconds for 200 frames: 95 core-ms, of which 40 are needed
    values = values_of([half_busy], cores=2, paced=False)
    assert values.median("work_share") == pytest.approx(40 / 95, rel=1e-4)
    assert values.median("limit_share") == pytest.approx(20 / 50)


def test_encoding_lowers_the_limit():
    values = values_of([repetition(encode_core_ms=10.0)], cores=2, paced=False)
    assert values.median("limit_fps") == pytest.approx(2000 / 50)
    limit = limit_json([repetition(encode_core_ms=10.0)], cores=2)
    assert limit is not None
    assert limit["encode_core_ms"] == pytest.approx(10)


def test_a_share_above_one_is_a_fault_and_one_below_is_none():
    too_good = values_of([repetition(fps=51, bare_fps=52)], cores=2, paced=False)
    assert any("limit_share 1.020 is above 1" in fault for fault in faults_of(too_good))
    assert faults_of(values_of([repetition(fps=49, bare_fps=52)], cores=2, paced=False)) == []
    assert any("efficiency" in fault for fault in faults_of(values_of([repetition(fps=60)], cores=2, paced=False)))


def test_a_paced_source_has_neither_efficiency_nor_share():
    values = values_of([repetition()], cores=2, paced=True)
    assert values.median("efficiency") is None
    assert values.median("limit_share") is None
    assert values.median("fps") == pytest.approx(40)


def test_an_engine_that_leaves_the_cores_idle_has_no_limit_in_core_milliseconds():
    idle = repetition(infer_core_ms=5.0)
    assert values_of([idle], cores=2, paced=False).median("limit_fps") is None
    assert limit_json([Repetition(idle.pipeline, idle.bare)], cores=2) is None


def test_spread_is_the_range_over_the_median():
    assert spread_of([90, 100, 120]) == pytest.approx(0.3)
    assert spread_of([7]) == 0


def test_stages_come_in_the_order_of_a_frames_life_without_the_meter():
    stats = Stats()
    for name in ("sink meter", "sink file", "render", "infer", "decode"):
        stats.stage(name).add(500_000_000)
    stages = stages_json([Repetition(usage(seconds=2.0, stats=(stats,)), usage())])
    assert list(stages) == ["decode", "infer", "render", "sink file"]
    assert stages["render"]["busy_share"] == pytest.approx(0.25)
    assert stages["render"]["mean"] == pytest.approx(500)


def test_one_unsteady_warm_up_is_said():
    rounds = [Repetition(usage(steady=steady), usage()) for steady in (True, False)]
    assert warm_up_json(rounds) == {"frames": 40, "seconds": 1.0, "steady": False}


def test_latency_and_memory_have_a_value_for_every_repetition_where_they_are_its_own():
    rounds = [
        Repetition(
            usage(stats=(stats_with(latencies_ms=[ms] * 9),)), usage(), memory_peak_mib=peak, memory_restarted=True
        )
        for ms, peak in ((20.0, 300.0), (40.0, 310.0))
    ]
    lists = values_of(rounds, cores=2, paced=True).lists
    assert lists["latency_p50_ms"] == pytest.approx([20, 40], rel=0.05)
    assert lists["latency_p99_ms"] == pytest.approx([20, 40], rel=0.05)
    assert lists["memory_peak_mib"] == [300.0, 310.0]
    rounds[1].memory_restarted = False
    assert "memory_peak_mib" not in values_of(rounds, cores=2, paced=True).lists
    assert "latency_p50_ms" not in values_of([repetition()], cores=2, paced=True).lists
