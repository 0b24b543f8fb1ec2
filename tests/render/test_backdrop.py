from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg.errors import ConfigError
from rtseg.render import effects
from rtseg.render.backdrop import StillBackdrop, VideoBackdrop, open_backdrop
from tests.render.parts import as_yuv, colorful, composite, person_result, planes_of

LEVELS = (20, 60, 100, 140, 180, 220)
RATE = 10


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Six frames in flat greys, ten a second."""
    path = tmp_path_factory.mktemp("clip") / "greys.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (64, 48))
    for level in LEVELS:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def level_at(backdrop, seconds):
    shown = float(backdrop.rgb_at(seconds).mean())
    return LEVELS[int(np.argmin(np.abs(np.array(LEVELS) - shown)))]


@pytest.mark.parametrize("rate", [5, 10, 12.5, 25, 60])
def test_the_frame_on_show_follows_from_the_time(clip, rate):
    backdrop = VideoBackdrop(clip)
    for index in range(int(rate * 2)):
        seconds = 40.0 + index / rate
        expected = LEVELS[int((index / rate + 1e-6) * RATE) % len(LEVELS)]
        assert level_at(backdrop, seconds + 1e-4) == expected, f"at {index / rate} s"
    backdrop.close()
    backdrop.close()


def test_a_long_jump_lands_in_the_right_loop(clip):
    backdrop = VideoBackdrop(clip)
    assert level_at(backdrop, 0.0) == LEVELS[0]
    assert level_at(backdrop, 6000.25) == LEVELS[2]
    assert level_at(backdrop, 6000.35) == LEVELS[3]


def test_time_that_runs_backwards_starts_again(clip):
    backdrop = VideoBackdrop(clip)
    level_at(backdrop, 100.0)
    level_at(backdrop, 100.4)
    assert level_at(backdrop, 3.0) == LEVELS[0]
    assert level_at(backdrop, 3.25) == LEVELS[2]


def test_the_same_frame_is_the_same_array(clip):
    backdrop = VideoBackdrop(clip)
    assert backdrop.rgb_at(0.0) is backdrop.rgb_at(0.05)


@pytest.mark.parametrize("kind", ["rgb", "yuv"])
def test_a_wide_picture_fills_a_tall_frame_without_distortion(tmp_path, kind):
    circle = np.zeros((100, 300, 3), np.uint8)
    cv2.circle(circle, (150, 50), 20, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "wide.png"), circle)
    result = person_result((120, 200))
    nobody = type(result)(result.classes, (120, 200), network_alpha=np.zeros((8, 8), np.uint8))
    picture = colorful((120, 200)) if kind == "rgb" else as_yuv(colorful((120, 200)))
    drawn = composite(effects.Replace(str(tmp_path / "wide.png")), picture, nobody)
    ys, xs = np.nonzero(planes_of(drawn)[0] > 128)
    assert abs(np.ptp(xs) - 80) <= 2
    assert abs(np.ptp(ys) - 80) <= 2
    assert abs(xs.mean() - 60.5) < 0.6  # the circle's centre is the middle of pixel 150 of 300


def test_a_video_behind_the_subject(clip):
    result = person_result((64, 48))
    drawn = composite(effects.Replace(str(clip)), np.zeros((48, 64, 3), np.uint8), result)
    assert abs(int(drawn[0, 0, 0]) - LEVELS[0]) <= 2


def test_what_cannot_be_read_is_refused(tmp_path):
    for name in ("broken.png", "broken.mp4"):
        (tmp_path / name).write_bytes(b"not a picture")
        with pytest.raises(ConfigError, match="cannot be decoded"):
            open_backdrop(effects.Replace(str(tmp_path / name)))
    with pytest.raises(ConfigError, match="Check the path"):
        open_backdrop(effects.Replace(str(tmp_path / "absent.png")))


def test_a_color_is_a_still():
    assert isinstance(open_backdrop(effects.Replace(color="#010203")), StillBackdrop)
