from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from rtseg.sources import v4l2
from rtseg.sources.camera_modes import CameraMode

WEBCAM: dict[str, dict[tuple[int, int], list[tuple[int, int]]]] = {
    "YUYV": {(640, 480): [(1, 30), (1, 15)], (1280, 720): [(1, 10)]},
    "MJPG": {(1280, 720): [(1, 30), (1, 60)]},
    "Z16 ": {(640, 480): [(1, 30)]},
}
"""Intervals of each size of each format; Z16 is a depth picture, which cannot be shown."""


def code_of(name: str) -> int:
    return int(struct.unpack("=I", name.encode())[0])


def fake_driver(request: int, buffer: bytearray) -> bool:
    """Answers as the kernel does: fills the structure in place, False at the end of each list."""
    if request == v4l2.VIDIOC_QUERYCAP:
        buffer[:] = v4l2.CAPABILITY.pack(b"uvcvideo", b"Test Cam", b"usb", 0, 0x8000_0001, 1, 0, 0, 0)
        return True
    if request == v4l2.VIDIOC_ENUM_FMT:
        index, kind, *_ = v4l2.FORMAT.unpack(buffer)
        if index >= len(WEBCAM):
            return False
        buffer[:] = v4l2.FORMAT.pack(index, kind, 0, b"a format", code_of(list(WEBCAM)[index]), 0, 0, 0, 0)
        return True
    if request == v4l2.VIDIOC_ENUM_FRAMESIZES:
        index, code, *_ = v4l2.FRAME_SIZE.unpack(buffer)
        sizes = next(list(sizes) for name, sizes in WEBCAM.items() if code_of(name) == code)
        if index >= len(sizes):
            return False
        buffer[:] = v4l2.FRAME_SIZE.pack(index, code, 1, *sizes[index], 0, 0, 0, 0, 0, 0)
        return True
    index, code, width, height, *_ = v4l2.FRAME_INTERVAL.unpack(buffer)
    rates = next(sizes for name, sizes in WEBCAM.items() if code_of(name) == code)[width, height]
    if index >= len(rates):
        return False
    buffer[:] = v4l2.FRAME_INTERVAL.pack(index, code, width, height, 1, *rates[index], 0, 0, 0, 0, 0, 0)
    return True


def test_structures_have_the_sizes_of_the_kernel() -> None:
    for request, structure in (
        (v4l2.VIDIOC_QUERYCAP, v4l2.CAPABILITY),
        (v4l2.VIDIOC_ENUM_FMT, v4l2.FORMAT),
        (v4l2.VIDIOC_ENUM_FRAMESIZES, v4l2.FRAME_SIZE),
        (v4l2.VIDIOC_ENUM_FRAMEINTERVALS, v4l2.FRAME_INTERVAL),
    ):
        assert (request >> 16) & 0x3FFF == structure.size
        assert (request >> 8) & 0xFF == ord("V")


def test_modes_of_a_webcam() -> None:
    assert sorted(v4l2.read_modes(fake_driver)) == [
        CameraMode((640, 480), "yuyv422", 30.0),
        CameraMode((1280, 720), "mjpeg", 60.0),
        CameraMode((1280, 720), "yuyv422", 10.0),
    ]


def test_a_camera_of_any_size_offers_the_usual_ones() -> None:
    def stepwise(request: int, buffer: bytearray) -> bool:
        if request == v4l2.VIDIOC_ENUM_FRAMESIZES:
            index, code, *_ = v4l2.FRAME_SIZE.unpack(buffer)
            buffer[:] = v4l2.FRAME_SIZE.pack(index, code, 3, 32, 1920, 2, 32, 1080, 2, 0, 0)
            return True
        if request == v4l2.VIDIOC_ENUM_FRAMEINTERVALS:
            return False
        return fake_driver(request, buffer) and v4l2.FORMAT.unpack(buffer)[0] == 0

    assert [mode.size_wh for mode in v4l2.read_modes(stepwise)] == [(640, 480), (1280, 720), (1920, 1080)]


def test_a_driver_without_an_end_is_cut_off() -> None:
    def endless(request: int, buffer: bytearray) -> bool:
        if request == v4l2.VIDIOC_ENUM_FMT:
            buffer[:] = v4l2.FORMAT.pack(0, 1, 0, b"", code_of("MJPG"), 0, 0, 0, 0)
            return True
        return False

    assert list(v4l2.read_modes(endless)) == []


def test_the_name_of_a_camera_and_of_what_is_none() -> None:
    def metadata(request: int, buffer: bytearray) -> bool:
        buffer[:] = v4l2.CAPABILITY.pack(b"uvcvideo", b"Test Cam", b"usb", 0, 0x8080_0001, 0x0080_0000, 0, 0, 0)
        return True

    assert v4l2.read_name(fake_driver) == "Test Cam"
    assert v4l2.read_name(metadata) is None
    assert v4l2.read_name(lambda request, buffer: False) is None


@pytest.mark.skipif(sys.platform != "linux", reason="ioctls of Linux")
def test_a_file_that_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "video7").write_bytes(b"")
    (tmp_path / "video10").write_bytes(b"")
    (tmp_path / "videos").mkdir()
    assert v4l2.list_devices(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        v4l2.list_modes(tmp_path / "video1")
