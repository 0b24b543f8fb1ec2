"""A compositor that has warmed up works in memory that it already has: the system is asked for no more."""

from __future__ import annotations

import mmap
import sys
import threading

import cv2
import numpy as np
import pytest

from rtseg.recycling import Recycler
from rtseg.render import effects
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.render.palette import default_palette
from tests.render.parts import as_yuv, colorful, frame_of, person_result, planes_of, street_result

SIZE_WH = (1280, 720)
PAGE = mmap.PAGESIZE
PLANES_PAGES = SIZE_WH[0] * SIZE_WH[1] * 3 // 2 // PAGE
FRAMES = 8

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted on Linux")


def faults_a_frame(text, result):
    """Pages that the system had to give per composited frame, once warm, in a thread of its own."""
    import resource

    counts = []

    def work():
        frame = frame_of(as_yuv(colorful(SIZE_WH)))
        effect = effects.parse_effect(text)
        before = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            with CpuCompositor([effect], classes=result.classes, palette=default_palette(result.classes)) as compositor:
                for index in range(2 * FRAMES):
                    if index == FRAMES:
                        counts.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt)
                    compositor.composite(frame, result)
                counts.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt)
        finally:
            cv2.setNumThreads(before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return (counts[1] - counts[0]) / FRAMES


JOBS = {"blur": person_result(SIZE_WH, network_wh=(256, 256)), "driving": street_result(SIZE_WH, network_wh=(640, 320))}


@pytest.mark.parametrize("text", JOBS)
def test_a_warm_compositor_asks_the_system_for_nothing(text):
    assert faults_a_frame(text, JOBS[text]) < PLANES_PAGES / 4


@pytest.mark.parametrize("text", JOBS)
def test_planes_that_are_not_used_again_are_faulted_in_every_frame(text, monkeypatch):
    def fresh(self, shape, dtype=np.uint8):
        count = int(np.prod(shape))
        return np.frombuffer(mmap.mmap(-1, count * np.dtype(dtype).itemsize), dtype)[:count].reshape(shape)

    monkeypatch.setattr(Recycler, "take", fresh)
    assert faults_a_frame(text, JOBS[text]) > PLANES_PAGES * 0.9


def test_returned_planes_come_back_when_they_were_dropped_and_only_then():
    result = person_result((320, 180))
    frame = frame_of(as_yuv(colorful((320, 180))))
    with CpuCompositor([effects.Blur()], classes=result.classes, palette=default_palette(result.classes)) as compositor:
        places = {planes_of(compositor.composite(frame, result))[0].ctypes.data for _ in range(20)}
        kept = [compositor.composite(frame, result) for _ in range(20)]
    assert len(places) <= 2
    assert len({planes_of(picture)[0].ctypes.data for picture in kept}) == len(kept)
