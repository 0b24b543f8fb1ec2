"""The pushed source: the newest frame only, an end for every wait, and the time strip."""

from __future__ import annotations

import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from rtseg.errors import SourceError
from rtseg.serve import push
from rtseg.serve.push import PushSource, with_strip
from rtseg.types import Yuv420


def video_frame(value: int, size_wh=(64, 48)) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.full((size_wh[1] * 3 // 2, size_wh[0]), value, np.uint8), format="yuv420p")
    frame.pts, frame.time_base = value, Fraction(1, 90_000)
    return frame


def test_only_the_newest_frame_waits_and_the_others_are_counted():
    source = PushSource("camera")
    for value in (10, 20, 30):
        source.put(video_frame(value))
    source.open()
    assert source.info.size_wh == (64, 48)
    assert source.info.live
    frames = source.frames()
    assert int(next(frames).picture.y[0, 0]) == 30
    assert source.overtaken == 2
    source.put(video_frame(40))
    second = next(frames)
    assert int(second.picture.y[0, 0]) == 40
    assert second.frame_index == 1
    assert second.pts > 0


def test_the_end_wakes_whoever_waits():
    source = PushSource("camera")
    source.put(video_frame(1))
    source.open()
    taken = []
    reading = threading.Thread(target=lambda: taken.extend(source.frames()))
    reading.start()
    time.sleep(0.1)
    source.interrupt()
    reading.join(2)
    assert not reading.is_alive()
    assert len(taken) == 1
    assert source.state == "ended"


def test_a_camera_that_never_sends_a_picture_is_an_error(monkeypatch):
    monkeypatch.setattr(push, "FIRST_FRAME_SECONDS", 0.1)
    source = PushSource("camera")
    with pytest.raises(SourceError, match="no picture"):
        source.open()
    with pytest.raises(SourceError, match="open"):
        _ = source.info
    ended = PushSource("camera")
    ended.finish()
    with pytest.raises(SourceError, match="end of the connection"):
        ended.open()


def test_another_size_goes_on():
    source = PushSource("camera", keeps_strip=True)
    source.put(video_frame(1, (64, 48)))
    source.open()
    frames = source.frames()
    first = next(frames)
    source.put(video_frame(2, (32, 24)))
    second = next(frames)
    assert (first.size_wh, second.size_wh) == ((64, 48), (32, 24))
    assert source.strip(0).y.shape == (16, 64)
    assert source.strip(1).y.shape == (8, 32)
    assert source.strip(0) is None  # older than the one asked for last: forgotten


def test_the_strip_goes_over_the_picture_and_nothing_else_changes():
    planes = {"y": np.full((48, 64), 50, np.uint8)}
    picture = Yuv420(planes["y"], np.full((24, 32), 100, np.uint8), np.full((24, 32), 110, np.uint8))
    strip = Yuv420(np.full((16, 64), 255, np.uint8), np.full((8, 32), 128, np.uint8), np.full((8, 32), 128, np.uint8))
    mended = with_strip(picture, strip)
    assert (mended.y[-16:] == 255).all()
    assert (mended.y[:-16] == 50).all()
    assert (mended.u[-8:] == 128).all()
    assert (picture.y == 50).all()
    rgb = np.zeros((48, 64, 3), np.uint8)
    assert with_strip(rgb, strip) is rgb
    narrow = Yuv420(np.zeros((24, 32), np.uint8), np.zeros((12, 16), np.uint8), np.zeros((12, 16), np.uint8))
    assert with_strip(narrow, strip) is narrow
