"""Pipelines, engines, decoders and encoders measured for real, with faults planted where they must show."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from rtseg.bench.parts import (
    DecodingAlone,
    EncodingAlone,
    measure_bare,
    measure_pipeline,
    prepared_pictures,
    to_and_fro,
)
from rtseg.bench.settings import BenchOptions
from rtseg.bench.together import run_together
from rtseg.errors import InferenceError, StageError
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.segmenter import load
from rtseg.sinks.null import NullSink
from tests.bench.parts import FakeBackend, fake_segmenter, job_of
from tests.pipeline.parts import our_threads

SLEEP_SECONDS = 0.02


@pytest.fixture
def segmenter():
    with fake_segmenter() as loaded:
        yield loaded


def p50_ms(usage, stage: str) -> float:
    (stats,) = usage.stats
    return stats.stages[stage].durations.percentile_ms(50)


def sleepy(original):
    def slept(*args, **options):
        time.sleep(SLEEP_SECONDS)
        return original(*args, **options)

    return slept


@pytest.mark.parametrize(
    ("owner", "method", "stage"),
    [(CpuCompositor, "composite", "render"), (NullSink, "write", "sink null")],
)
def test_time_lost_in_a_stage_shows_in_that_stage_and_in_the_rate(clip, segmenter, monkeypatch, owner, method, stage):
    plain = measure_pipeline(job_of(clip, segmenter), sources=1, seconds=0.2)
    monkeypatch.setattr(owner, method, sleepy(getattr(owner, method)))
    slowed = measure_pipeline(job_of(clip, segmenter), sources=1, seconds=0.2)
    assert p50_ms(slowed, stage) >= SLEEP_SECONDS * 1000
    assert p50_ms(plain, stage) < SLEEP_SECONDS * 1000  # the control
    assert slowed.fps <= 1 / SLEEP_SECONDS < plain.fps
    others = {"decode", "preprocess", "postprocess", "render", "sink null"} - {stage}
    assert all(p50_ms(slowed, other) < SLEEP_SECONDS * 500 for other in others)


def test_a_slow_decoder_shows_in_decoding(clip, segmenter, monkeypatch):
    from rtseg.sources.pixels import PictureReader

    monkeypatch.setattr(PictureReader, "read", sleepy(PictureReader.read))
    usage = measure_pipeline(job_of(clip, segmenter), sources=1, seconds=0.2)
    assert p50_ms(usage, "decode") >= SLEEP_SECONDS * 1000


def test_the_bare_engine_is_as_fast_as_its_delay_allows(clip):
    with fake_segmenter(delay_seconds=0.01) as segmenter:
        job = job_of(clip, segmenter)
        bare = measure_bare(segmenter, prepared_pictures(job.footage, segmenter), seconds=0.3)
        assert bare.fps == pytest.approx(100, rel=0.12)
        assert bare.fps <= 106  # a stamp can be late, the engine cannot be early
        assert segmenter.backend.infer(prepared_pictures(job.footage, segmenter)[0]).alpha is not None


def test_a_pace_that_can_be_kept_drops_nothing_and_one_that_cannot_drops_or_ages(clip):
    with fake_segmenter(delay_seconds=0.02) as segmenter:
        found = {}
        for policy, pace_hz in itertools.product(("freshest", "every"), (20.0, 100.0)):
            options = BenchOptions(pace_hz=pace_hz)
            found[policy, pace_hz] = measure_pipeline(
                job_of(clip, segmenter, policy=policy, options=options), sources=1, seconds=0.4
            )
    drops = {key: usage.stats[0].frames.dropped["newer_frame"] for key, usage in found.items()}
    ages_ms = {key: usage.stats[0].frame_age.percentile_ms(99) for key, usage in found.items()}
    assert drops["freshest", 100.0] >= 10
    assert drops["every", 100.0] == 0
    assert ages_ms["every", 100.0] > 250  # frames wait since they were due
    assert found["every", 100.0].fps < 55
    if ages_ms["freshest", 20.0] < 100:  # else this machine stood still meanwhile
        assert drops["freshest", 20.0] <= 1
        assert found["freshest", 20.0].fps == pytest.approx(20, rel=0.15)


def test_several_sources_share_one_engine_and_are_counted_together(clip):
    with fake_segmenter(delay_seconds=0.01) as segmenter:
        usage = measure_pipeline(job_of(clip, segmenter), sources=3, seconds=0.4)
    assert len(usage.stats) == 3
    per_source = [stats.frames.written for stats in usage.stats]
    assert sum(per_source) == pytest.approx(usage.frames, abs=3)
    assert min(per_source) > 0
    assert usage.fps <= 103
    assert our_threads() == []


def test_a_failure_of_one_source_ends_all_and_is_raised(clip):
    segmenter = load("person", backend=FakeBackend(fail_at=40), edges=False, smoothing=False)
    with segmenter, pytest.raises(InferenceError, match="picture 40"):
        measure_pipeline(job_of(clip, segmenter), sources=2, seconds=30)
    assert our_threads() == []


def test_an_unexpected_failure_is_raised_too(clip, segmenter, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(CpuCompositor, "composite", broken)
    with pytest.raises(StageError, match="planted"):
        measure_pipeline(job_of(clip, segmenter), sources=1, seconds=5)


def test_decoding_alone_keeps_the_cores_busy_or_takes_more_decoders(clip, segmenter, monkeypatch):
    monkeypatch.setattr("rtseg.bench.parts.usable_cores", lambda: 4)  # more than one decoder of a small clip can fill
    decoding = DecodingAlone(job_of(clip, segmenter).footage)
    usage = decoding.measure(0.1)
    assert decoding._streams == 4
    assert usage.core_ms > 0
    monkeypatch.setattr("rtseg.bench.parts.BUSY", 0.0)
    alone = DecodingAlone(job_of(clip, segmenter).footage)
    alone.measure(0.1)
    assert alone._streams == 1


def test_encoding_alone_writes_what_was_composited_and_leaves_nothing(clip, segmenter, monkeypatch):
    written = []
    from rtseg.sinks.file import FileSink

    original = FileSink.write

    def write(self, frame, result):
        written.append((self.path, frame.pts, frame.rgb.mean()))
        original(self, frame, result)

    monkeypatch.setattr(FileSink, "write", write)
    usage = EncodingAlone(job_of(clip, segmenter, sink="mp4", effect="spotlight")).measure(0.1)
    assert usage.fps > 0
    first = [entry for entry in written if entry[0] == written[0][0]]
    assert all(later[1] > earlier[1] for earlier, later in itertools.pairwise(first))
    assert not written[0][0].parent.exists()
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_kept_frames_are_copies_and_go_to_and_fro(clip, segmenter):
    encoding = EncodingAlone(job_of(clip, segmenter, sink="mp4"))
    encoding._composite()
    kept = encoding._kept
    assert 2 <= len(kept) <= 90
    assert len({frame.rgb.tobytes() for frame, _ in kept[:12]}) == 12
    few = kept[:4]
    order = [frame.rgb.tobytes() for frame, _ in itertools.islice(to_and_fro(few), 12)]
    pixels = [frame.rgb.tobytes() for frame, _ in few]
    assert order == [pixels[index] for index in (0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1)]


def test_bodies_run_at_once_the_first_in_the_callers_thread():
    meeting = threading.Barrier(3, timeout=10)
    threads = []

    def body() -> None:
        threads.append(threading.current_thread())
        meeting.wait()

    run_together([body] * 3, end=lambda: None)
    assert threading.current_thread() in threads
    assert len(set(threads)) == 3


def test_an_interruption_ends_all_and_is_raised():
    ended = threading.Event()

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([interrupted, lambda: ended.wait(20)], end=ended.set)
    assert ended.is_set()
