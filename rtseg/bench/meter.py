"""The last sink of a measured pipeline: it counts frames into the window and ends the run when that has closed."""

from __future__ import annotations

from rtseg.bench.window import Window
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import Frame, Segmentation, Yuv420


class MeterSink(Sink):
    """Counts every frame that the sinks before it have taken."""

    name = "meter"
    encoder = "nvenc"
    """Pictures that lie on a device may stay there: it looks at none of them."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def open(self, stream: StreamFormat) -> None:
        """Do nothing."""

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Count one frame."""
        del frame, result
        self._window.frame()

    def close(self) -> None:
        """Do nothing."""

    @property
    def wants_stop(self) -> bool:
        """True once the window has closed."""
        return self._window.closed


METER_STAGE = f"sink {MeterSink.name}"
"""Under which stage the meter's own time goes; it is left out of every report."""


class KeepingSink(Sink):
    """Keeps copies of composited frames, to be written again and again by a sink that is measured alone."""

    name = "keep"

    def __init__(self) -> None:
        self.kept: list[tuple[Frame, Segmentation | None]] = []
        self.stream: StreamFormat | None = None

    def open(self, stream: StreamFormat) -> None:
        """Remember what a sink must know before the first frame."""
        self.stream = stream

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Keep a copy of one frame."""
        self.kept.append((_copied(frame), result))

    def close(self) -> None:
        """Do nothing."""


def _copied(frame: Frame) -> Frame:
    picture = frame.picture
    if isinstance(picture, Yuv420):
        y, u, v = (plane.copy() for plane in (picture.y, picture.u, picture.v))
        return frame.with_picture(Yuv420(y, u, v, picture.matrix, picture.full_range))
    return frame.with_picture(picture.copy())
