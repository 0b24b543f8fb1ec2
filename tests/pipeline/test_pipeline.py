"""The life of a frame: order, counts, every failure at every stage, stops, and no thread left behind."""

from __future__ import annotations

import threading
import time

import pytest

from rtseg.errors import ConfigError, StageError
from rtseg.pipeline.pipeline import Pipeline
from rtseg.render.effects import Tint
from tests.pipeline.parts import Boom, CountingSink, CountingSource, StubSegmenter, our_threads

COUNT = 9
PLACES = {"first": 0, "middle": COUNT // 2, "last": COUNT - 1}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert our_threads() == []


def run(source=None, segmenter=None, sinks=None, **options):
    sinks = [CountingSink()] if sinks is None else sinks
    pipeline = Pipeline(source or CountingSource(COUNT), segmenter or StubSegmenter(), sinks=sinks, **options)
    return pipeline, sinks


def test_every_frame_comes_out_once_and_in_order():
    pipeline, (sink,) = run()
    stats = pipeline.run()
    assert sink.indices == list(range(COUNT))
    assert (stats.frames.decoded, stats.frames.processed, stats.frames.written) == (COUNT, COUNT, COUNT)
    assert stats.frames.dropped.total() == 0
    assert (sink.closed, sink.aborted) == (1, 0)


def test_pixels_arrive_composited_and_the_decoder_keeps_its_own():
    sink = CountingSink()
    pipeline, _ = run(sinks=[sink], effects=[Tint(opacity=1.0)])
    pipeline.run()
    assert sink.pictures[3][24, 32].tolist() == [220, 20, 60]


def test_as_many_frames_are_in_flight_as_the_backend_says_and_no_more():
    segmenter = StubSegmenter(in_flight=3)
    pipeline, _ = run(segmenter=segmenter, source=CountingSource(30))
    pipeline.run()
    assert 1 <= segmenter.most_outstanding <= 3
    assert segmenter.outstanding == 0


def test_the_report_has_every_promised_part():
    pipeline, _ = run()
    report = pipeline.run().to_json()
    assert set(report["stages"]) == {"decode", "preprocess", "infer", "postprocess", "render", "sink counting"}
    for part in [report["latency_ms"], report["frame_age_ms"], *report["stages"].values()]:
        assert {"p50", "p95", "p99", "max"} <= set(part)
    assert report["policy"]["name"] == "every"
    assert report["backend"]["name"] == "stub"
    assert report["machine"]["cores"] >= 1
    assert report["fps"] > 0


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("stage", ["decode", "preprocess", "infer", "sink counting"])
@pytest.mark.parametrize("slow", [False, True], ids=["fast sink", "slow sink"])
def test_a_failing_stage_is_named_with_its_frame(stage, place, slow):
    at = PLACES[place]
    source = CountingSource(COUNT, fail_at=at if stage == "decode" else None)
    segmenter = StubSegmenter(
        fail_preprocess_at=at if stage == "preprocess" else None, fail_infer_at=at if stage == "infer" else None
    )
    sink = CountingSink(fail_at=at if stage.startswith("sink") else None, sleep_seconds=0.02 if slow else 0.0)
    pipeline, _ = run(source, segmenter, [sink])
    with pytest.raises(StageError) as caught:
        pipeline.run()
    assert (caught.value.stage, caught.value.frame_index) == (stage, at)
    assert isinstance(caught.value.__cause__, Boom)
    assert f"[{stage}, frame {at}]" in str(caught.value)
    assert sink.indices == list(range(len(sink.indices)))
    assert (sink.closed, sink.aborted) == (0, 1)
    assert source.closed >= 1
    assert segmenter.outstanding == 0
    counts = pipeline.stats.frames
    assert counts.decoded == counts.written + counts.dropped.total()


def test_a_failing_compositor_is_named_with_its_frame(monkeypatch):
    def fail(*_args, **_kwargs):
        raise Boom("render")

    monkeypatch.setattr("rtseg.pipeline.drawing.CpuCompositor.composite", fail)
    pipeline, (sink,) = run(effects=[Tint()])
    with pytest.raises(StageError) as caught:
        pipeline.run()
    assert (caught.value.stage, caught.value.frame_index) == ("render", 0)
    assert sink.aborted == 1


@pytest.mark.parametrize("slow", [False, True], ids=["fast sink", "slow sink"])
@pytest.mark.parametrize("place", PLACES)
def test_a_sink_that_asks_for_a_stop_ends_the_run_normally(place, slow):
    sink = CountingSink(stop_at=PLACES[place], sleep_seconds=0.02 if slow else 0.0)
    pipeline, _ = run(CountingSource(1000), sinks=[sink])
    stats = pipeline.run()
    assert sink.indices[-1] == PLACES[place]
    assert (sink.closed, sink.aborted) == (1, 0)
    assert stats.frames.decoded == stats.frames.written + stats.frames.dropped["stopped"]


def test_stop_from_another_thread_ends_a_blocked_run_within_two_seconds():
    pipeline, _ = run(CountingSource(100_000), StubSegmenter(sleep_seconds=0.05), [CountingSink(sleep_seconds=0.05)])
    timer = threading.Timer(0.3, pipeline.stop)
    timer.start()
    started = time.monotonic()
    pipeline.run()
    assert time.monotonic() - started < 2.3
    pipeline.stop()  # idempotent


@pytest.mark.parametrize("moment", ["open", "close"])
def test_a_sink_that_fails_to_open_or_close_is_named(moment):
    other = CountingSink()
    broken = CountingSink(fail_open=moment == "open", fail_close=moment == "close")
    pipeline, _ = run(sinks=[other, broken])
    with pytest.raises(StageError, match=f"{moment} counting"):
        pipeline.run()
    assert broken.aborted == 1


def test_an_interruption_in_a_sink_keeps_what_there_is_and_passes_through():
    sink = CountingSink()
    original = sink.write

    def write(frame, result):
        if frame.frame_index == 3:
            raise KeyboardInterrupt
        original(frame, result)

    sink.write = write
    pipeline, _ = run(sinks=[sink])
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert sink.aborted == 1


def test_max_frames_counts_decoded_frames():
    pipeline, (sink,) = run(CountingSource(100), max_frames=4)
    assert pipeline.run().frames.decoded == 4
    assert sink.indices == [0, 1, 2, 3]


def test_an_empty_source_gives_an_empty_run():
    pipeline, (sink,) = run(CountingSource(0))
    assert pipeline.run().frames.written == 0
    assert sink.closed == 1


def test_freshest_drops_old_frames_keeps_order_and_bounds_the_age():
    source = CountingSource(120, live=True, interval_seconds=0.005)
    pipeline, (sink,) = run(source, StubSegmenter(sleep_seconds=0.03))
    stats = pipeline.run()
    assert stats.to_json()["policy"]["name"] == "freshest"
    assert stats.frames.dropped["newer_frame"] > 30
    assert sink.indices == sorted(sink.indices)
    assert stats.frames.decoded == stats.frames.written + stats.frames.dropped.total()
    ages = stats.frame_age
    assert ages.percentile_ms(95) < 200


def test_every_on_the_same_live_source_drops_nothing():
    """Positive control of the test above: without the policy, frames do wait."""
    source = CountingSource(60, live=True, interval_seconds=0.002)
    pipeline, (sink,) = run(source, StubSegmenter(sleep_seconds=0.01), policy="every")
    assert pipeline.run().frames.dropped.total() == 0
    assert sink.indices == list(range(60))


def test_an_unknown_policy_fails_at_once():
    with pytest.raises(ConfigError, match="every or freshest"):
        run(policy="newest")


def test_a_second_run_fails():
    pipeline, (sink,) = run()
    pipeline.run()
    with pytest.raises(ConfigError, match="second run"):
        pipeline.run()
    assert sink.indices == list(range(COUNT))


def test_a_stop_before_the_run_delivers_nothing():
    pipeline, (sink,) = run(CountingSource(1000))
    pipeline.stop()
    assert pipeline.run().frames.written == 0
    assert (sink.indices, sink.closed) == ([], 1)


def test_two_sinks_of_one_kind_are_told_apart():
    pipeline, _ = run(sinks=[CountingSink(), CountingSink()])
    assert {"sink counting 1", "sink counting 2"} <= set(pipeline.run().stages)


def test_results_can_be_left_early_without_leaving_threads():
    pipeline, _ = run(CountingSource(1000), sinks=[])
    seen = []
    for frame, result in pipeline.results():
        seen.append(frame.frame_index)
        assert result.labels.shape == (48, 64)
        if len(seen) == 5:
            break
    assert seen == [0, 1, 2, 3, 4]


def test_results_raise_the_first_failure():
    pipeline, _ = run(CountingSource(10, fail_at=4), sinks=[])
    seen = []
    with pytest.raises(StageError, match=r"decode, frame 4"):
        seen.extend(frame.frame_index for frame, _ in pipeline.results())
    assert seen == sorted(seen)


def test_the_model_can_be_switched_while_running():
    first, second = StubSegmenter(label=0), StubSegmenter(label=1)
    sink = CountingSink()
    labels = []
    original = sink.write

    def write(frame, result):
        labels.append(int(result.labels[0, 0]))
        if frame.frame_index == 5:
            pipeline.switch_segmenter(second, ())
        original(frame, result)

    sink.write = write
    pipeline, _ = run(CountingSource(60), first, [sink])
    pipeline.run()
    assert sink.indices == list(range(60))
    assert labels == sorted(labels)
    assert labels[0] == 0
    assert labels[-1] == 1


def test_progress_reaches_the_end():
    seen = []
    pipeline, _ = run(on_progress=seen.append)
    pipeline.run()
    assert seen[-1].frames_done == COUNT
    assert seen[-1].frames_expected == COUNT


def test_opencv_works_in_one_thread_while_pipelines_run_and_gets_its_threads_back():
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    seen = []
    inner = []

    def during(progress):
        seen.append(cv2.getNumThreads())
        if not inner:
            inner.append(run()[0].run())
        seen.append(cv2.getNumThreads())

    pipeline, _ = run(on_progress=during)
    pipeline.run()
    after = cv2.getNumThreads()
    cv2.setNumThreads(before)
    assert set(seen[:-2]) == {1}
    assert after == 2
