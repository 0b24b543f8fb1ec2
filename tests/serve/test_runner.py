"""A pipeline in a thread: changed while it runs, told why it ended, never left behind; and what it measured is kept."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rtseg.render.effects import Nothing, Tint
from rtseg.serve import tally as tally_module
from rtseg.serve.live_sink import LiveSink
from rtseg.serve.runner import Runner, wait_until_ended
from rtseg.serve.shelf import ModelShelf
from rtseg.serve.tally import STAGE_BOUNDS_MS, Tally, stage_buckets
from rtseg.stats import DurationHistogram, StageStats
from tests.pipeline.parts import CountingSource, our_threads
from tests.serve.parts import run, wait_until


@pytest.fixture(scope="module")
def shelf():
    made = ModelShelf("person", backend="fake")
    yield made
    made.close()


def runner_of(shelf, source, **options) -> Runner:
    loop = asyncio.get_running_loop()
    segmenter = shelf.segmenter("person", smoothing=True)
    return Runner(source, segmenter, (Nothing(),), lambda has: LiveSink(loop, has_command=has), name="test", **options)


def test_it_runs_changes_and_stops(shelf):
    async def work() -> None:
        ended = threading.Event()
        runner = runner_of(shelf, CountingSource(100_000, live=True, interval_seconds=0.01), on_end=ended.set)
        assert runner.state == "idle"
        runner.start()
        await wait_until(lambda: runner.sink.ages.count > 3)
        assert runner.state == "live"
        runner.switch(shelf.segmenter("person", smoothing=False), (Tint(),))
        await wait_until(lambda: runner._pipeline.effects == (Tint(),))
        assert runner._pipeline.segmenter is shelf.segmenter("person", smoothing=False)
        shown = runner.to_json()
        assert shown["frames"] > 3
        assert shown["state"] == "live"
        runner.stop()
        assert await asyncio.to_thread(wait_until_ended, [runner], 3.0)
        assert ended.is_set()
        assert runner.state == "ended"

    run(work())
    assert our_threads() == []


def test_a_failure_is_told_and_leaves_no_thread(shelf):
    async def work() -> None:
        runner = runner_of(shelf, CountingSource(10, live=True, fail_at=3, interval_seconds=0.01))
        runner.start()
        assert await asyncio.to_thread(runner.join, 5.0)
        assert runner.state == "failed"
        assert "Boom" in runner.to_json()["detail"]

    run(work())
    assert our_threads() == []


def test_views_of_a_model_share_its_engine_and_differ_in_smoothing(shelf):
    calm, quick = (shelf.segmenter("person", smoothing=smoothing) for smoothing in (True, False))
    assert calm is shelf.segmenter("person", smoothing=True)
    assert calm is not quick
    assert calm.backend is quick.backend
    assert calm._new_smoother() is not None
    assert quick._new_smoother() is None
    calm.close()
    assert shelf.segmenter("person", smoothing=True)._loaded._closed is False


def test_what_runs_measured_is_added_up(shelf):
    async def work() -> None:
        total = Tally()
        for _ in range(2):
            runner = runner_of(shelf, CountingSource(6, live=True, interval_seconds=0.01))
            runner.start()
            assert await asyncio.to_thread(runner.join, 5.0)
            total.add(runner)
        assert total.runs == 2
        assert total.decoded == 12
        assert total.stats.stage("decode").durations.count == 12
        assert total.with_run(None).decoded == 12
        assert total.with_run(runner).decoded == 18
        assert total.decoded == 12

    run(work())


def test_a_stage_that_grows_while_it_is_read_is_read_again(monkeypatch):
    stage, tries = StageStats(), []
    stage.add(5_000_000)
    real = StageStats.merge

    def fails_first(self, other):
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("dictionary changed size during iteration")
        real(self, other)

    monkeypatch.setattr(StageStats, "merge", fails_first)
    assert tally_module._copied(stage).durations.count == 1
    assert len(tries) == 2


def test_buckets_have_fixed_bounds():
    durations = DurationHistogram()
    for milliseconds in (0.5, 4, 4, 40, 5000):
        durations.add(int(milliseconds * 1e6))
    found = dict(stage_buckets(durations))
    assert tuple(found) == STAGE_BOUNDS_MS
    assert (found[1.0], found[2.0], found[5.0], found[50.0], found[1000.0]) == (1, 1, 3, 4, 4)
