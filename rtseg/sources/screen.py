"""The screen as a source: all of it, or a region, through FFmpeg's X11 grabber."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

import av
from av.container import InputContainer
from av.error import FFmpegError

from rtseg.errors import ConfigError, SourceError
from rtseg.sources.base import Source, SourceInfo
from rtseg.sources.live_clock import TIME_BASE, LiveClock
from rtseg.sources.options import check_rate
from rtseg.sources.pixels import PictureReader
from rtseg.sources.x11 import opencv_came_first
from rtseg.types import Frame

OPEN_SECONDS: Final = 5.0
DEFAULT_FPS: Final = 30
_REGION: Final = re.compile(r"^(\d{1,5})x(\d{1,5})(?:([+-]\d{1,5})([+-]\d{1,5}))?$")
_LEAST_SIDE_PX: Final = 16


class Region(NamedTuple):
    """A part of the screen in pixels, its corner counted from the top left."""

    width: int
    height: int
    x: int = 0
    y: int = 0

    def __str__(self) -> str:
        return f"{self.width}x{self.height}{self.x:+d}{self.y:+d}"


def parse_region(text: str) -> Region | None:
    """Return the region in "WxH+X+Y" or "WxH"; None for an empty text: the whole screen.

    Raises:
        ConfigError: it is written otherwise, or smaller than 16x16.
    """
    if not text.strip():
        return None
    found = _REGION.match(text.strip())
    region = Region(*(int(part) for part in found.groups(default="0"))) if found else None
    if region is None or min(region.width, region.height) < _LEAST_SIDE_PX or min(region.x, region.y) < 0:
        raise ConfigError(f"screen:{text}: got no region; expected WxH+X+Y such as 1280x720+0+0, 16x16 or larger.")
    return region


class ScreenSource(Source):
    """What a screen shows; live, so that the freshest frame counts."""

    def __init__(
        self,
        region: str = "",
        *,
        fps: float | Fraction = DEFAULT_FPS,
        cursor: bool = True,
        display: str | None = None,
        duration_seconds: float | None = None,
        source_id: str | None = None,
    ) -> None:
        """Describe what to grab.

        Args:
            region: "WxH+X+Y"; empty: the whole screen.
            fps: pictures a second.
            cursor: show the mouse pointer.
            display: X display such as ":0"; None: the one of the session, $DISPLAY.
            duration_seconds: how long; None is without end.
            source_id: name in stats and file names; None is "screen".

        Raises:
            ConfigError: a region, rate or duration that cannot be right.
        """
        super().__init__()
        self._region = parse_region(region)
        self._fps = check_rate(fps, what="screen")
        self._cursor = cursor
        self._display = display
        if duration_seconds is not None and not duration_seconds > 0:
            raise ConfigError(f"screen: got duration {duration_seconds} s; expected more than 0. Change it.")
        self._duration_seconds = duration_seconds
        self._source_id = source_id or "screen"
        self._container: InputContainer | None = None
        self._info: SourceInfo | None = None

    @property
    def info(self) -> SourceInfo:
        """What is known of the screen. Raises SourceError before `open()`."""
        if self._info is None:
            raise SourceError("screen: got one that is not open; expected open() first. Open it.")
        return self._info

    def open(self) -> None:
        """Connect to the display.

        Raises:
            SourceError: this system has no X11, there is no display, or the region is not on it.
        """
        display = self._find_display()
        options = {"framerate": str(self._fps), "draw_mouse": str(int(self._cursor))}
        if self._region is not None:
            region = self._region
            options |= {
                "video_size": f"{region.width}x{region.height}",
                "grab_x": str(region.x),
                "grab_y": str(region.y),
            }
        try:
            self._container = av.open(display, format="x11grab", options=options, timeout=(OPEN_SECONDS, OPEN_SECONDS))
        except (FFmpegError, OSError, ValueError) as error:
            raise self._open_error(display, error) from error
        stream = self._container.streams.video[0]
        self._info = SourceInfo(
            source_id=self._source_id,
            kind="screen",
            live=True,
            size_wh=(stream.width, stream.height),
            time_base=TIME_BASE,
            frame_rate=self._fps,
            duration_seconds=self._duration_seconds,
            matrix="bt709" if stream.height >= 720 else "bt601",
            details={"display": display, "region": str(self._region or "all"), "codec": "x11grab"},
        )

    def frames(self) -> Iterator[Frame]:
        """Yield what the screen shows, rgb uint8 [H, W, 3], at the rate asked for; slower where nobody keeps up.

        Raises:
            SourceError: the display went away.
        """
        info, container = self.info, self._container
        if container is None:
            return
        clock, pictures = LiveClock(), PictureReader()
        try:
            for frame_index, picture in enumerate(container.decode(video=0)):
                captured_ns = time.monotonic_ns()
                raw = None if picture.pts is None else float(picture.pts * (picture.time_base or TIME_BASE))
                pts = clock.frame_ticks(raw, captured_ns)
                if self._duration_seconds is not None and float(pts * TIME_BASE) >= self._duration_seconds:
                    return
                self.counters.decoded = frame_index + 1
                yield Frame(pictures.read(picture), frame_index, pts, TIME_BASE, captured_ns, info.source_id)
        except FFmpegError as error:
            raise SourceError(
                f"screen {info.details['display']}: got {(error.strerror or str(error)).lower()}; "
                "expected it to go on. Is the session still there? Start again."
            ) from error

    def close(self) -> None:
        """Let go of the display; idempotent."""
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def _find_display(self) -> str:
        if not sys.platform.startswith("linux"):
            raise SourceError(
                f"screen: got the system {sys.platform}; expected Linux with X11. "
                "Use a virtual camera (OBS) and name it as the source."
            )
        if "x11grab" not in av.formats_available:
            raise SourceError("screen: got an FFmpeg without x11grab; expected it. pip install --upgrade av")
        if opencv_came_first():
            raise SourceError(
                "screen: got OpenCV loaded before PyAV, with which FFmpeg's X11 grabber crashes; expected PyAV first. "
                "Write `import av` at the top of the program (`rtseg run screen:` does)."
            )
        display = self._display or os.environ.get("DISPLAY", "")
        if not display:
            raise SourceError(
                "screen: got no display ($DISPLAY is empty); expected an X11 session, or Wayland with Xwayland. "
                "Log in at the machine, or name one: -s display=:0."
            )
        return display

    def _open_error(self, display: str, error: Exception) -> SourceError:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        if self._region is not None:
            return SourceError(
                f"screen {display}: got {reason} for the region {self._region}; expected one that lies on the screen "
                "of a display that answers. Try screen: for all of it."
            )
        return SourceError(
            f"screen {display}: got {reason}; expected a display that answers. Check $DISPLAY and xauth, "
            "or name another: -s display=:0."
        )
