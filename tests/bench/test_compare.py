from __future__ import annotations

import random

import pytest

from rtseg.bench.compare import LEAST_DIFFERENCE, MOST_CHANCE, RULE, compare_documents, judge
from tests.bench.documents import document, failed, result


def verdicts(first, second) -> dict[str, str]:
    """The judgement on each number of the only pair."""
    pair = compare_documents(document(first), document(second)).pairs[0]
    return {verdict.metric: verdict.judgement for verdict in pair.verdicts}


def test_clear_gain_is_better_and_the_way_back_is_worse():
    slow, quick = result(fps=(50.0, 51.0, 50.5)), result(fps=(60.0, 61.0, 60.5))
    there, back = verdicts(slow, quick), verdicts(quick, slow)
    assert there["fps"] == there["core_ms"] == there["latency p50 ms"] == "better"
    assert back["fps"] == back["core_ms"] == back["latency p50 ms"] == "worse"
    assert there["efficiency"] == "not distinguishable"
    assert not compare_documents(document(slow), document(quick)).worse
    assert compare_documents(document(quick), document(slow)).worse


def test_overlapping_repetitions_are_not_distinguishable():
    judgement, why = judge((50.0, 51.0, 60.0), (59.0, 61.0, 62.0), more_is_better=True)
    assert judgement == "not distinguishable"
    assert "overlap" in why


def test_difference_within_the_spread_is_not_distinguishable():
    """Ranges that lie apart by a hair, each far wider than the gap."""
    judgement, why = judge((50.0, 58.0, 59.0), (59.1, 60.0, 70.0), more_is_better=True)
    assert judgement == "not distinguishable"
    assert "is not above the spread" in why


def test_tiny_difference_between_two_runs_is_not_believed_though_the_repetitions_agree():
    before, after = (50.0, 50.01, 50.02), (50.5, 50.51, 50.52)
    judgement, why = judge(before, after, more_is_better=True)
    assert judgement == "not distinguishable"
    assert "2 % asked for" in why
    assert judge(before, after, more_is_better=True, least_difference=0.0)[0] == "better"


@pytest.mark.parametrize(("mine", "theirs"), [(1, 1), (1, 5), (2, 2)])
def test_too_few_repetitions_say_nothing(mine, theirs):
    judgement, why = judge([50.0] * mine, [100.0] * theirs, more_is_better=True)
    assert judgement == "not distinguishable"
    assert "at least 3 each" in why


def test_equal_settings_are_rarely_told_apart():
    """The claim behind the rule, by trial: three repetitions of one and the same setting, drawn 1000 times."""
    rng = random.Random(5)
    draws = [[rng.gauss(50, 3) for _ in range(3)] for _ in range(2000)]
    pairs = zip(draws[::2], draws[1::2], strict=True)
    told = sum(judge(a, b, more_is_better=True)[0] != "not distinguishable" for a, b in pairs)
    assert 0 < told / 1000 < MOST_CHANCE


def test_judgement_is_the_same_both_ways_round():
    rng = random.Random(6)
    opposite = {"better": "worse", "worse": "better", "not distinguishable": "not distinguishable"}
    for _ in range(300):
        before, after = ([rng.uniform(40, 60) for _ in range(4)] for _ in range(2))
        there = judge(before, after, more_is_better=True)[0]
        assert judge(after, before, more_is_better=True)[0] == opposite[there]
        assert judge(before, after, more_is_better=False)[0] == opposite[there]


def test_latency_has_one_value_and_a_wider_margin():
    base = result()
    assert verdicts(base, result(latency_ms={**base["latency_ms"], "p99": base["latency_ms"]["p99"] * 1.2}))[
        "latency p99 ms"
    ] == "not distinguishable"  # fmt: skip
    assert verdicts(base, result(latency_ms={**base["latency_ms"], "p99": base["latency_ms"]["p99"] * 1.6}))[
        "latency p99 ms"
    ] == "worse"  # fmt: skip


def test_latency_within_the_spread_of_fps_is_not_distinguishable():
    shaky = result(fps=(30.0, 50.0, 70.0))
    slower = {**shaky["latency_ms"], "p50": shaky["latency_ms"]["p50"] * 1.5}
    assert verdicts(shaky, result(fps=(30.0, 50.0, 70.0), latency_ms=slower))["latency p50 ms"] == "not distinguishable"


def test_latency_of_every_repetition_is_used_where_it_is_recorded():
    first, second = result(), result()
    first["values"]["latency_p99_ms"], second["values"]["latency_p99_ms"] = [60.0, 61.0, 62.0], [66.0, 66.5, 67.0]
    first["latency_ms"]["p99"], second["latency_ms"]["p99"] = 61.0, 66.5
    assert verdicts(first, second)["latency p99 ms"] == "worse"


def test_memory_is_compared():
    assert verdicts(result(), result(memory_peak_mib=500.0))["memory MiB"] == "worse"
    assert verdicts(result(), result(memory_peak_mib=425.0))["memory MiB"] == "not distinguishable"


def test_number_that_one_run_lacks_is_said_and_one_that_both_lack_is_left_out():
    lacking = result(limit_share=None)
    comparison = compare_documents(document(lacking), document(result()))
    assert any("limit_share" in line and "not measured in the first" in line for line in comparison.lines())
    both = compare_documents(document(lacking), document(lacking))
    assert not any("limit_share:" in line for line in both.lines())


def test_measuring_fault_is_no_gain():
    faulty = result(
        values={**result()["values"], "limit_share": [1.2, 1.21, 1.22]}, limit_share=1.21,
        faults=["limit_share 1.210 is above 1: a measuring fault"],
    )  # fmt: skip
    assert verdicts(result(), faulty)["limit_share"] == "not distinguishable"
    sound = {**faulty, "faults": []}
    assert verdicts(result(), sound)["limit_share"] == "better"


def test_paced_rate_is_no_achievement():
    paced = [result(fps=fps, pace_hz=30.0) for fps in ((30.0, 30.0, 30.0), (28.0, 28.0, 28.0))]
    assert verdicts(*paced)["fps"] == "not distinguishable"


def test_settings_are_paired_by_all_their_parts_whatever_their_order():
    first = document(result("a"), result("b"), result("a", sink=".mp4"), result("a", pace_hz=30.0))
    second = document(result("a", sink=".mp4"), result("b", sources=4), result("a", size=[1, 2]), result("a"))
    comparison = compare_documents(first, second)
    assert len(comparison.pairs) == 2
    assert len(comparison.only_before) == len(comparison.only_after) == 2
    lines = "\n".join(comparison.lines())
    assert "only in the first: b · openvino" in lines
    assert (
        "only in the second: b · openvino · int8 · 640×320 · clip.mp4 960×540 · driving effect · null sink · 4" in lines
    )


def test_setting_that_fails_now_is_worse_and_one_that_runs_again_is_not():
    working = result("street", backend="tensorrt", precision="auto", size=None, source={"name": "clip.mp4"})
    broken = failed("street", "tensorrt: got no GPU")
    comparison = compare_documents(document(working), document(broken))
    assert comparison.worse
    assert any("it ran before and fails now: tensorrt: got no GPU" in line for line in comparison.lines())
    assert "1 worse" in comparison.lines()[-2]
    mended = compare_documents(document(broken), document(working))
    assert not mended.worse
    assert any("it failed before" in line for line in mended.lines())


def test_other_machine_versions_and_options_are_warned_of_in_plain_words():
    other = document(result(), timed=["otherwise"], interrupted=True)
    other["machine"] |= {"cpu": "Another", "governor": None, "versions": {"rtseg": "0.2.0", "av": "18"}}
    warnings = "\n".join(compare_documents(document(result()), other).warnings)
    for words in (
        "another machine: cpu A Processor 3000 and Another",
        "another version: rtseg 0.1.0 and 0.2.0",
        "another version: av absent and 18",
        "another version: openvino 2026.0.0 and absent",
        "say differently what is timed",
        "the second run was interrupted",
    ):
        assert words in warnings
    same = compare_documents(document(result()), document(result())).warnings
    assert len(same) == 1
    assert "not interleaved" in same[0]


def test_other_weights_policy_and_unsteady_runs_are_noted():
    after = result(
        model_sha256="b", policy="freshest", repeats=9, drops={"newer_frame": 3}, score=("CamVid val mIoU", 0.5),
        warm_up={"frames": 1, "seconds": 1, "steady": False}, faults=["efficiency 1.1 is above 1"],
    )  # fmt: skip
    notes = "\n".join(compare_documents(document(result(model_sha256="a")), document(after)).pairs[0].notes)
    for words in ("sha256 differs: a and b", "policy differs: every and freshest", "repeats differs", "not steady",
                  "score differs: CamVid val mIoU 0.661 and CamVid val mIoU 0.500", "dropped frames: 0 and 3",
                  "second run: FAULT: efficiency 1.1"):  # fmt: skip
        assert words in notes


def test_rule_is_in_the_output():
    lines = compare_documents(document(), document()).lines()
    assert lines[-1] == RULE
    assert f"{LEAST_DIFFERENCE:.0%}" in RULE
    assert "nothing to compare: no setting is in both" in lines


def test_documents_that_lack_nearly_everything_are_compared_without_a_guess():
    bare = {"results": [{"model": "a"}, "nonsense", {"model": "b", "fps": "fast", "values": {"fps": ["x", None]}}]}
    comparison = compare_documents(bare, bare)
    assert len(comparison.pairs) == 3
    assert not comparison.worse
    assert all(not pair.verdicts for pair in comparison.pairs)


def test_clocks_of_a_busy_machine_are_not_compared():
    alone, crowded = result(fps=(50.0, 51.0, 50.5)), result(fps=(20.0, 21.0, 20.5), others_cores=1.7)
    busy = verdicts({**alone, "others_cores": 0.1}, crowded)
    assert busy["fps"] == busy["latency p50 ms"] == "not distinguishable"
    assert busy["core_ms"] == "worse"
    assert verdicts({**alone, "others_cores": 1.6}, crowded)["fps"] == "worse"


def test_memory_does_not_hang_on_the_spread_of_fps():
    shaky = result(fps=(30.0, 50.0, 70.0))
    assert verdicts(shaky, {**shaky, "memory_peak_mib": 460.0})["memory MiB"] == "worse"
