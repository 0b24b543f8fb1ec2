"""The virtual camera: what reaches the device, and what is said where package or device are missing."""

from __future__ import annotations

import builtins
import enum
import sys
import types
from typing import ClassVar

import numpy as np
import pytest

from rtseg import color
from rtseg.errors import BackendUnavailable, ConfigError, SinkError
from rtseg.sinks import open_sink
from rtseg.sinks.available import live_outputs
from rtseg.sinks.virtualcam import camera_available


class FakeCamera:
    """Keeps what it is given, as a device would show it."""

    made: ClassVar[list[FakeCamera]] = []
    broken = False

    def __init__(self, **facts):
        if FakeCamera.broken:
            raise RuntimeError("'v4l2loopback' backend: No v4l2 loopback device found")
        self.facts, self.frames, self.closed = facts, [], False
        self.device = facts.get("device") or "/dev/video9"
        FakeCamera.made.append(self)

    def send(self, frame):
        self.frames.append(np.array(frame))

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def package(monkeypatch):
    """A pyvirtualcam whose device is a list."""
    module = types.ModuleType("pyvirtualcam")
    module.Camera = FakeCamera
    module.PixelFormat = enum.Enum("PixelFormat", ["RGB", "I420"])
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    monkeypatch.setattr(FakeCamera, "made", [])
    monkeypatch.setattr(FakeCamera, "broken", False)
    return module


@pytest.fixture
def no_package(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "pyvirtualcam":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "pyvirtualcam", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_frames_arrive_in_the_colours_of_a_camera(package, tools, matrix):
    sink = open_sink("virtualcam:/dev/video7")
    sink.open(tools.stream_format((64, 48), matrix=matrix))
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :32], rgb[:, 32:] = (200, 50, 40), (40, 180, 60)
    sink.write(tools.frame_of(color.to_yuv420(rgb, matrix=matrix, full_range=False), 0), None)
    sink.close()
    (camera,) = FakeCamera.made
    assert (camera.facts["width"], camera.facts["height"], camera.facts["fmt"].name) == (64, 48, "I420")
    assert camera.facts["fps"] == 25
    assert camera.closed
    sent = camera.frames[0]
    y, u, v = sent[:3072].reshape(48, 64), sent[3072:3840].reshape(24, 32), sent[3840:].reshape(24, 32)
    for x, colour in ((10, (200, 50, 40)), (50, (40, 180, 60))):
        wanted = color.rgb_color_to_yuv(colour, matrix="bt601", full_range=False)
        assert np.abs(np.array([y[20, x], u[10, x // 2], v[10, x // 2]], int) - wanted).max() <= 2
    assert sink.notes == ("the virtual camera is /dev/video7",)


def test_frames_of_another_size_are_fitted_and_it_is_said_once(package, tools):
    sink = open_sink("virtualcam")
    sink.open(tools.stream_format((65, 48)))
    for size in ((65, 48), (100, 40), (30, 90)):
        sink.write(tools.frame_of(tools.picture_of(0, size), 0), None)
    sink.close()
    assert [len(frame) for frame in FakeCamera.made[0].frames] == [64 * 48 * 3 // 2] * 3
    assert len(sink.notes) == 2


def test_no_device_is_one_clear_line(package, tools, monkeypatch):
    monkeypatch.setattr(FakeCamera, "broken", True)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(SinkError, match="modprobe v4l2loopback") as caught:
        open_sink("virtualcam").open(tools.stream_format())
    assert "\n" not in str(caught.value)


def test_no_package_is_one_clear_line(no_package):
    with pytest.raises(BackendUnavailable, match=r"pip install 'rtseg\[virtualcam\]'"):
        open_sink("virtualcam")


def test_the_real_package_says_that_there_is_no_device(tools):
    pytest.importorskip("pyvirtualcam")
    if camera_available()[0]:
        pytest.skip("there is a virtual camera here")
    with pytest.raises(SinkError, match="no usable device"):
        open_sink("virtualcam").open(tools.stream_format())


def test_transparent_pictures_are_refused(package, tools):
    with pytest.raises(ConfigError, match="transparent"):
        open_sink("virtualcam").open(tools.stream_format(has_alpha=True))


def test_a_device_that_goes_away_is_an_error(package, tools, monkeypatch):
    sink = open_sink("virtualcam")
    sink.open(tools.stream_format())

    def gone(self, frame):
        raise RuntimeError("device is gone")

    monkeypatch.setattr(FakeCamera, "send", gone)
    with pytest.raises(SinkError, match="device is gone"):
        sink.write(tools.frame_of(tools.picture_of(0, (64, 48)), 0), None)
    sink.close()


def test_doctor_names_every_way_out(package):
    ways = {way.name: way for way in live_outputs()}
    assert set(ways) == {"network", "srt", "virtualcam"}
    assert ways["virtualcam"].works
    assert all(way.works or way.remedy for way in ways.values())


def test_doctor_says_what_is_missing(no_package):
    (camera,) = [way for way in live_outputs() if way.name == "virtualcam"]
    assert not camera.works
    assert "rtseg[virtualcam]" in camera.remedy
