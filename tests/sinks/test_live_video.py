"""Live encoding: one packet at once, keys by time, a bounded rate, colours as said."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from rtseg import color
from rtseg.errors import ConfigError
from rtseg.sinks.address import LiveOptions
from rtseg.sinks.live_video import LiveVideo, default_bitrate
from rtseg.types import Frame

TICK = Fraction(1, 1000)


def frame_at(milliseconds: int, picture: np.ndarray, index: int = 0) -> Frame:
    return Frame(picture, index, milliseconds, TICK, 0, "x")


def noise(seed: int, size_wh=(160, 120)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)


def live(tools, size_wh=(160, 120), options=None, **changes) -> LiveVideo:
    stream = tools.stream_format(size_wh, time_base=TICK, **changes)
    return LiveVideo(stream, options or LiveOptions(), shown="udp://x:1")


def decoded(units) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    frames = [f for unit in units for f in decoder.decode(av.Packet(unit.content))]
    return frames + decoder.decode(None)


def test_every_picture_is_out_at_once_and_times_start_at_zero(tools):
    video = live(tools)
    got = [video.encode(frame_at(5000 + 40 * i, noise(i))) for i in range(5)]
    assert [len(units) for units in got] == [1] * 5
    assert [units[0].seconds for units in got] == [Fraction(40 * i, 1000) for i in range(5)]
    assert len(decoded([unit for units in got for unit in units])) == 5


@pytest.mark.parametrize("step_ms", [40, 150, 700])
def test_keys_come_by_time_whatever_the_rate(tools, step_ms):
    video = live(tools)
    units = [video.encode(frame_at(step_ms * i, noise(i % 3)))[0] for i in range(12_000 // step_ms)]
    keys = [float(unit.seconds) for unit in units if unit.is_key]
    gaps = np.diff(keys)
    assert keys[0] == 0
    assert gaps.size
    assert max(gaps) <= 2.0 + step_ms / 1000
    assert min(gaps) >= 2.0


def test_a_receiver_can_come_in_at_any_key(tools):
    video = live(tools)
    units = [video.encode(frame_at(100 * i, noise(i)))[0] for i in range(30)]
    second_key = next(i for i, unit in enumerate(units) if unit.is_key and i)
    assert len(decoded(units[second_key:])) == len(units) - second_key


def test_the_rate_is_bounded(tools):
    """Noise at 20 Mbit/s by quality alone is held under the ceiling plus the buffer of one second."""
    options = LiveOptions(bitrate=400_000)
    video = live(tools, (320, 240), options)
    sizes = [len(video.encode(frame_at(40 * i, noise(i, (320, 240))))[0].content) for i in range(100)]
    free = live(tools, (320, 240), LiveOptions(bitrate=100_000_000))
    unbounded = [len(free.encode(frame_at(40 * i, noise(i, (320, 240))))[0].content) for i in range(10)]
    assert sum(sizes) * 8 <= 400_000 * (4 + 1) * 1.1
    assert np.mean(unbounded) > 3 * np.mean(sizes)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_survive_and_are_said(tools, matrix, full_range):
    rgb = np.zeros((120, 160, 3), np.uint8)
    rgb[:60, :80], rgb[:60, 80:], rgb[60:, :80], rgb[60:, 80:] = (
        (220, 40, 40),
        (40, 200, 60),
        (50, 60, 210),
        (240, 240, 240),
    )
    video = live(tools, matrix=matrix, full_range=full_range)
    planes = color.to_yuv420(rgb, matrix=matrix, full_range=full_range)
    (got,) = decoded(video.encode(frame_at(0, planes)))
    assert got.color_range == 1  # limited, always
    assert got.colorspace == {"bt601": 6, "bt709": 1}[matrix]
    back = got.to_ndarray(format="rgb24").astype(int)
    for y, x in ((30, 40), (30, 120), (90, 40), (90, 120)):
        assert np.abs(back[y, x] - rgb[y, x].astype(int)).max() <= 8


def test_frames_of_another_size_are_scaled_and_it_is_said_once(tools):
    video = live(tools)
    sizes = [(160, 120), (320, 200), (64, 48), (320, 200)]
    units = [video.encode(frame_at(40 * i, noise(i, size)))[0] for i, size in enumerate(sizes)]
    assert {(f.width, f.height) for f in decoded(units)} == {(160, 120)}
    assert len(video.notes) == 1


def test_odd_sizes_lose_a_row_and_are_no_news(tools):
    video = live(tools, (161, 121))
    (unit,) = video.encode(frame_at(0, noise(1, (161, 121))))
    assert [(f.width, f.height) for f in decoded([unit])] == [(160, 120)]
    assert video.notes == []


def test_times_that_do_not_rise_are_mended(tools):
    video = live(tools)
    got = [video.encode(frame_at(ms, noise(ms)))[0].seconds for ms in (0, 40, 40, 30, 80)]
    assert all(later > earlier for earlier, later in pairwise(got))


def test_transparent_pictures_are_refused(tools):
    with pytest.raises(ConfigError, match="transparent"):
        live(tools, has_alpha=True)


def test_the_default_rate_goes_by_size_and_rate():
    assert default_bitrate((1280, 720), Fraction(30)) == pytest.approx(3_040_000, rel=0.01)
    assert default_bitrate((1280, 720), Fraction(60)) > default_bitrate((1280, 720), Fraction(30))
    assert default_bitrate((16, 16), Fraction(1)) == 300_000
    assert default_bitrate((7680, 4320), Fraction(60)) == 20_000_000
