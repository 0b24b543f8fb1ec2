from __future__ import annotations

import pytest

from rtseg.errors import ConfigError
from rtseg.sources.camera_modes import (
    CameraMode,
    check_wishes,
    choose_mode,
    list_in_words,
    open_options,
    parse_modes,
)

WEBCAM = [
    CameraMode((320, 240), "yuyv422", 30.0),
    CameraMode((640, 480), "yuyv422", 30.0),
    CameraMode((640, 480), "mjpeg", 30.0),
    CameraMode((1280, 720), "yuyv422", 10.0),
    CameraMode((1280, 720), "mjpeg", 30.0),
    CameraMode((1280, 720), "mjpeg", 60.0),
    CameraMode((1920, 1080), "mjpeg", 30.0),
    CameraMode((1920, 1080), "yuyv422", 5.0),
]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, "1280x720 mjpeg 30 fps"),
        ({"size_wh": (640, 480)}, "640x480 yuyv422 30 fps"),
        ({"size_wh": (1920, 1080)}, "1920x1080 mjpeg 30 fps"),
        ({"fps": 60.0}, "1280x720 mjpeg 60 fps"),
        ({"size_wh": (640, 480), "pixel_format": "mjpeg"}, "640x480 mjpeg 30 fps"),
        ({"pixel_format": "yuyv422"}, "640x480 yuyv422 30 fps"),
        ({"fps": 29.97}, "1280x720 mjpeg 30 fps"),
    ],
)
def test_the_mode_that_fits_best(wish: dict[str, object], expected: str) -> None:
    asked = {"size_wh": None, "fps": None, "pixel_format": None, **wish}
    assert str(choose_mode(WEBCAM, **asked)) == expected


@pytest.mark.parametrize("wish", [{"size_wh": (800, 600)}, {"fps": 120.0}, {"pixel_format": "h264"}])
def test_no_mode_fits(wish: dict[str, object]) -> None:
    assert choose_mode(WEBCAM, **{"size_wh": None, "fps": None, "pixel_format": None, **wish}) is None


@pytest.mark.parametrize(
    ("system", "pixel_format", "expected"),
    [
        ("v4l2", "mjpeg", {"video_size": "1280x720", "framerate": "30", "input_format": "mjpeg"}),
        ("dshow", "mjpeg", {"video_size": "1280x720", "framerate": "30", "vcodec": "mjpeg", "rtbufsize": "128M"}),
        ("dshow", "nv12", {"video_size": "1280x720", "framerate": "30", "pixel_format": "nv12", "rtbufsize": "128M"}),
        ("avfoundation", "uyvy422", {"video_size": "1280x720", "framerate": "30", "pixel_format": "uyvy422"}),
    ],
)
def test_options_of_the_one_open_call(system: str, pixel_format: str, expected: dict[str, str]) -> None:
    assert open_options(system, size_wh=(1280, 720), fps=30, pixel_format=pixel_format) == expected


def test_nothing_asked_for_leaves_it_to_the_device() -> None:
    assert open_options("v4l2", size_wh=None, fps=None, pixel_format=None) == {}
    assert open_options("avfoundation", size_wh=None, fps=None, pixel_format=None) == {"framerate": "30"}


def test_modes_in_the_log_of_directshow() -> None:
    log = [
        "DirectShow video device options (from video devices)\n",
        ' Pin "Capture" (alternative pin name "0")\n',
        "  pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30\n",
        "  pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30 (tv, bt470bg/bt709/unknown, left)\n",
        "  vcodec=mjpeg  min s=1280x720 fps=30 max s=1280x720 fps=60.0002\n",
        "  unknown compression type 0x30323449  min s=1x1 fps=1 max s=1x1 fps=1\n",
    ]
    assert parse_modes(log) == [CameraMode((640, 480), "yuyv422", 30.0), CameraMode((1280, 720), "mjpeg", 60.0)]


def test_modes_in_the_log_of_avfoundation() -> None:
    log = ["Supported modes:", "  1280x720@[1.000000 30.000030]fps", "  640x480@[15.000000 30.000000]fps"]
    assert [str(mode) for mode in parse_modes(log)] == ["640x480 any 30 fps", "1280x720 any 30 fps"]


def test_modes_in_words() -> None:
    assert list_in_words(WEBCAM[:2]) == "640x480 yuyv422 30 fps, 320x240 yuyv422 30 fps"
    assert list_in_words(WEBCAM, most=2).endswith("and 6 more")
    assert list_in_words([]) == "no mode that it tells of"


def test_wishes_that_cannot_be_right() -> None:
    with pytest.raises(ConfigError, match="size"):
        check_wishes(size_wh=(0, 480), pixel_format=None, device="0")
    with pytest.raises(ConfigError, match="format"):
        check_wishes(size_wh=None, pixel_format="MJPG!", device="0")
