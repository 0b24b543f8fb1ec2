"""The label masks of a video in one ZIP file, written as they come: indexed PNG pictures, and an index at the end."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from rtseg.errors import SinkError
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.png import indexed_png
from rtseg.types import Frame, Segmentation


class MasksZipSink(Sink):
    """Writes masks at frame size. PNG is compressed already, so the ZIP stores it as it is."""

    name = "masks.zip"

    def __init__(self, path: Path, *, most_bytes: int) -> None:
        """Take the file, and the size at which no more pictures are added (the index tells)."""
        self._path = path
        self._most_bytes = most_bytes
        self._written_bytes = 0
        self._zip: zipfile.ZipFile | None = None
        self._palette: tuple[tuple[int, int, int], ...] = ()
        self._lines: list[str] = []
        self._left_out = 0

    def open(self, stream: StreamFormat) -> None:
        """Begin the file. Raises SinkError where it cannot be written."""
        self._palette = stream.palette
        try:
            self._zip = zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED)
        except OSError as error:
            raise SinkError(f"masks: got {error.strerror}; expected room for them. Free some disk.") from error

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Write the mask of one frame. Raises SinkError where that fails or where there is no result."""
        if self._zip is None or result is None:
            raise SinkError("masks: got a frame without a segmentation or a file; expected both. Run with a model.")
        if self._written_bytes > self._most_bytes:
            self._left_out += 1
            return
        name = f"{frame.frame_index:06d}.png"
        coded = indexed_png(result.labels, self._palette)
        self._written_bytes += len(coded)
        try:
            self._zip.writestr(name, coded)
        except OSError as error:
            raise SinkError(f"masks: got {error.strerror}; expected room for them. Free some disk.") from error
        line = {"frame_index": frame.frame_index, "pts_seconds": round(frame.pts_seconds, 6), "file": name}
        self._lines.append(json.dumps(line))

    def close(self) -> None:
        """Write the index and finish; idempotent."""
        if self._zip is None:
            return
        archive, self._zip = self._zip, None
        try:
            archive.writestr("index.jsonl", "\n".join(self._lines) + "\n", zipfile.ZIP_DEFLATED)
            archive.close()
        except OSError as error:
            raise SinkError(f"masks: got {error.strerror}; expected room for them. Free some disk.") from error

    @property
    def notes(self) -> Sequence[str]:
        """What was left out."""
        return (f"{self._left_out} masks were left out: the ZIP was full",) if self._left_out else ()
