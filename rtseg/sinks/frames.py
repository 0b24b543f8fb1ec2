"""The PNG sequence: one rgb or rgba PNG a frame, without loss; the plain way to keep a cut-out's transparency."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rtseg.errors import ConfigError, SinkError
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.folder import OutputFolder
from rtseg.sinks.placing import check_place, exists_error
from rtseg.sinks.png import colour_png, write_whole
from rtseg.types import Frame, Segmentation, Yuv420

NUMBER = re.compile(r"%(0?\d*)d")


class FramesSink(Sink):
    """Writes every frame as a PNG named by its frame index: 000000.png and so on.

    A frame is in place as soon as it is written, so a run that is cut short leaves whole pictures.
    """

    name = "frames"
    takes_held = False

    def __init__(self, folder: str | Path, *, overwrite: bool = False) -> None:
        self._pattern = "%06d.png"
        self._overwrite = overwrite
        self._folder = OutputFolder(Path(folder), own_names=_names_of(self._pattern))
        self._whole_folder = True
        self._written = 0
        self._open = False
        self._last: Path | None = None

    @classmethod
    def from_pattern(cls, path: Path, *, overwrite: bool = False) -> FramesSink:
        """Return the sink of a name such as `seen_%05d.png`; a name without a number takes one picture only.

        Raises:
            ConfigError: the name has another per cent sign in it.
        """
        numbers = NUMBER.findall(path.name)
        if len(numbers) > 1 or NUMBER.sub("", path.name).count("%"):
            raise ConfigError(f"PNG sequence {path.name}: got its numbers unclear; expected one like seen_%06d.png.")
        sink = cls(path.parent, overwrite=overwrite)
        sink._pattern = path.name
        sink._whole_folder = False
        sink._folder = OutputFolder(path.parent, own_names=_names_of(path.name))
        return sink

    @property
    def outputs(self) -> Sequence[Path]:
        """The folder, or the one picture."""
        if self._open or self._last is None:
            return ()
        return (self._folder.path,) if NUMBER.search(self._pattern) else (self._last,)

    @property
    def target(self) -> Path:
        """The folder, or the name or pattern in it."""
        return self._folder.path if self._whole_folder else self._folder.path / self._pattern

    def would_replace(self, path: Path) -> bool:
        """Find out whether `path` is a file in the folder that bears a name of this sink."""
        return self._folder.owns(path)

    def open(self, stream: StreamFormat) -> None:
        """Get the folder ready. Raises SinkError where it may not be written."""
        del stream
        if self._whole_folder:
            self._folder.prepare(overwrite=self._overwrite)
        else:
            self._prepare_pattern()
        self._open = True

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Write one picture. Raises SinkError where that fails, or where a second one has no name to go to."""
        del result
        if not self._open:
            raise SinkError(f"frames {self._folder.path}: got a frame while not open; expected open() first.")
        numbered = NUMBER.search(self._pattern) is not None
        if not numbered and self._written:
            raise SinkError(
                f"output {self._pattern}: got a second frame; expected one picture. Write a video or frames:DIR."
            )
        path = self._folder.path / (self._pattern % frame.frame_index if numbered else self._pattern)
        picture = frame.rgb if isinstance(frame.picture, Yuv420) else frame.picture
        write_whole(path, colour_png(picture))
        self._last = path
        self._written += 1

    def close(self) -> None:
        """End; a folder that stayed empty is removed."""
        if self._open:
            self._open = False
            self._folder.leave()

    def _prepare_pattern(self) -> None:
        folder = self._folder.path
        check_place(folder / self._pattern, overwrite=self._overwrite)
        present = self._folder.own_files()
        if present and not self._overwrite:
            raise exists_error(min(present))
        self._folder.clear()


def _names_of(pattern: str) -> re.Pattern[str]:
    """Return the expression of the file names that a pattern gives."""
    before, *after = re.split(r"%0?\d*d", pattern)
    return re.compile(re.escape(before) + "".join(r"\d+" + re.escape(part) for part in after))
