"""The live sink: coded once a codec, only what is wanted, and what is sent can be decoded."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from rtseg.serve import live_sink as module
from rtseg.serve.encoding import LiveEncoder, LivePainter
from rtseg.serve.live_sink import JPEG, FrameAges, LiveSink
from rtseg.serve.mailbox import Mailbox
from rtseg.types import Frame
from tests.serve.parts import run

DECODERS = {"H264": "h264", "VP8": "vp8"}


def frame_of(rgb: np.ndarray, index: int = 0, held: str = "") -> Frame:
    return Frame(rgb, index, index, Fraction(1, 30), 0, "test", held=held)


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_pictures_come_out_at_once_and_as_they_went_in(codec, desk):
    encoder, painter = LiveEncoder(codec), LivePainter()
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    quality = []
    for index, rgb in enumerate(desk):
        coded = encoder.encode(painter.video_frame(rgb), sent_ns=index * 33_000_000, keyframe=index in (0, 7))
        assert len(coded) == 1  # no picture waits for a later one
        assert coded[0].is_keyframe == (index in (0, 7))
        quality += [psnr_db(seen.to_ndarray(format="rgb24"), rgb) for seen in decoder.decode(coded[0])]
    assert len(quality) == len(desk)
    assert np.mean(quality) > 32


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_another_size_begins_with_a_keyframe(codec):
    encoder, painter = LiveEncoder(codec), LivePainter()
    for size_hw in ((48, 64), (33, 47), (48, 64)):
        rgb = np.full((*size_hw, 3), 90, np.uint8)
        (coded,) = encoder.encode(painter.video_frame(rgb), sent_ns=0, keyframe=False)
        assert coded.is_keyframe


def test_each_codec_is_coded_once_for_all_and_only_while_it_is_wanted(desk, monkeypatch):
    calls = {"jpeg": 0}

    def counted(rgb):
        calls["jpeg"] += 1
        return b"jpeg"

    monkeypatch.setattr(module, "jpeg_of", counted)

    async def work() -> None:
        sink = LiveSink(asyncio.get_running_loop())
        sink.write(frame_of(desk[0]), None)
        assert calls["jpeg"] == 0
        jpegs = [Mailbox() for _ in range(3)]
        videos = [Mailbox(want_keyframe=lambda: None) for _ in range(2)]
        for box in jpegs:
            sink.add(JPEG, box)
        for box in videos:
            sink.add("H264", box)
        sink.write(frame_of(desk[1], 1), None)
        await asyncio.sleep(0)
        assert calls["jpeg"] == 1
        assert [await box.get() for box in jpegs] == [b"jpeg"] * 3
        first, second = [await box.get() for box in videos]
        assert first is second
        assert first.is_keyframe
        for box in jpegs:
            sink.remove(JPEG, box)
        sink.write(frame_of(desk[2], 2), None)
        assert calls["jpeg"] == 1
        await asyncio.sleep(0)
        assert not (await videos[0].get()).is_keyframe
        sink.want_keyframe("H264")
        sink.write(frame_of(desk[3], 3), None)
        await asyncio.sleep(0)
        assert (await videos[0].get()).is_keyframe
        for box in videos:
            sink.remove("H264", box)
        assert not sink.watched

    run(work())


def test_a_jpeg_is_the_picture(desk):
    seen = cv2.imdecode(np.frombuffer(module.jpeg_of(desk[0]), np.uint8), cv2.IMREAD_COLOR)
    assert psnr_db(cv2.cvtColor(seen, cv2.COLOR_BGR2RGB), desk[0]) > 30


def test_held_frames_are_shown_and_not_counted(desk):
    async def work() -> None:
        sink = LiveSink(asyncio.get_running_loop())
        box = Mailbox()
        sink.add(JPEG, box)
        sink.write(frame_of(desk[0], held="reconnecting"), None)
        await asyncio.sleep(0)
        assert await box.get()
        assert sink.ages.count == 0

    run(work())


def test_ages_are_counted_in_fixed_buckets():
    ages = FrameAges()
    for age_ms in (5, 40, 40, 9000):
        ages.add(age_ms * 1_000_000, 0)
    bounds = [*module.AGE_BOUNDS_MS, float("inf")]
    found = {bound: count for bound, count in zip(bounds, ages.bucket_counts, strict=True) if count}
    assert found == {10.0: 1, 50.0: 2, float("inf"): 1}
    assert ages.to_json() == {"last": 9000.0, "p50": 40.0, "p99": 9000.0}
