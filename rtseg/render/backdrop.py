"""Another background: a colour, a picture, or a looping video that plays by the frame's own time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np

from rtseg import geometry
from rtseg.errors import ConfigError
from rtseg.render.effects import Replace
from rtseg.render.painter import Shot
from rtseg.render.palette import parse_hex
from rtseg.render.planes import Canvas, PlaneFormat
from rtseg.render.weights import scaled_plane, weight_bytes
from rtseg.types import UInt8Array

PICTURE_SUFFIXES: Final[frozenset[str]] = frozenset(
    {".bmp", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
)
_USUAL_FRAME_SECONDS: Final[float] = 1 / 25
_STAMP_ERROR_SECONDS: Final[float] = 0.0005


class Backdrop(Protocol):
    """A background that changes, or does not, with time."""

    def rgb_at(self, seconds: float) -> UInt8Array:
        """Return the picture at this time, rgb uint8 [h, w, 3]; the same array as long as it does not change."""

    def close(self) -> None:
        """Release what is open; idempotent."""


class StillBackdrop:
    """A picture or a plain colour."""

    def __init__(self, rgb: UInt8Array) -> None:
        self._rgb = rgb

    def rgb_at(self, seconds: float) -> UInt8Array:  # noqa: ARG002 (a still has no time)
        """Return the picture."""
        return self._rgb

    def close(self) -> None:
        """Do nothing."""


class VideoBackdrop:
    """A video that loops for ever; which frame is shown follows from the time asked for, not from how often.

    Time 0 is the first time asked for. Time that runs backwards starts the video again.
    Threading: one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture = cv2.VideoCapture(str(path))
        self._origin_seconds: float | None = None
        self._next: tuple[float, UInt8Array] | None = None
        self._loop_start_seconds = 0.0
        self._last_seconds = -1.0
        self._frame_seconds = _USUAL_FRAME_SECONDS
        self._count = 0
        self._restart()
        if self._next is None:
            self.close()
            raise _unreadable(path)
        self._shown: UInt8Array = self._next[1]

    def rgb_at(self, seconds: float) -> UInt8Array:
        """Return the frame on show at this time, rgb uint8 [h, w, 3]."""
        if self._origin_seconds is None or seconds < self._origin_seconds:
            self._origin_seconds = seconds
            self._restart()
        wanted = seconds - self._origin_seconds - self._loop_start_seconds + _STAMP_ERROR_SECONDS
        while wanted >= self._next_seconds():
            wanted -= self._advance(wanted)
        return self._shown

    def close(self) -> None:
        """Close the video; idempotent."""
        self._capture.release()

    def _advance(self, wanted: float) -> float:
        """Show the next frame; at the end start again and return the seconds of the loops that went by."""
        if self._next is not None:
            self._last_seconds, self._shown = self._next
            self._next = self._read()
            return 0.0
        length_seconds = self._next_seconds()
        passed_seconds = length_seconds * max(1, int(wanted // length_seconds))
        start_seconds = self._loop_start_seconds + passed_seconds
        self._restart()
        self._loop_start_seconds = start_seconds
        return passed_seconds

    def _next_seconds(self) -> float:
        """Return when the shown frame ends, in seconds of this loop."""
        if self._next is not None:
            return self._next[0]
        return float(max(self._last_seconds, 0.0) + self._frame_seconds)

    def _restart(self) -> None:
        self._capture.release()
        self._capture = cv2.VideoCapture(str(self._path))
        self._count = 0
        self._loop_start_seconds = 0.0
        self._last_seconds = -1.0
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self._frame_seconds = 1 / rate if 1 <= rate <= 1000 else _USUAL_FRAME_SECONDS
        self._next = self._read()

    def _read(self) -> tuple[float, UInt8Array] | None:
        """Return the next frame and its time in seconds; None at the end."""
        found, bgr = self._capture.read()
        if not found:
            return None
        stamp_seconds = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        counted_seconds = self._count * self._frame_seconds
        self._count += 1
        # Containers without times give 0 for every frame; then the nominal rate counts.
        seconds = stamp_seconds if stamp_seconds > self._last_seconds else counted_seconds
        return seconds, np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


class ReplacePainter:
    """Draws the backdrop over the background."""

    def __init__(self, background: Sequence[float], backdrop: Backdrop) -> None:
        self._weights = weight_bytes(background)
        self._backdrop = backdrop
        self._fitted: tuple[UInt8Array, PlaneFormat, tuple[UInt8Array, ...]] | None = None

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas."""
        layers = self._layers(self._backdrop.rgb_at(shot.pts_seconds), canvas.format)
        small = shot.mask.look_up(self._weights)
        for index, layer in enumerate(layers):
            weight = scaled_plane(small, canvas.format.plane_size_wh(index))
            canvas.mix_layer(index, shot.complement(weight), weight, layer)

    def close(self) -> None:
        """Close the backdrop; idempotent."""
        self._backdrop.close()

    def _layers(self, rgb: UInt8Array, plane_format: PlaneFormat) -> tuple[UInt8Array, ...]:
        if self._fitted is None or self._fitted[0] is not rgb or self._fitted[1] != plane_format:
            fitted = geometry.cover(rgb, plane_format.size_wh)
            self._fitted = rgb, plane_format, plane_format.layer_planes(fitted)
        return self._fitted[2]


def open_backdrop(effect: Replace) -> Backdrop:
    """Return the backdrop of the effect.

    Raises:
        ConfigError: the picture or video cannot be read.
    """
    if effect.color is not None:
        return StillBackdrop(np.full((1, 1, 3), parse_hex(effect.color), np.uint8))
    path = Path(effect.source or "")
    if not path.is_file():
        raise ConfigError(f"effect replace: got {str(path)!r}; expected a picture or video file. Check the path.")
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return VideoBackdrop(path)
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise _unreadable(path)
    return StillBackdrop(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8))


def _unreadable(path: Path) -> ConfigError:
    return ConfigError(
        f"effect replace: got {str(path)!r}, which cannot be decoded; expected a picture or a video. Give another file."
    )
