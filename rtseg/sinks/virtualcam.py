"""The virtual camera: composited frames as a camera that other programs can choose (v4l2loopback, OBS).

What programs expect of a camera's 4:2:0 planes is BT.601 in limited range, whatever the source was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np

from rtseg.errors import BackendUnavailable, ConfigError, SinkError
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.clock import GUESSED_RATE
from rtseg.sinks.painter import ColourTags, FramePainter
from rtseg.types import Frame, Segmentation

INSTALL: Final = "pip install 'rtseg[virtualcam]'"
DEVICE_REMEDIES: Final = {
    "linux": "Load the driver: sudo apt install v4l2loopback-dkms && sudo modprobe v4l2loopback exclusive_caps=1 "
    "card_label=rtseg.",
    "darwin": "Install OBS 30 or newer, start its virtual camera once, and stop it again.",
    "win32": "Install OBS (its virtual camera comes with it), or Unity Capture.",
}


class VirtualCameraSink(Sink):
    """Feeds a virtual camera. Threading: one thread."""

    live: ClassVar[bool] = True
    name = "virtualcam"

    def __init__(self, device: str | None = None) -> None:
        """Take the device, such as /dev/video2 or "OBS Virtual Camera"; None: the first that is free.

        Raises:
            BackendUnavailable: pyvirtualcam is not installed.
        """
        self._device = device
        self._camera: Any = None
        self._painter: FramePainter | None = None
        self._notes: list[str] = []
        _package()

    @property
    def notes(self) -> Sequence[str]:
        """Which device it is, and whether frames had to be scaled."""
        return tuple(self._notes)

    def open(self, stream: StreamFormat) -> None:
        """Open the device.

        Raises:
            SinkError: there is none, or it is taken.
            ConfigError: the pictures are transparent.
        """
        if self._camera is not None:
            raise SinkError("virtualcam: got a second open; expected one. Close it first.")
        if stream.has_alpha:
            raise ConfigError(
                "virtualcam: got transparent pictures; expected opaque ones. Replace the background by a colour: "
                "replace:color=#00ff00."
            )
        package = _package()
        size_wh = (max(2, stream.size_wh[0] & ~1), max(2, stream.size_wh[1] & ~1))
        try:
            self._camera = package.Camera(
                width=size_wh[0],
                height=size_wh[1],
                fps=float(stream.frame_rate or GUESSED_RATE),
                fmt=package.PixelFormat.I420,
                device=self._device,
                print_fps=False,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise _device_error(self._device, error) from error
        self._painter = FramePainter(
            size_wh=size_wh, pixel_format="yuv420p", tags=ColourTags(matrix="bt601", full_range=False)
        )
        self._note(f"the virtual camera is {self._camera.device}")

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Show one frame; a frame of another size is fitted in.

        Raises:
            SinkError: the device does not take it.
        """
        del result
        if self._camera is None or self._painter is None:
            raise SinkError("virtualcam: got a frame while not open; expected open() first. Open the sink.")
        if not _nearly(frame.size_wh, self._painter.size_wh):
            width, height = self._painter.size_wh
            self._note(f"virtualcam: frames came in another size; they were scaled to {width}x{height}")
        planes = self._painter.fitted_planes(frame.picture)
        try:
            self._camera.send(np.concatenate([plane.ravel() for plane in planes]))
        except (RuntimeError, ValueError, OSError) as error:
            raise SinkError(
                f"virtualcam: got {str(error)!r} from the device; expected it to take the frame. Start it again."
            ) from error

    def close(self) -> None:
        """Let go of the device; idempotent."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)


def camera_available() -> tuple[bool, str, str]:
    """Return whether a virtual camera can be opened here, what there is to say, and what mends it."""
    try:
        package = _package()
    except BackendUnavailable:
        return False, "pyvirtualcam is not installed", INSTALL
    try:
        with package.Camera(width=320, height=240, fps=30, fmt=package.PixelFormat.I420) as camera:
            return True, str(camera.device), ""
    except (RuntimeError, ValueError, OSError):
        return False, "no virtual camera device", _device_remedy()


def _package() -> Any:
    try:
        import pyvirtualcam
    except ImportError as error:
        raise BackendUnavailable(
            f"virtualcam: got no pyvirtualcam; expected it to be installed. Run {INSTALL}."
        ) from error
    return pyvirtualcam


def _device_error(device: str | None, error: BaseException) -> SinkError:
    reason = " ".join(str(error).split())[:160]
    what = f"the device {device}" if device else "a virtual camera device"
    return SinkError(f"virtualcam: got no usable device ({reason}); expected {what}. {_device_remedy()}")


def _device_remedy() -> str:
    return DEVICE_REMEDIES.get(sys.platform, "Install a virtual camera that pyvirtualcam supports.")


def _nearly(first_wh: tuple[int, int], second_wh: tuple[int, int]) -> bool:
    return all(abs(first - second) <= 1 for first, second in zip(first_wh, second_wh, strict=True))
