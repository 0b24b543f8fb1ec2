"""Per frame, how much of the picture each class covers: taken while a video runs, given as CSV, Parquet and JSON."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from rtseg.errors import BackendUnavailable, SinkError
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import FloatArray, Frame, Segmentation

MOST_SAMPLES: Final = 1000
"""Samples of a chart."""


class SharesSink(Sink):
    """Keeps the shares of every frame: four bytes a class and frame."""

    name = "shares"

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self.palette: tuple[tuple[int, int, int], ...] = ()
        self._seconds = array("d")
        self._indices = array("q")
        self._shares = array("f")

    def open(self, stream: StreamFormat) -> None:
        """Take the names of the classes."""
        self.classes, self.palette = stream.classes, stream.palette

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Keep the shares of one frame. Raises SinkError where there is no result."""
        if result is None:
            raise SinkError("class shares: got a frame without a segmentation; expected one. Run with a model.")
        self._seconds.append(frame.pts_seconds)
        self._indices.append(frame.frame_index)
        self._shares.frombytes(result.class_shares().astype(np.float32).tobytes())

    def close(self) -> None:
        """Do nothing; what was kept stays."""

    def __len__(self) -> int:
        """Return how many frames were kept."""
        return len(self._seconds)

    @property
    def shares(self) -> FloatArray:
        """The shares, float32 [frames, classes], 0..1."""
        return np.frombuffer(self._shares.tobytes(), np.float32).reshape(len(self), -1)

    def csv_lines(self) -> Iterator[str]:
        """Yield the table as text, a line a frame: frame_index, seconds, and a column a class."""
        yield _csv_line(["frame_index", "seconds", *self.classes])
        for index, seconds, row in zip(self._indices, self._seconds, self.shares.tolist(), strict=True):
            yield _csv_line([index, f"{seconds:.6f}", *(f"{share:.6f}" for share in row)])

    def parquet(self) -> bytes:
        """Return the table as Parquet. Raises BackendUnavailable without pyarrow."""
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise BackendUnavailable(
                "Parquet: got no package pyarrow; expected it. pip install 'rtseg[parquet]', or take the CSV."
            ) from error
        columns: dict[str, Any] = {
            "frame_index": np.asarray(self._indices, np.int64),
            "seconds": np.asarray(self._seconds, np.float64),
        }
        columns |= {name: np.ascontiguousarray(self.shares[:, at]) for at, name in enumerate(self.classes)}
        written = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), written)
        return written.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Return at most MOST_SAMPLES samples, each the mean of the frames between it and the next."""
        starts = np.unique(np.linspace(0, len(self), MOST_SAMPLES, endpoint=False).astype(np.int64))
        means = _means(self.shares, starts) if len(self) else []
        return {
            "classes": list(self.classes),
            "palette": ["#{:02x}{:02x}{:02x}".format(*color) for color in self.palette],
            "times": [round(self._seconds[at], 4) for at in starts if at < len(self)],
            "shares": means,
        }


def _means(shares: FloatArray, starts: Any) -> list[list[float]]:
    sums = np.add.reduceat(shares.astype(np.float64), starts, axis=0)
    counts = np.diff([*starts, len(shares)])
    return [[round(float(value), 5) for value in row] for row in sums / counts[:, None]]


def _csv_line(values: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
