"""The null sink: takes frames and counts them, for measuring everything else."""

from __future__ import annotations

from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import Frame, Segmentation


class NullSink(Sink):
    """Takes frames and keeps nothing but their number."""

    name = "null"

    def __init__(self) -> None:
        self.frame_count = 0

    def open(self, stream: StreamFormat) -> None:
        """Start counting at 0."""
        del stream
        self.frame_count = 0

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Count one frame."""
        del frame, result
        self.frame_count += 1

    def close(self) -> None:
        """Do nothing."""
