"""A file in a loop plays like a camera: at its own speed, in one rising time."""

from __future__ import annotations

import itertools
import time

import pytest

from rtseg.errors import SourceError
from rtseg.serve.looped import LoopedSource
from rtseg.sources import open_source
from tests.conftest import write_clip


def test_rounds_follow_each_other_at_the_files_own_speed(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=6, size_wh=(64, 48), fps=25)
    with LoopedSource(lambda: open_source(clip)) as source:
        assert source.info.live
        assert source.info.frame_count is None
        began = time.monotonic()
        frames = list(itertools.islice(source.frames(), 16))
        taken_seconds = time.monotonic() - began
    assert [frame.frame_index for frame in frames] == list(range(16))
    seconds = [frame.pts_seconds for frame in frames]
    assert all(0.02 < second - first < 0.08 for first, second in itertools.pairwise(seconds))
    assert taken_seconds > 0.4  # 16 frames at 25 a second take 0.6 s; without the pace, a few milliseconds


def test_it_says_when_it_is_not_open_or_has_nothing(tmp_path):
    with pytest.raises(SourceError, match="not open"):
        _ = LoopedSource(lambda: open_source("synthetic:desk")).info
