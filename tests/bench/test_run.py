"""A benchmark as a whole: what is interleaved, what goes on without what failed, what is in the document."""

from __future__ import annotations

import json

import pytest

from rtseg.bench import run as bench_run
from rtseg.bench.run import Bench
from rtseg.bench.settings import BenchOptions, Setting, combinations
from rtseg.errors import ConfigError
from rtseg.models.bundle import load_bundle
from tests.conftest import write_clip

QUICK = BenchOptions(seconds=0.05, repeats=2)
ONCE = BenchOptions(seconds=0.05, repeats=1)


def fake(clip, **more) -> Setting:
    return Setting(**{"model": "person", "source": str(clip), "backend": "fake", "effect": "tint", **more})


def measured(settings, options=QUICK) -> dict:
    with Bench(settings, options) as bench:
        bench.run()
        return bench.document(command="rtseg bench")


def test_every_combination_once_and_defaults_for_what_was_not_named():
    found = combinations(["a", "b"], effects=["blur", "tint"], sinks=["null", "null"])
    assert len(found) == 4
    assert {(one.model, one.effect) for one in found} == {("a", "blur"), ("a", "tint"), ("b", "blur"), ("b", "tint")}
    assert {(one.backend, one.precision, one.size_wh, one.source) for one in found} == {("auto", "auto", None, None)}


def test_the_document_holds_what_was_agreed(clip):
    document = measured([fake(clip, sink="mp4")])
    json.dumps(document)  # plain values only
    assert document["format"] == 1
    assert document["timed"]
    assert document["not_timed"]
    assert {"cpu", "cores", "governor", "clocks_mhz", "memory", "gpu", "versions"} <= set(document["machine"])
    (result,) = document["results"]
    assert result["error"] is None
    assert (result["model"], result["backend"], result["size"], result["sink"]) == ("person", "fake", [256, 256], "mp4")
    assert result["source"]["codec"] == "h264"
    assert result["repeats"] == 2
    assert len(result["values"]["fps"]) == len(result["values"]["bare_fps"]) == 2
    assert result["fps"] == pytest.approx(sum(result["values"]["fps"]) / 2, rel=1e-3)
    assert result["efficiency"] == pytest.approx(sum(result["values"]["efficiency"]) / 2, rel=1e-3)
    assert result["limit"]["decode_core_ms"] > 0
    assert result["limit"]["encode_core_ms"] > 0
    assert list(result["stages"])[:2] == ["decode", "preprocess"]
    assert "sink file" in result["stages"]
    assert "sink meter" not in result["stages"]
    assert result["latency_ms"]["count"] == pytest.approx(result["frames"], abs=4)
    assert result["latency_ms"]["p50"] <= result["frame_age_ms"]["p99"]
    histogram = result["histogram"]["latency_ms"]
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert sum(histogram["counts"]) == result["latency_ms"]["count"]
    assert result["warm_up"]["frames"] > 0
    assert result["memory_peak_mib"] > 20
    assert result["model_sha256"] == load_bundle("person").sha256
    assert len(result["values"]["latency_p50_ms"]) == len(result["values"]["latency_p99_ms"]) == 2
    assert max(result["values"].get("memory_peak_mib", [20])) <= result["memory_peak_mib"] + 0.1
    assert result["core_ms"] == pytest.approx(1000 * result["cpu_cores"] / result["fps"], rel=0.5)
    assert any("fake, as asked" in reason for reason in result["reasons"])


def test_what_cannot_run_keeps_its_reason_and_the_others_go_on(clip):
    settings = [fake(clip, backend="tensorrt"), fake(clip), fake(clip, effect="sparkle"), fake(clip, sink="nul")]
    with Bench(settings, ONCE) as bench:
        bench.run()
        results = bench.document()["results"]
        assert bench.first_error is None
    assert [result["error"] is None for result in results] == [False, True, False, False]
    assert "sparkle" in results[2]["error"]
    assert "--sink" in results[3]["error"]
    assert set(results[1]) - {"source"} <= set(results[0]) | {"values"}


def test_a_setting_that_fails_while_it_runs_does_not_end_the_others(clip, monkeypatch):
    original = bench_run.measure_pipeline

    def failing(job, **more):
        if job.sink == "mp4":
            raise ConfigError("planted")
        return original(job, **more)

    monkeypatch.setattr(bench_run, "measure_pipeline", failing)
    first, second = measured([fake(clip, sink="mp4"), fake(clip)], ONCE)["results"]
    assert first["error"] == "planted"
    assert second["repeats"] == 1


def test_where_nothing_could_run_the_first_error_is_told(clip):
    with Bench([fake(clip, effect="sparkle"), fake(clip, sink="nul")], QUICK) as bench:
        bench.run()
        assert "sparkle" in str(bench.first_error)


def test_settings_are_measured_in_turn_and_what_they_share_once_a_round(clip, monkeypatch):
    order = []
    for name in ("measure_pipeline", "measure_bare"):
        original = getattr(bench_run, name)

        def noted(first, *args, _name=name, _original=original, **more):
            order.append((_name, getattr(first, "sink", "")))
            return _original(first, *args, **more)

        monkeypatch.setattr(bench_run, name, noted)
    measured([fake(clip), fake(clip, sink="mkv")])
    assert order == [
        ("measure_bare", ""), ("measure_pipeline", "null"), ("measure_pipeline", "mkv"),
        ("measure_pipeline", "null"), ("measure_bare", ""), ("measure_pipeline", "mkv"),
    ]  # fmt: skip


@pytest.mark.needs_torch
def test_another_input_size_is_really_used(clip):
    pytest.importorskip("onnx")
    resized, own = measured([fake(clip, size_wh=(128, 96)), fake(clip, size_wh=(256, 256))], ONCE)["results"]
    assert (resized["size"], own["size"]) == ([128, 96], [256, 256])
    assert resized["score"] is None
    assert own["score"]["name"] == "portraits val IoU"
    assert any("scores hold at 256x256 only" in reason for reason in resized["reasons"])
    assert not any("scores hold" in reason for reason in own["reasons"])


def test_the_capacity_of_a_slow_engine_is_found_by_trying(clip, monkeypatch):
    from rtseg.backends.fake import FakeBackend
    from rtseg.bench import engines

    original = engines.load
    monkeypatch.setattr(
        engines, "load", lambda model, **more: original(model, **{**more, "backend": FakeBackend(0.03)})
    )
    options = BenchOptions(seconds=0.3, pace_hz=20.0, find_capacity=True, p99_limit_ms=400)
    (result,) = measured([fake(clip)], options)["results"]
    capacity = result["capacity"]
    assert capacity["cameras"] <= 1  # 33 frames a second for cameras of 20
    assert {"cameras", "p99_ms", "drops", "held"} <= set(capacity["tried"][0])
    assert any(not trial["held"] for trial in capacity["tried"])
    assert result["policy"] == "freshest"
    assert result["limit_share"] is None


def test_glass_to_glass_is_measured_where_it_is_asked_for(tmp_path):
    source = write_clip(tmp_path / "clip.mp4", size_wh=(320, 180))
    options = BenchOptions(seconds=0.2, repeats=1, pace_hz=50.0, policy="every", glass=True)
    (result, refused) = measured([fake(source), fake(source, sink="masks")], options)["results"]
    assert result["glass_ms"]["count"] > 2
    assert result["glass_ms"]["p99"] > 0
    assert result["notes"]
    assert "no picture" in refused["error"]


@pytest.mark.parametrize(
    ("wrong", "telling"),
    [
        ({"seconds": 0.0}, "--seconds"),
        ({"repeats": 0}, "--repeats"),
        ({"sources": 0}, "--sources"),
        ({"pace_hz": -1.0}, "--pace"),
        ({"p99_limit_ms": 0.0}, "--p99"),
        ({"policy": "newest"}, "freshest"),
        ({"find_capacity": True}, "--pace 30"),
        ({"find_capacity": True, "pace_hz": 30.0, "sources": 2}, "--sources"),
    ],
)
def test_options_that_cannot_be_right_are_refused(wrong, telling):
    with pytest.raises(ConfigError, match=telling):
        BenchOptions(**wrong)
