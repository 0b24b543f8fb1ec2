"""The window: shows frames as they come and listens to keys.

Keys: space pause, e next effect, m next model, s snapshot (a PNG in the current folder), q or Esc quit. Closing the
window quits too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rtseg.errors import SinkError
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.display import display_available
from rtseg.sinks.png import colour_png, write_whole
from rtseg.types import Frame, Segmentation, UInt8Array, Yuv420

COMMANDS: Final[dict[int, str]] = {
    ord("e"): "effect",
    ord("m"): "model",
    ord("s"): "snapshot",
    ord(" "): "pause",
}
QUIT_KEYS: Final = frozenset({ord("q"), 27})
LARGEST_WH: Final = (1280, 720)
PAUSE_POLL_MS: Final = 30
MOST_KEYS_A_FRAME: Final = 8
CHECKER_PX: Final = 16


class WindowSink(Sink):
    """Shows every frame in an OpenCV window.

    A pause holds the thread inside `write` until the key is pressed again, the user quits, or `interrupt` is called.

    Threading: `open`, `write` and `close` in one thread (the main thread on macOS); `interrupt` from any.
    """

    name = "window"

    def __init__(self, *, paced: bool = False) -> None:
        """Take `paced`: show frames at the distance of their pts, as a player does, instead of as they come."""
        self._paced = paced
        self._title = ""
        self._commands: list[str] = []
        self._snapshots: list[Path] = []
        self._quit = False
        self._interrupted = False
        self._clock_start: tuple[float, float] | None = None

    @property
    def wants_stop(self) -> bool:
        """True once the user has quit."""
        return self._quit

    @property
    def outputs(self) -> Sequence[Path]:
        """The snapshots taken."""
        return tuple(self._snapshots)

    def take_commands(self) -> list[str]:
        """Return, once each, the commands given since the last call: effect, model, snapshot, pause (at each press)."""
        commands, self._commands = self._commands, []
        return commands

    def interrupt(self) -> None:
        """End a pause for good, so that a waiting `write` returns; may be called from any thread."""
        self._interrupted = True

    def open(self, stream: StreamFormat) -> None:
        """Open the window.

        Raises:
            SinkError: there is no display, or OpenCV was built without windows.
        """
        possible, reason = display_available()
        if not possible:
            raise SinkError(
                f"window: got no display ({reason}); expected one. Run in a desktop session, or write a file with -o."
            )
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")  # OpenCV's Qt ships no fonts, and says so
        self._title = f"rtseg: {stream.source_id}"
        width, height = stream.size_wh
        scale = min(1.0, LARGEST_WH[0] / width, LARGEST_WH[1] / height)
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)  # no tool bar
        cv2.resizeWindow(self._title, max(1, round(width * scale)), max(1, round(height * scale)))

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Show one frame and take the keys pressed meanwhile."""
        del result
        if not self._title:
            raise SinkError("window: got a frame while not open; expected open() first. Open the sink.")
        if self._paced:
            self._wait_until_due(frame.pts_seconds)
        cv2.imshow(self._title, _bgr(frame))
        paused = self._take_keys(frame, wait_ms=1)
        while paused and not (self._quit or self._interrupted):
            paused = not self._take_keys(frame, wait_ms=PAUSE_POLL_MS)
            self._clock_start = None
        self._notice_closed_window()

    def close(self) -> None:
        """Close the window; idempotent."""
        if not self._title:
            return
        title, self._title = self._title, ""
        if _is_visible(title):
            cv2.destroyWindow(title)
        cv2.waitKey(1)

    def _take_keys(self, frame: Frame, *, wait_ms: int) -> bool:
        """Take the keys pressed; return whether the pause key was pressed an odd number of times."""
        toggled = False
        for _ in range(MOST_KEYS_A_FRAME):
            key = cv2.waitKey(wait_ms)
            if key < 0:
                break
            toggled ^= self._press(key & 0xFF, frame)
        self._notice_closed_window()
        return toggled

    def _press(self, key: int, frame: Frame) -> bool:
        if key in QUIT_KEYS:
            self._quit = True
        command = COMMANDS.get(key)
        if command is not None:
            self._commands.append(command)
        if command == "snapshot":
            self._take_snapshot(frame)
        return command == "pause"

    def _take_snapshot(self, frame: Frame) -> None:
        stem = f"{Path(frame.source_id).stem or 'frame'}-{frame.frame_index:06d}"
        picture = frame.rgb if isinstance(frame.picture, Yuv420) else frame.picture
        path = _free_name(stem)
        write_whole(path, colour_png(picture))
        self._snapshots.append(path)

    def _notice_closed_window(self) -> None:
        if self._title and not _is_visible(self._title):
            self._quit = True

    def _wait_until_due(self, pts_seconds: float) -> None:
        now = time.monotonic()
        if self._clock_start is None:
            self._clock_start = (now, pts_seconds)
        wait_seconds = pts_seconds - self._clock_start[1] - (now - self._clock_start[0])
        if wait_seconds > 0:
            time.sleep(min(wait_seconds, 1.0))
        else:
            self._clock_start = (now, pts_seconds)


def _is_visible(title: str) -> bool:
    try:
        return bool(cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1)
    except cv2.error:  # the window is gone altogether
        return False


def _free_name(stem: str) -> Path:
    path, number = Path(f"{stem}.png"), 1
    while path.exists():
        number += 1
        path = Path(f"{stem}-{number}.png")
    return path


def _bgr(frame: Frame) -> UInt8Array:
    """Return the picture as OpenCV shows it; a transparent one on a chequered ground."""
    picture = frame.picture
    if not isinstance(picture, Yuv420) and picture.shape[2] == 4:
        picture = _on_checker(picture)
    rgb = frame.with_picture(picture).rgb
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _on_checker(rgba: UInt8Array) -> UInt8Array:
    height, width = rgba.shape[:2]
    squares = (np.arange(height)[:, None] // CHECKER_PX + np.arange(width)[None, :] // CHECKER_PX) % 2
    ground = np.where(squares, 200, 150).astype(np.uint16)[..., None]
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)
