"""What the printed table says, and what it refuses to say."""

from __future__ import annotations

import pytest

from rtseg.bench.compare import RULE
from rtseg.bench.report_tables import statements
from rtseg.bench.report_values import entries_of
from rtseg.bench.table import document_lines


def result(*, fps=50.0, spread=0.02, **more):
    durations = {"p50": 20.0, "p95": 25.0, "p99": 30.0, "max": 40.0}
    plain = {
        "model": "street", "backend": "openvino", "precision": "bf16", "size": [640, 320], "effect": "driving",
        "source": {"name": "road.mp4"}, "sink": "null", "policy": "every", "pace_hz": None, "sources": 1, "repeats": 3,
        "fps": fps, "bare_fps": 60.0, "efficiency": fps / 60, "limit_fps": 58.0, "limit_share": fps / 58,
        "work_share": 0.9, "core_ms": 38.0, "cpu_cores": 1.9, "others_cores": 0.01,
        "values": {"fps": [fps * 0.995, fps, fps * 1.005], "core_ms": [37.9, 38.0, 38.1]},
        "spread": {"fps": spread, "core_ms": spread}, "latency_ms": durations, "frame_age_ms": durations,
        "drops": {"newer_frame": 3}, "faults": [],
        "reasons": ["r."], "notes": [], "warm_up": {"frames": 9, "seconds": 1.0, "steady": True}, "capacity": None,
        "glass_ms": None, "error": None,
    }  # fmt: skip
    return plain | more


def document(*results):
    machine = {"cpu": "a CPU", "cores": 2, "clocks_mhz": [2500], "governor": "performance"}
    return {"machine": machine, "results": list(results), "not_timed": ["Loading."]}


def lines_of(*results) -> list[str]:
    return [line for line in document_lines(document(*results)) if " against " in line]


def test_a_difference_smaller_than_the_spread_is_not_told():
    shaky = result(fps=50.0, values={"fps": [40.0, 50.0, 51.0]})
    (told,) = lines_of(shaky, result(fps=53.0, values={"fps": [52.0, 53.0, 64.0]}))
    assert told.startswith("2 against 1: not distinguishable in fps")
    (told,) = lines_of(result(fps=50.0), result(fps=53.0))
    assert told.startswith("2 against 1: better: 1.06 × the fps")


def test_table_and_report_say_the_same_by_the_same_rule_and_state_it():
    pairs = [(50.0, 53.0), (50.0, 50.1), (53.0, 50.0)]
    for first, second in pairs:
        both = document(result(fps=first), result(fps=second, precision="int8"))
        (told,) = (line for line in document_lines(both) if " against " in line)
        (said,) = statements(entries_of(both))
        assert told.partition(": ")[2] == said.partition(": ")[2]
        assert RULE in document_lines(both)
    assert RULE not in document_lines(document(result()))


def test_too_few_repetitions_have_no_spread_to_compare_with():
    (told,) = lines_of(result(values={"fps": [50.0, 50.1]}), result(values={"fps": [99.0, 99.1]}))
    assert "not distinguishable" in told
    assert "too few" in told


def test_paced_settings_are_compared_by_what_a_frame_costs():
    cheap = result(pace_hz=30.0, values={"fps": [30.0] * 3, "core_ms": [19.0, 19.1, 19.2]})
    (told,) = lines_of(result(pace_hz=30.0), cheap)
    assert told.startswith("2 against 1: better: 0.50 × the core_ms")


def test_every_number_stands_under_its_name():
    lines = document_lines(document(result(fps=50.0), result(fps=12.3456, limit_share=None, efficiency=None)))
    head, first, second = (line.split() for line in lines[:3])
    assert head[0] == "fps"
    assert first[:2] == ["1", "50"]
    assert first[-1] == "3"
    assert second[1] == "12.3"
    assert second[4] == "–"
    assert len({len(line) for line in lines[:3]}) == 1


@pytest.mark.parametrize(
    ("more", "telling"),
    [
        ({"faults": ["limit_share 1.020 is above 1"]}, "1: FAULT: limit_share 1.020"),
        ({"warm_up": {"frames": 9, "seconds": 1.0, "steady": False}}, "not steady"),
        ({"others_cores": 0.5}, "other processes took 0.50 of 2 cores"),
        ({"glass_ms": {"count": 9, "p50": 40.0, "p99": 60.0, "unreadable": 1}}, "p50 40 ms, p99 60 ms over 9"),
        ({"sources": 4}, "4 sources"),
        ({"pace_hz": 30.0}, "paced at 30 Hz"),
    ],
)
def test_what_casts_doubt_is_said(more, telling):
    assert any(telling in line for line in document_lines(document(result(**more))))
    assert not any(telling in line for line in document_lines(document(result())))


def test_capacity_is_told_with_all_that_was_tried():
    tried = [
        {"cameras": 1, "p99_ms": 30.4, "drops": 0, "held": True},
        {"cameras": 2, "p99_ms": 140.0, "drops": 7, "held": False},
    ]
    capacity = {"cameras": 1, "pace_hz": 30.0, "p99_limit_ms": 100.0, "tried": tried}
    text = "\n".join(document_lines(document(result(capacity=capacity))))
    assert "1 cameras at 30 frames a second" in text
    assert "2: p99 140 ms, 7 dropped, failed" in text


def test_what_could_not_run_is_listed_with_its_reason():
    failed = result(error="backend tensorrt: got none", source=None, size=None, effect=None)
    lines = document_lines(document(failed, result()))
    assert any(line.startswith("not run: built-in scene") and "got none" in line for line in lines)
    assert lines[1].split()[0] == "1"
    assert not any(line.split()[:1] == ["1"] for line in document_lines(document(failed)))
