"""A file without its end, as fast as it decodes and at a camera's pace."""

from __future__ import annotations

import itertools
import time

import pytest

from rtseg.bench.footage import footage_of, written_scene
from rtseg.bench.looped import LoopedSource
from rtseg.errors import ConfigError, SourceError
from rtseg.sources import open_source
from tests.pipeline.parts import CountingSource


def test_frames_go_on_across_the_joint(clip):
    with footage_of(str(clip), clip.parent).open_as() as source:
        frames = list(itertools.islice(source.frames(), 30))
        assert source.info.frame_count is None
        assert not source.info.has_audio
    assert [frame.frame_index for frame in frames] == list(range(30))
    steps = {later.pts - earlier.pts for earlier, later in itertools.pairwise(frames)}
    assert len(steps) == 1
    assert (frames[0].rgb == frames[12].rgb).all()  # the clip has twelve frames
    assert (frames[0].rgb != frames[5].rgb).any()


def test_a_pace_is_kept_and_the_age_counts_from_when_a_frame_was_due():
    source = LoopedSource(lambda: CountingSource(4), pace_hz=100)
    with source:
        assert source.info.live
        began_ns = time.monotonic_ns()
        due = []
        for frame in itertools.islice(source.frames(), 20):
            assert time.monotonic_ns() >= frame.captured_ns
            due.append(frame.captured_ns)
    gaps = {later - earlier for earlier, later in itertools.pairwise(due)}
    assert gaps == {10_000_000}
    assert time.monotonic_ns() - began_ns >= 190_000_000
    assert source.decode.durations.percentile_ms(50) < 5  # without the wait for the pace


def test_a_decoder_that_is_too_slow_makes_frames_old():
    with LoopedSource(lambda: CountingSource(50, interval_seconds=0.01), pace_hz=200) as source:
        for frame in itertools.islice(source.frames(), 20):
            age_ns = time.monotonic_ns() - frame.captured_ns
    assert age_ns >= 80_000_000


def test_cameras_do_not_tick_in_step():
    def first_due(phase):
        with LoopedSource(lambda: CountingSource(4), pace_hz=10, phase=phase) as source:
            now_ns = time.monotonic_ns()
            return next(source.frames()).captured_ns - now_ns

    assert first_due(0.5) - first_due(0.0) == pytest.approx(50_000_000, abs=20_000_000)


def test_a_live_source_ends_when_it_ends():
    with LoopedSource(lambda: CountingSource(5, live=True)) as source:
        assert len(list(source.frames())) == 5


def test_what_is_known_stays_known_between_two_passes():
    source = LoopedSource(lambda: open_source("synthetic:desk?size=64x48&frames=2"))
    with pytest.raises(SourceError, match="not open"):
        _ = source.info
    source.open()
    source.close()
    assert source.info.size_wh == (64, 48)


def test_a_scene_becomes_a_file_that_has_to_be_decoded(tmp_path):
    footage = footage_of("synthetic:desk?size=128x96&frames=4", tmp_path)
    facts = footage.to_json()
    assert facts["codec"] == "h264"
    assert facts["kind"] == "file"
    assert facts["size_wh"] == [128, 96]
    assert facts["name"].startswith("synthetic:desk")


def test_a_scene_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("rtseg.bench.footage.MOST_SCENE_FRAMES", 3)
    with pytest.raises(ConfigError, match="fewer seconds"):
        written_scene("synthetic:desk?size=64x48&frames=4", tmp_path)
