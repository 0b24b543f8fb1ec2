from __future__ import annotations

import io
import time

import av
import cv2
import numpy as np
import pytest

from rtseg.bench import timecode
from rtseg.bench.timecode import (
    CELLS_A_ROW,
    PAIRS_A_ROW,
    ROWS,
    TICK_NS,
    TICKS,
    age_seconds,
    draw_code,
    read_code,
    strip_place,
    tick_of,
)
from rtseg.color import to_rgb, to_yuv420
from rtseg.errors import ConfigError
from rtseg.types import UInt8Array, Yuv420

SIZES = [(168, 96), (320, 180), (640, 360), (641, 359), (960, 540), (540, 960), (1920, 1080)]
TICK = 0x5A3C81


def busy_picture(size_wh: tuple[int, int], seed: int = 0) -> UInt8Array:
    """A picture with edges and texture everywhere, the strip's place included."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, size_wh[1] // 9), max(2, size_wh[0] // 9), 3), dtype=np.uint8)
    return cv2.resize(small, size_wh, interpolation=cv2.INTER_CUBIC)


def through_h264(picture: UInt8Array, crf: int) -> UInt8Array:
    buffer = io.BytesIO()
    height, width = picture.shape[:2]
    with av.open(buffer, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=30, options={"crf": str(crf), "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for packet in [*video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")), *video.encode(None)]:
            container.mux(packet)
    buffer.seek(0)
    with av.open(buffer) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("size_wh", SIZES)
def test_code_comes_back_from_rgb_at_every_size(size_wh):
    for tick in (0, 1, TICK, TICKS - 1, *np.random.default_rng(1).integers(0, TICKS, 5)):
        assert read_code(draw_code(busy_picture(size_wh), int(tick))) == tick


@pytest.mark.parametrize("full_range", [False, True])
def test_code_comes_back_from_planes_and_from_their_rgb(full_range):
    planes = to_yuv420(busy_picture((640, 360)), matrix="bt709", full_range=full_range)
    drawn = draw_code(planes, TICK)
    assert isinstance(drawn, Yuv420)
    assert drawn.full_range is full_range
    assert drawn.matrix == "bt709"
    assert read_code(drawn) == TICK
    assert read_code(to_rgb(drawn)) == TICK
    assert read_code(planes) is None


def test_only_the_strip_is_drawn_on_and_the_original_is_left_alone():
    picture = busy_picture((640, 360))
    before = picture.copy()
    picture.flags.writeable = False
    top = strip_place((640, 360)).top
    drawn = draw_code(picture, TICK)
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(drawn[:top], before[:top])
    assert 0 < 360 - top < 360 // 5
    planes = to_yuv420(picture, matrix="bt601", full_range=False)
    coded = draw_code(planes, TICK)
    for mine, theirs, first in ((coded.y, planes.y, top), (coded.u, planes.u, top // 2), (coded.v, planes.v, top // 2)):
        np.testing.assert_array_equal(mine[:first], theirs[:first])
        assert not np.array_equal(mine[first:], theirs[first:])


@pytest.mark.parametrize("crf", [23, 40, 51])
def test_code_survives_h264(crf):
    assert read_code(through_h264(draw_code(busy_picture((640, 360)), TICK), crf)) == TICK


@pytest.mark.parametrize("quality", [90, 30, 5])
def test_code_survives_jpeg(quality):
    coded = cv2.imencode(".jpg", draw_code(busy_picture((640, 360)), TICK), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert read_code(cv2.imdecode(coded, cv2.IMREAD_COLOR)) == TICK


@pytest.mark.parametrize("scale", [0.4, 0.5, 0.77, 1.5, 2.0])
def test_code_survives_scaling(scale):
    drawn = draw_code(busy_picture((960, 540)), TICK)
    assert read_code(cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)) == TICK


@pytest.mark.parametrize("size_wh", [(640, 360), (1280, 720)])
def test_code_survives_a_blur_as_wide_as_that_of_a_background(size_wh):
    drawn = draw_code(busy_picture(size_wh), TICK)
    assert read_code(cv2.GaussianBlur(drawn, (0, 0), 0.025 * size_wh[1])) == TICK
    assert read_code(cv2.GaussianBlur(drawn, (0, 0), 0.1 * size_wh[1])) is None


def test_code_survives_tints_darkness_and_noise():
    drawn = draw_code(busy_picture((640, 360)), TICK).astype(np.float32)
    layer = np.zeros_like(drawn)
    for column, color in enumerate([(220, 20, 60), (0, 0, 142), (30, 205, 110), (255, 255, 255), (0, 0, 0)]):
        layer[:, column * 128 : (column + 1) * 128] = color
    noise = np.random.default_rng(2).normal(0, 12, drawn.shape)
    for changed in (drawn * 0.45 + layer * 0.55, drawn * 0.1 + 20, drawn * 0.3 + 150, drawn + noise):
        assert read_code(np.clip(np.rint(changed), 0, 255).astype(np.uint8)) == TICK


def with_flipped_pairs(picture: UInt8Array, pairs: list[int]) -> UInt8Array:
    """Exchange the two cells of some pairs, so that each is a clear, wrong bit."""
    place = strip_place((picture.shape[1], picture.shape[0]))
    changed = picture.copy()
    edges = np.linspace(place.left, place.right, CELLS_A_ROW + 1)
    rows = np.linspace(place.first_row, place.end_row, ROWS + 1)
    for pair in pairs:
        row, column = divmod(pair, PAIRS_A_ROW)
        cells = slice(round(edges[2 * column]), round(edges[2 * column + 2]))
        lines = slice(round(rows[row]), round(rows[row + 1]))
        changed[lines, cells] = changed[lines, cells][:, ::-1]
    return changed


def broken_codes() -> list[list[int]]:
    """Every wrong bit, 100 pairs of them, and every burst of 3 to 16."""
    rng = np.random.default_rng(3)
    bits = ROWS * PAIRS_A_ROW
    singles = [[bit] for bit in range(bits)]
    doubles = [sorted(int(b) for b in rng.choice(bits, 2, replace=False)) for _ in range(100)]
    bursts = [list(range(start, start + length)) for length in (3, 7, 12, 16) for start in range(bits - length + 1)]
    return singles + doubles + bursts


def test_corrupted_code_is_unreadable_never_another_number():
    drawn = draw_code(busy_picture((320, 180)), TICK)
    assert {read_code(with_flipped_pairs(drawn, pairs)) for pairs in broken_codes()} == {None}


def test_without_the_crc_a_corrupted_code_is_a_wrong_number(monkeypatch):
    drawn = draw_code(busy_picture((320, 180)), TICK)
    monkeypatch.setattr(
        timecode, "_tick_of_bits", lambda bits: int.from_bytes(np.packbits(bits).tobytes(), "big") >> 16
    )
    read = [read_code(with_flipped_pairs(drawn, [bit])) for bit in range(timecode.TIME_BITS)]
    assert None not in read
    assert TICK not in read


def test_pictures_without_a_code_are_unreadable():
    assert read_code(np.full((360, 640, 3), 128, np.uint8)) is None
    assert read_code(np.zeros((10, 10, 3), np.uint8)) is None
    assert {read_code(busy_picture((320, 180), seed)) for seed in range(50)} == {None}


def test_covered_or_mirrored_code_is_unreadable():
    drawn = draw_code(busy_picture((640, 360)), TICK)
    covered = drawn.copy()
    covered[:, 300:360] = 90
    for broken in (covered, drawn[:, ::-1], 255 - drawn, np.roll(drawn, 15, axis=1)):
        assert read_code(np.ascontiguousarray(broken)) is None


def test_what_is_transparent_is_not_read():
    rgba = np.dstack([busy_picture((640, 360)), np.full((360, 640), 0, np.uint8)])
    drawn = draw_code(rgba, TICK)
    assert read_code(drawn) == TICK
    drawn[300:, 100:200, 3] = 0
    assert read_code(drawn) is None


def test_age_goes_on_where_the_code_starts_over():
    now_ns = (TICKS * 5 + 100) * TICK_NS
    assert age_seconds(tick_of(now_ns - 30_000_000), now_ns) == pytest.approx(0.030)
    assert age_seconds(tick_of(now_ns), now_ns) == 0
    assert age_seconds(tick_of(now_ns - 60_000_000_000), now_ns) == pytest.approx(60.0)
    assert 0 <= tick_of(time.monotonic_ns()) < TICKS


@pytest.mark.parametrize("size_wh", [(167, 96), (640, 60)])
def test_too_small_a_picture_says_how_large_it_must_be(size_wh):
    with pytest.raises(ConfigError, match=rf"{size_wh[0]}x{size_wh[1]}; expected at least 168x67"):
        draw_code(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), 0)


@pytest.mark.parametrize("tick", [-1, TICKS])
def test_tick_out_of_range_is_refused(tick):
    with pytest.raises(ConfigError, match=r"got tick .* expected 0 to"):
        draw_code(busy_picture((320, 180)), tick)
