"""The label masks: one indexed-colour PNG a frame, and an index of what each frame was and what is in it.

DIR/000000.png          class index of every pixel, indexed colour, the model's palette
DIR/000000.alpha.png    the soft matte, 8-bit grey, where the model gives one
DIR/index.jsonl         a line a frame: frame_index, pts, time_base, pts_seconds, file, shares by class (and alpha)
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rtseg.errors import SinkError
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.folder import OutputFolder
from rtseg.sinks.placing import write_error
from rtseg.sinks.png import grey_png, indexed_png, write_whole
from rtseg.types import Frame, Segmentation

INDEX_NAME = "index.jsonl"
OWN_NAMES = re.compile(r"\d{6,}(\.alpha)?\.png|index\.jsonl")


class MasksSink(Sink):
    """Writes masks at frame size; pictures and index lines are in place one by one, so a cut-short run is whole."""

    name = "masks"
    takes_held = False

    def __init__(self, folder: str | Path, *, overwrite: bool = False) -> None:
        self._folder = OutputFolder(Path(folder), own_names=OWN_NAMES)
        self._overwrite = overwrite
        self._palette: tuple[tuple[int, int, int], ...] = ()
        self._index: TextIO | None = None
        self._written = 0

    @property
    def outputs(self) -> Sequence[Path]:
        """The folder, once the run has ended."""
        return (self._folder.path,) if self._written and self._index is None else ()

    @property
    def target(self) -> Path:
        """The folder."""
        return self._folder.path

    def would_replace(self, path: Path) -> bool:
        """Find out whether `path` is a file in the folder that bears a name of this sink."""
        return self._folder.owns(path)

    def open(self, stream: StreamFormat) -> None:
        """Get the folder ready. Raises SinkError where it may not be written."""
        self._folder.prepare(overwrite=self._overwrite)
        self._palette = stream.palette
        path = self._folder.path / INDEX_NAME
        try:
            self._index = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise write_error(path, error) from error

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Write the masks of one frame. Raises SinkError where that fails or where there is no result."""
        if self._index is None:
            raise SinkError(f"masks {self._folder.path}: got a frame while not open; expected open() first.")
        if result is None:
            raise SinkError(
                f"masks {self._folder.path}: got a frame without a segmentation; expected one. Run with a model."
            )
        stem = f"{frame.frame_index:06d}"
        label_path = self._folder.path / f"{stem}.png"
        write_whole(label_path, indexed_png(result.labels, self._palette))
        line = self._line(frame, result, label_path.name)
        if result.alpha_bytes is not None:
            alpha_path = self._folder.path / f"{stem}.alpha.png"
            write_whole(alpha_path, grey_png(result.alpha_bytes))
            line["alpha_file"] = alpha_path.name
        self._append(line)
        self._written += 1

    def close(self) -> None:
        """Close the index; leave no empty one."""
        if self._index is None:
            return
        index, self._index = self._index, None
        try:
            index.close()
        except OSError as error:
            raise write_error(self._folder.path / INDEX_NAME, error) from error
        finally:
            if not self._written:
                self._folder.clear()
                self._folder.leave()

    def _append(self, line: dict[str, Any]) -> None:
        if self._index is None:
            return
        try:
            self._index.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._index.flush()
        except OSError as error:
            raise write_error(self._folder.path / INDEX_NAME, error) from error

    def _line(self, frame: Frame, result: Segmentation, file_name: str) -> dict[str, Any]:
        shares = zip(result.classes, result.class_shares().tolist(), strict=True)
        return {
            "frame_index": frame.frame_index,
            "pts": frame.pts,
            "time_base": f"{frame.time_base.numerator}/{frame.time_base.denominator}",
            "pts_seconds": round(frame.pts_seconds, 6),
            "file": file_name,
            "shares": {name: round(share, 6) for name, share in shares},
        }
