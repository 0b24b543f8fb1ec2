"""Video4Linux by its ioctls: which cameras there are and which modes they have, without opening a stream.

Source: linux/videodev2.h; the structures have the same layout on every 64-bit system.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from rtseg.sources.camera_modes import CameraDevice, CameraMode

Answer = TypeVar("Answer")
Query: TypeAlias = Callable[[int, bytearray], bool]
"""Runs one ioctl on a buffer that it fills; False where the driver has no (further) answer."""

VIDIOC_QUERYCAP: Final = 0x80685600
VIDIOC_ENUM_FMT: Final = 0xC0405602
VIDIOC_ENUM_FRAMESIZES: Final = 0xC02C564A
VIDIOC_ENUM_FRAMEINTERVALS: Final = 0xC034564B

CAPABILITY: Final = struct.Struct("=16s32s32s6I")
FORMAT: Final = struct.Struct("=3I32s5I")
FRAME_SIZE: Final = struct.Struct("=3I6I2I")
FRAME_INTERVAL: Final = struct.Struct("=5I6I2I")

_CAPTURE: Final = 1
_HAS_DEVICE_CAPS: Final = 0x8000_0000
_DISCRETE: Final = 1
_MOST_ANSWERS: Final = 256
"""A driver that never says "no more" is cut off here."""

_USUAL_SIZES: Final = ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))
"""What is offered of a camera that takes any size in a range."""

_FORMATS: Final = {
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
    "NV12": "nv12",
    "YU12": "yuv420p",
    "422P": "yuv422p",
    "RGB3": "rgb24",
    "BGR3": "bgr24",
    "GREY": "gray",
    "H264": "h264",
    "HEVC": "hevc",
}
"""Four-character codes and FFmpeg's names; others cannot be asked for."""


def list_devices(folder: Path = Path("/dev")) -> list[CameraDevice]:
    """Return the capture devices that are present, by number; one that may not be opened keeps its path as name."""
    numbered = sorted((int(path.name[5:]), path) for path in folder.glob("video*") if path.name[5:].isdecimal())
    devices = []
    for _, path in numbered:
        try:
            name = with_device(path, read_name)
        except OSError:
            name = str(path)
        if name is not None:
            devices.append(CameraDevice(str(path), name))
    return devices


def list_modes(path: Path) -> list[CameraMode]:
    """Return the modes of a device.

    Raises:
        OSError: it does not exist, may not be opened, or is no video device.
    """
    return with_device(path, lambda query: sorted(set(read_modes(query))))


def with_device(path: Path, read: Callable[[Query], Answer]) -> Answer:
    """Return what `read` makes of the ioctls of a device, which is open meanwhile.

    Raises:
        OSError: the device does not exist or may not be opened, or this is not Linux.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "Video4Linux is a part of Linux", str(path))
    import fcntl

    device = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def query(request: int, buffer: bytearray) -> bool:
        try:
            fcntl.ioctl(device, request, buffer)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return False
            raise
        return True

    try:
        return read(query)
    finally:
        os.close(device)


def read_name(query: Query) -> str | None:
    """Return what the device calls itself, None when it captures no pictures (a metadata or output device)."""
    buffer = bytearray(CAPABILITY.size)
    if not query(VIDIOC_QUERYCAP, buffer):
        return None
    _, card, _, _, capabilities, device_caps, *_ = CAPABILITY.unpack(buffer)
    if not (device_caps if capabilities & _HAS_DEVICE_CAPS else capabilities) & _CAPTURE:
        return None
    return str(card.split(b"\0", 1)[0].decode("utf-8", "replace"))


def read_modes(query: Query) -> Iterator[CameraMode]:
    """Yield every combination of format, size and highest rate that the driver tells of."""
    for code in _read_formats(query):
        name = _FORMATS.get(struct.pack("=I", code).decode("latin-1").strip())
        if name is not None:
            for size_wh in _read_sizes(query, code):
                yield CameraMode(size_wh, name, _read_highest_rate(query, code, size_wh))


def _read_formats(query: Query) -> Iterator[int]:
    for index in range(_MOST_ANSWERS):
        buffer = bytearray(FORMAT.pack(index, _CAPTURE, 0, b"", 0, 0, 0, 0, 0))
        if not query(VIDIOC_ENUM_FMT, buffer):
            return
        yield FORMAT.unpack(buffer)[4]


def _read_sizes(query: Query, code: int) -> Iterator[tuple[int, int]]:
    for index in range(_MOST_ANSWERS):
        buffer = bytearray(FRAME_SIZE.pack(index, code, *[0] * 9))
        if not query(VIDIOC_ENUM_FRAMESIZES, buffer):
            return
        _, _, kind, *numbers = FRAME_SIZE.unpack(buffer)
        if kind == _DISCRETE:
            yield numbers[0], numbers[1]
            continue
        least_w, most_w, _, least_h, most_h, _ = numbers[:6]
        yield from ((w, h) for w, h in _USUAL_SIZES if least_w <= w <= most_w and least_h <= h <= most_h)
        return


def _read_highest_rate(query: Query, code: int, size_wh: tuple[int, int]) -> float:
    highest = 0.0
    for index in range(_MOST_ANSWERS):
        buffer = bytearray(FRAME_INTERVAL.pack(index, code, *size_wh, *[0] * 9))
        if not query(VIDIOC_ENUM_FRAMEINTERVALS, buffer):
            break
        *_, kind, numerator, denominator = FRAME_INTERVAL.unpack(buffer)[:7]
        if numerator:  # of a range, the first interval is the shortest
            highest = max(highest, round(denominator / numerator, 3))
        if kind != _DISCRETE:
            break
    return highest
