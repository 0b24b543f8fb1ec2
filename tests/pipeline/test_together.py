"""Several sources at once: what happens to one is nothing to the others."""

from __future__ import annotations

import threading
import time

import pytest

from rtseg.errors import SourcesFailed, StageError
from rtseg.pipeline.mosaic import Mosaic
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.together import run_mosaic, run_together
from tests.pipeline.live_parts import ScriptedSource, until
from tests.pipeline.parts import CountingSink, CountingSource, StubSegmenter, our_threads


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert our_threads() == []


def pipeline_of(source, segmenter=None, **options):
    sink = CountingSink()
    return Pipeline(source, segmenter or StubSegmenter(), sinks=[sink], **options), sink


def test_all_run_at_once_and_through_one_segmenter():
    segmenter = StubSegmenter()
    pairs = [pipeline_of(CountingSource(30, interval_seconds=0.01), segmenter) for _ in range(3)]
    started = time.monotonic()
    stats = run_together([pipeline for pipeline, _ in pairs])
    assert time.monotonic() - started < 3 * 0.3 + 5
    assert [run.frames.written for run in stats] == [30, 30, 30]
    assert all(sink.indices == list(range(30)) for _, sink in pairs)


def test_one_that_fails_ends_alone_and_is_reported_at_the_end():
    good, sink = pipeline_of(CountingSource(30, interval_seconds=0.01))
    bad, _ = pipeline_of(CountingSource(10, fail_at=3), label="bad")
    with pytest.raises(SourcesFailed, match="1 of 2 sources failed") as caught:
        run_together([bad, good])
    assert sink.indices == list(range(30))
    ((name, error),) = caught.value.errors
    assert name == "counting"
    assert isinstance(error, StageError)
    assert [run.frames.written for run in caught.value.stats.sources][1] == 30


def test_a_healthy_source_loses_nothing_while_another_is_silent():
    healthy, sink = pipeline_of(CountingSource(60, live=True, interval_seconds=0.01), policy="every")
    silent, _ = pipeline_of(ScriptedSource("k~"))

    def stop_silent():
        until(lambda: len(sink.indices) == 60)
        silent.stop()

    threading.Thread(target=stop_silent).start()
    stats = run_together([silent, healthy])
    assert sink.indices == list(range(60))
    assert stats[1].frames.dropped.total() == 0


def test_leaving_early_stops_all_of_them_within_two_seconds():
    pairs = [pipeline_of(CountingSource(100_000, interval_seconds=0.005)) for _ in range(2)]
    started = []

    def press_ctrl_c(_together):
        until(lambda: all(sink.indices for _, sink in pairs))
        started.append(time.monotonic())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([pipeline for pipeline, _ in pairs], meanwhile=press_ctrl_c)
    assert time.monotonic() - started[0] < 2.5
    assert all(pipeline.stats.facts["interrupted"] for pipeline, _ in pairs)


def test_a_mosaic_shows_every_source_and_goes_on_when_one_fails():
    sink = CountingSink()
    sink.write = lambda frame, result: sink.pictures.append(frame)
    mosaic = Mosaic(["left", "right", "below"], [sink], size_wh=(320, 240), fps=40)
    sources = [
        CountingSource(60, live=True, interval_seconds=0.02, size_wh=(160, 120)),
        CountingSource(60, live=True, interval_seconds=0.02, fail_at=5, size_wh=(160, 120)),
        CountingSource(60, live=True, interval_seconds=0.02, size_wh=(120, 160)),
    ]
    pipelines = [
        Pipeline(source, StubSegmenter(), sinks=[tile], label=tile._label)
        for source, tile in zip(sources, mosaic.tiles, strict=True)
    ]
    with pytest.raises(SourcesFailed, match="1 of 3"):
        run_mosaic(pipelines, mosaic)
    assert sink.closed == 1
    shown = (
        frame for frame in reversed(sink.pictures) if min(frame.picture[20, 80, 0], frame.picture[180, 80, 0]) > 30
    )
    last = next(shown)  # before either of the healthy ones ended: a tile of an ended source is darker
    assert last.size_wh == (320, 240)
    times = [frame.pts_seconds for frame in sink.pictures]
    assert times == sorted(set(times))
    assert abs(int(last.picture[20, 80].mean()) - 40) < 4  # the first tile: the source's own grey
    assert abs(int(last.picture[180, 20].mean()) - 24) < 4  # beside a picture that stands upright: the ground
    assert abs(int(last.picture[180, 240].mean()) - 24) < 4  # no fourth source


def test_a_mosaic_ends_when_its_viewer_asks_for_it():
    class Leaving(CountingSink):
        @property
        def wants_stop(self):
            return len(self.pictures) > 3

        def write(self, frame, result):
            self.pictures.append(frame)

    mosaic = Mosaic(["a"], [Leaving()], size_wh=(64, 48), fps=50)
    pipeline = Pipeline(CountingSource(100_000, interval_seconds=0.005), StubSegmenter(), sinks=[mosaic.tiles[0]])
    started = time.monotonic()
    run_mosaic([pipeline], mosaic)
    assert time.monotonic() - started < 5
