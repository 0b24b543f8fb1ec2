"""Which cameras there are on this system, how one is opened, and what to say when it does not open."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Final, Literal, TypeAlias

import av
from av import logging as av_logging
from av.container import InputContainer
from av.error import FFmpegError

from rtseg.errors import SourceError
from rtseg.sources import v4l2
from rtseg.sources.camera_modes import CameraDevice, CameraMode, list_in_words, parse_modes

System: TypeAlias = Literal["v4l2", "avfoundation", "dshow"]

OPEN_TIMEOUT_SECONDS: Final = 10.0
READ_TIMEOUT_SECONDS: Final = 5.0


def system_of(platform: str) -> System:
    """Return FFmpeg's device format for a platform as in `sys.platform`.

    Raises:
        SourceError: this system has no cameras that rtseg can use.
    """
    if platform.startswith("linux"):
        return "v4l2"
    if platform == "darwin":
        return "avfoundation"
    if platform == "win32":
        return "dshow"
    raise SourceError(f"camera: got system {platform}; expected Linux, macOS or Windows. Use a file.")


def list_cameras() -> list[CameraDevice]:
    """Return the cameras that are present; never fails."""
    system = system_of(sys.platform)
    if system == "v4l2":
        return v4l2.list_devices()
    try:
        found = [device for device in av.enumerate_input_devices(system) if "video" in device.media_types]
    except (FFmpegError, ValueError, OSError):
        return []
    return [
        CameraDevice(device.description if system == "dshow" else device.name, device.description) for device in found
    ]


def list_modes(address: str) -> list[CameraMode]:
    """Return the modes of a camera, empty where the system does not tell.

    Raises:
        OSError: on Linux, the device does not exist or may not be opened.
    """
    system = system_of(sys.platform)
    if system == "v4l2":
        return v4l2.list_modes(Path(address))
    # AVFoundation tells its modes only when it refuses one, DirectShow when asked.
    options = {"list_options": "true"} if system == "dshow" else {"video_size": "1x1", "framerate": "1"}
    previous = av_logging.get_level()
    av_logging.set_level(av_logging.INFO)
    try:
        with av_logging.Capture(local=False) as lines:
            try:
                av.open(_url_of(system, address), format=system, options=options).close()
            except (FFmpegError, ValueError):
                pass  # refusing is how it answers; the modes are in the log
        return parse_modes(message for _, _, message in lines)
    finally:
        av_logging.set_level(previous)


def find_device(wanted: str, present: list[CameraDevice]) -> str:
    """Return the address of the camera that an index, a path or a part of a name means.

    Raises:
        SourceError: there is none, or no such one.
    """
    if not wanted.isdecimal():
        for device in present:
            if wanted in (device.address, device.name) or wanted.lower() in device.name.lower():
                return device.address
    elif sys.platform.startswith("linux"):
        address = f"/dev/video{int(wanted)}"
        if any(device.address == address for device in present):
            return address
    elif int(wanted) < len(present):
        return present[int(wanted)].address
    there = f"present: {', '.join(map(str, present))}" if present else "there is no camera on this machine"
    raise SourceError(
        f"camera {wanted}: got no such camera; {there}. "
        + ("Name one of them." if present else "Plug one in, or use a file or synthetic:desk.")
    )


def open_error(address: str, error: Exception, *, modes: list[CameraMode]) -> SourceError:
    """Return what to say when a camera does not open: not allowed, busy, or gone; else with its modes."""
    code = getattr(error, "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        remedy = (
            "sudo usermod -aG video $USER, then log in again" if sys.platform == "linux" else "allow it in settings"
        )
        return SourceError(f"camera {address}: got permission denied; expected access to it. Remedy: {remedy}.")
    if code == errno.EBUSY:
        return SourceError(f"camera {address}: got busy; expected that no other program uses it. Close that program.")
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return SourceError(f"camera {address}: got no such device; expected a camera. Plug it in again.")
    reason = getattr(error, "strerror", None) or str(error)
    return SourceError(
        f"camera {address}: got {reason.lower()}; expected one of its modes: {list_in_words(modes)}. "
        "Ask for one of them with size, fps and pixel_format."
    )


def open_device(system: System, address: str, options: dict[str, str]) -> InputContainer:
    """Open a camera in one call.

    Raises:
        SourceError: it does not open with these options; it says why, and which modes there are.
    """
    timeouts = (OPEN_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS)
    try:
        return av.open(_url_of(system, address), mode="r", format=system, options=options, timeout=timeouts)
    except (FFmpegError, OSError, ValueError) as error:
        try:
            modes = list_modes(address)
        except OSError:
            modes = []
        raise open_error(address, error, modes=modes) from error


def _url_of(system: System, address: str) -> str:
    if system == "dshow":
        return f"video={address}"
    return f"{address}:none" if system == "avfoundation" else address
