"""A process that runs one pipeline after the other must not grow."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import rtseg
from tests.conftest import write_clip

WARM_UP, COUNTED, RUNS_AN_ENGINE = 12, 100, 4
MOST_GROWTH_BYTES = 20_000_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def native_threads() -> int:
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory and native threads are read from /proc")
@pytest.mark.timeout(300)
def test_a_hundred_pipelines_add_no_memory_and_no_thread(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=6, size_wh=(160, 120))
    out = tmp_path / "out.mp4"

    def run(times: int) -> None:
        for _ in range(times // RUNS_AN_ENGINE):
            with rtseg.load("person", threads=1) as segmenter:  # one that stayed would show: it is more than is allowed
                for _ in range(RUNS_AN_ENGINE):
                    stats = rtseg.run(clip, model=segmenter, effect="blur", out=[out, "null"], overwrite=True)
                    assert stats.frames.written == 6

    run(WARM_UP)
    memory, threads = resident_bytes(), native_threads()
    run(COUNTED)
    assert native_threads() <= threads
    assert resident_bytes() - memory < MOST_GROWTH_BYTES
