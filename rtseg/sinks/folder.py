"""A folder as an output: made when absent, not mixed with other runs, gone again when nothing came."""

from __future__ import annotations

import re
from pathlib import Path

from rtseg.errors import SinkError
from rtseg.sinks.base import is_same_file
from rtseg.sinks.placing import write_error


class OutputFolder:
    """The folder that a sink fills; knows which files are the sink's own by their names."""

    def __init__(self, path: Path, *, own_names: re.Pattern[str]) -> None:
        self.path = path
        self._own_names = own_names
        self._made = False

    def prepare(self, *, overwrite: bool) -> None:
        """Make the folder, or clear it of files of an earlier run; other files in it stay.

        Raises:
            SinkError: it is a file, is not empty and may not be overwritten, or cannot be made.
        """
        if self.path.exists() and not self.path.is_dir():
            raise SinkError(f"output {self.path}: got a file; expected a folder. Name another folder.")
        try:
            if not self.path.is_dir():
                self.path.mkdir(parents=True)
                self._made = True
            elif not overwrite and any(self.path.iterdir()):
                raise SinkError(
                    f"output {self.path}: got a folder that is not empty; expected a new or empty one. "
                    f"Give --overwrite to replace the frames in it, or name another folder."
                )
            self.clear()
        except OSError as error:
            raise write_error(self.path, error) from error

    def owns(self, path: Path) -> bool:
        """Find out whether `path` is a file in this folder that bears a name of this sink."""
        return is_same_file(self.path, path.resolve().parent) and bool(self._own_names.fullmatch(path.resolve().name))

    def own_files(self) -> list[Path]:
        """Return the files that bear names of this sink."""
        return [path for path in self.path.iterdir() if self._own_names.fullmatch(path.name)]

    def clear(self) -> None:
        """Remove the files that bear names of this sink."""
        for path in self.own_files():
            path.unlink()

    def leave(self) -> None:
        """Remove the folder again where this run made it and nothing is in it."""
        if self._made and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()
