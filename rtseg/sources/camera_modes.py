"""What cameras can do: modes, how they are listed by each system, and which one is taken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rtseg.errors import ConfigError

PREFERRED_WH: Final = (1280, 720)
"""Size that is taken, or come closest to from below, when none is asked for."""

PREFERRED_FPS: Final = 30.0
"""Rate that is taken when none is asked for."""

RAW_UP_TO_PX: Final = 640 * 480
"""Above this, compressed modes are preferred: USB carries larger raw pictures at a few frames a second only."""

_RATE_SLACK: Final = 0.02
"""29.97 satisfies a wish for 30."""


@dataclass(frozen=True, slots=True, order=True)
class CameraMode:
    """One way a camera can give its pictures."""

    size_wh: tuple[int, int]
    """Width and height in pixels."""
    pixel_format: str
    """FFmpeg's name of the pixel format or codec: "mjpeg", "yuyv422", "nv12"."""
    fps: float
    """Most frames a second in this mode; 0 where the system does not say."""

    def __str__(self) -> str:
        """Say it as "1280x720 mjpeg 30 fps"."""
        rate = f" {self.fps:g} fps" if self.fps else ""
        return f"{self.size_wh[0]}x{self.size_wh[1]} {self.pixel_format}{rate}"


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """A camera that is present."""

    address: str
    """What to open: "/dev/video0", an index, or a name."""
    name: str
    """What it calls itself."""

    def __str__(self) -> str:
        """Say address and name."""
        return f"{self.address} ({self.name})" if self.name != self.address else self.address


def choose_mode(
    modes: Sequence[CameraMode],
    *,
    size_wh: tuple[int, int] | None,
    fps: float | None,
    pixel_format: str | None,
) -> CameraMode | None:
    """Return the mode that fits what is asked for, the best of several; None when none fits.

    What is given must be met: the size and the format exactly, the rate at least.
    """
    fitting = [
        mode
        for mode in modes
        if (size_wh is None or mode.size_wh == size_wh)
        and (pixel_format is None or mode.pixel_format == pixel_format)
        and (fps is None or not mode.fps or mode.fps >= fps * (1 - _RATE_SLACK))
    ]
    return max(fitting, key=lambda mode: _worth(mode, fps or PREFERRED_FPS), default=None)


def _worth(mode: CameraMode, wanted_fps: float) -> tuple[bool, bool, int, bool, float]:
    """Return a rank: fast enough, not too large, large, in the right kind of format, and no faster than wanted."""
    pixels = mode.size_wh[0] * mode.size_wh[1]
    within = mode.size_wh[0] <= PREFERRED_WH[0] and mode.size_wh[1] <= PREFERRED_WH[1]
    fast = mode.fps == 0 or mode.fps >= wanted_fps * 0.8
    right_kind = (mode.pixel_format == "mjpeg") == (pixels > RAW_UP_TO_PX)
    return fast, within, pixels if within else -pixels, right_kind, -abs(mode.fps - wanted_fps)


def list_in_words(modes: Iterable[CameraMode], *, most: int = 24) -> str:
    """Return the modes in one line, the largest first."""
    ordered = sorted(set(modes), reverse=True)
    if not ordered:
        return "no mode that it tells of"
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(str(mode) for mode in ordered[:most]) + more


def open_options(
    system: str, *, size_wh: tuple[int, int] | None, fps: float | None, pixel_format: str | None
) -> dict[str, str]:
    """Return the options of FFmpeg's device format for one open call.

    Args:
        system: "v4l2", "avfoundation" or "dshow".
        size_wh: width and height, None to leave it to the device.
        fps: frames a second, None to leave it.
        pixel_format: pixel format or codec, None to leave it.
    """
    options: dict[str, str] = {}
    if size_wh is not None:
        options["video_size"] = f"{size_wh[0]}x{size_wh[1]}"
    if fps:
        options["framerate"] = f"{fps:g}"
    elif system == "avfoundation":  # its own default of 29.97 is refused by most cameras
        options["framerate"] = f"{PREFERRED_FPS:g}"
    if pixel_format is not None:
        if system == "v4l2":
            options["input_format"] = pixel_format
        elif system == "dshow" and pixel_format in ("mjpeg", "h264", "hevc"):
            options["vcodec"] = pixel_format
        else:
            options["pixel_format"] = pixel_format
    if system == "dshow":
        options["rtbufsize"] = "128M"
    return options


_DSHOW_MODE: Final = re.compile(
    r"(?:pixel_format|vcodec)=(?P<format>\S+)\s+min s=\d+x\d+ fps=\S+ max s=(?P<w>\d+)x(?P<h>\d+) fps=(?P<fps>[\d.]+)"
)
_AVFOUNDATION_MODE: Final = re.compile(r"(?P<w>\d+)x(?P<h>\d+)@\[[\d.]+ (?P<fps>[\d.]+)\]fps")


def parse_modes(log_lines: Iterable[str]) -> list[CameraMode]:
    """Return the modes that DirectShow or AVFoundation wrote into FFmpeg's log, each once."""
    modes = []
    for line in log_lines:
        match = _DSHOW_MODE.search(line) or _AVFOUNDATION_MODE.search(line)
        if match:
            size_wh = (int(match["w"]), int(match["h"]))
            modes.append(CameraMode(size_wh, match.groupdict().get("format") or "any", round(float(match["fps"]), 3)))
    return sorted(set(modes))


def check_wishes(*, size_wh: tuple[int, int] | None, pixel_format: str | None, device: str) -> None:
    """Raise ConfigError for a size or format that no camera can have."""
    if size_wh is not None and not (len(size_wh) == 2 and min(size_wh) >= 1):
        raise ConfigError(f"camera {device}: got size {size_wh}; expected width and height. Give one like 1280x720.")
    if pixel_format is not None and not re.fullmatch(r"[a-z0-9_]+", pixel_format):
        raise ConfigError(f"camera {device}: got format {pixel_format!r}; expected a name such as mjpeg. Change it.")
