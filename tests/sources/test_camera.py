from __future__ import annotations

import errno
import itertools
import sys
from fractions import Fraction

import av
import pytest

from rtseg.errors import ConfigError, SourceError
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.watching import LiveOptions
from rtseg.sources import camera as camera_module
from rtseg.sources.camera import CameraSource
from rtseg.sources.camera_devices import find_device, list_cameras, list_modes, open_error, system_of
from rtseg.sources.camera_modes import CameraDevice, CameraMode
from tests.pipeline.parts import StubSegmenter

DEVICES = [CameraDevice("/dev/video0", "Integrated Camera"), CameraDevice("/dev/video2", "Logitech C920")]
MODES = [CameraMode((640, 480), "yuyv422", 30.0), CameraMode((1280, 720), "mjpeg", 30.0)]


@pytest.mark.parametrize(("wanted", "address"), [("logi", "/dev/video2"), ("/dev/video0", "/dev/video0")])
def test_a_camera_by_name_or_path(wanted: str, address: str) -> None:
    assert find_device(wanted, DEVICES) == address


@pytest.mark.parametrize(
    ("platform", "wanted", "address"), [("linux", "2", "/dev/video2"), ("darwin", "1", "/dev/video2")]
)
def test_a_camera_by_number(monkeypatch: pytest.MonkeyPatch, platform: str, wanted: str, address: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert find_device(wanted, DEVICES) == address


def test_a_camera_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(SourceError, match=r"present: /dev/video0 \(Integrated Camera\), /dev/video2 \(Logitech C920\)"):
        find_device("7", DEVICES)


def test_no_camera_at_all_is_said() -> None:
    with pytest.raises(SourceError, match="there is no camera on this machine"):
        find_device("0", [])


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EACCES, "permission denied"), (errno.EBUSY, "got busy"), (errno.ENODEV, "no such device")],
)
def test_reasons_are_told_apart(code: int, words: str) -> None:
    assert words in str(open_error("/dev/video0", OSError(code, "x"), modes=MODES))


def test_any_other_reason_lists_the_modes() -> None:
    line = str(open_error("/dev/video0", OSError(errno.EINVAL, "Invalid argument"), modes=MODES))
    assert "1280x720 mjpeg 30 fps, 640x480 yuyv422 30 fps" in line


@pytest.mark.parametrize(("platform", "system"), [("linux", "v4l2"), ("darwin", "avfoundation"), ("win32", "dshow")])
def test_the_device_format_of_each_system(platform: str, system: str) -> None:
    assert system_of(platform) == system


def test_a_system_without_cameras() -> None:
    with pytest.raises(SourceError, match="expected Linux, macOS or Windows"):
        system_of("emscripten")


@pytest.mark.parametrize("options", [{"fps": 0}, {"duration_seconds": -1}, {"size_wh": (0, 0)}])
def test_wishes_that_cannot_be_right(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        CameraSource("0", **options)


@pytest.fixture
def webcam(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """A Linux machine with one camera, played by FFmpeg's test picture; returns the options it was opened with."""
    opened: list[dict[str, str]] = []

    def open_device(system: str, address: str, options: dict[str, str]) -> av.container.InputContainer:
        opened.append(options)
        rate, size = options.get("framerate", "30"), options.get("video_size", "640x480")
        return av.open(f"testsrc2=rate={rate}:size={size}:duration=1", format="lavfi")

    monkeypatch.setattr(camera_module, "list_cameras", lambda: DEVICES[:1])
    monkeypatch.setattr(camera_module, "system_of", lambda platform: "v4l2")
    monkeypatch.setattr(camera_module.v4l2, "list_modes", lambda path: MODES)
    monkeypatch.setattr(camera_module, "open_device", open_device)
    monkeypatch.setattr(sys, "platform", "linux")
    return opened


def test_one_open_call_with_the_mode_that_fits(webcam: list[dict[str, str]]) -> None:
    with CameraSource("0", size_wh=(640, 480), fps=30, duration_seconds=0.5) as source:
        frames = list(source.frames())
    assert webcam == [{"video_size": "640x480", "framerate": "30", "input_format": "yuyv422"}]
    assert (source.info.kind, source.info.live, source.info.size_wh) == ("camera", True, (640, 480))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([n / 30 for n in range(15)])


def test_a_size_that_no_mode_has_lists_the_modes(webcam: list[dict[str, str]]) -> None:
    with pytest.raises(SourceError, match=r"wish for 800x600.*its modes: 1280x720 mjpeg 30 fps, 640x480"):
        CameraSource("0", size_wh=(800, 600)).open()
    assert webcam == []


def test_a_camera_that_stops_is_an_error_not_an_end(webcam: list[dict[str, str]]) -> None:
    source = CameraSource("0", fps=Fraction(30))
    with source, pytest.raises(SourceError, match="still plugged in"):
        list(source.frames())
    assert source.counters.decoded == 30


def test_a_camera_that_is_plugged_in_again_goes_on_where_time_is(
    webcam: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = itertools.count(5_000_000_000, 40_000_000)  # FFmpeg's test picture comes as fast as it can
    monkeypatch.setattr(camera_module.time, "monotonic_ns", lambda: next(now_ns))
    source = CameraSource("0", fps=30)
    seen = []
    for _ in range(2):
        source.open()
        with pytest.raises(SourceError, match="still plugged in"):
            seen.extend(source.frames())
        source.close()
    assert source.can_reopen
    assert source.counters.reconnects == 1
    assert [frame.frame_index for frame in seen] == list(range(60))
    times = [frame.pts_seconds for frame in seen]
    assert times == sorted(set(times))
    assert times[0] == 0
    assert times[30] == pytest.approx(30 * 0.04, abs=0.01)  # what has passed, not where the last connection ended


def test_an_unplugged_camera_is_waited_for_by_a_run(webcam: list[dict[str, str]]) -> None:
    pipeline = Pipeline(
        CameraSource("0", size_wh=(640, 480), fps=30),
        StubSegmenter(),
        max_frames=45,
        policy="every",
        live=LiveOptions(reconnect_max_seconds=1.0),
    )
    stats = pipeline.run()
    assert stats.frames.decoded == 45
    assert len(webcam) == 2


@pytest.mark.needs_camera
def test_a_real_camera() -> None:
    assert list_cameras()
    assert list_modes(list_cameras()[0].address)
    with CameraSource("0", duration_seconds=1) as source:
        assert len(list(source.frames())) >= 5
