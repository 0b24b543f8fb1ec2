"""Pictures as a video: a folder, a glob or a single file, in natural order."""

from __future__ import annotations

import glob
import re
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from rtseg.errors import ConfigError, DecodeError, SourceError
from rtseg.sources.base import Source, SourceInfo
from rtseg.sources.naming import IMAGE_SUFFIXES, check_exists, count_of, was_or_were
from rtseg.sources.options import check_rate
from rtseg.types import Frame, UInt8Array


class ImagesSource(Source):
    """The pictures of a folder or a glob, rgb uint8 [H, W, 3] each of its own size, turned as their EXIF data says.

    Picture n has pts n in units of 1 / fps; `frame_index` counts the pictures given. Those that cannot be read are
    skipped and counted; they leave a gap in pts, so that time stays right in a numbered sequence.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: float | Fraction = 25,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        source_id: str | None = None,
    ) -> None:
        """Describe what to read.

        Args:
            path: a folder, a glob such as "shots/*.png", or one picture.
            fps: pictures a second.
            start_seconds: skip the pictures before this time.
            duration_seconds: read so much; None is all.
            source_id: name in stats and file names; None is the name of the folder or picture.

        Raises:
            ConfigError: a rate or time that cannot be right.
        """
        super().__init__()
        self._path = Path(path)
        self._rate = check_rate(fps, what=f"pictures {path}")
        if not start_seconds >= 0 or (duration_seconds is not None and not duration_seconds > 0):
            raise ConfigError(
                f"pictures {path}: got start {start_seconds} s, duration {duration_seconds} s; expected a start of 0 s "
                "or more and a duration above 0 s. Change the value."
            )
        self._start_seconds = float(start_seconds)
        self._end_seconds = None if duration_seconds is None else self._start_seconds + duration_seconds
        self._source_id = source_id
        self._paths: list[tuple[int, Path]] = []
        self._info: SourceInfo | None = None

    @property
    def info(self) -> SourceInfo:
        """What is known of the pictures. Raises SourceError before `open()`."""
        if self._info is None:
            raise SourceError(f"pictures {self._path}: got a source that is not open; expected open() first. Open it.")
        return self._info

    def files(self) -> Sequence[Path]:
        """Return the pictures. Raises SourceError where there is none."""
        return list_pictures(self._path)

    def open(self) -> None:
        """List the pictures and read the first good one for its size.

        Raises:
            SourceError: there is no picture in the asked-for span.
            DecodeError: none of them can be read.
        """
        numbered = list(enumerate(list_pictures(self._path)))
        first = round(Fraction(self._start_seconds) * self._rate)
        end = None if self._end_seconds is None else round(Fraction(self._end_seconds) * self._rate)
        self._paths = numbered[first:end]
        if not self._paths:
            raise SourceError(
                f"{self._path}: got {count_of(len(numbered), 'picture')}, none from {self._start_seconds:g} s on; "
                "expected a start before the last. Choose an earlier start."
            )
        rgb = next((rgb for rgb in (read_rgb(path) for _, path in self._paths) if rgb is not None), None)
        if rgb is None:
            raise self._unreadable()
        height, width = rgb.shape[:2]
        self._info = SourceInfo(
            source_id=self._source_id or _name_of(self._path),
            kind="images",
            live=False,
            size_wh=(width, height),
            time_base=1 / self._rate,
            frame_rate=self._rate,
            frame_count=len(self._paths),
            duration_seconds=float(len(self._paths) / self._rate),
            start_seconds=self._start_seconds,
            end_seconds=self._end_seconds,
            matrix="bt709" if height >= 720 else "bt601",
            details={"pictures": str(len(self._paths)), "first": self._paths[0][1].name},
        )

    def frames(self) -> Iterator[Frame]:
        """Yield one frame for every picture that can be read.

        Raises:
            DecodeError: not one could be read.
        """
        info = self.info
        counters = self.counters
        for number, path in self._paths:
            rgb = read_rgb(path)
            if rgb is None:
                counters.decode_errors += 1
                continue
            rgb.flags.writeable = False
            counters.decoded += 1
            yield Frame(
                picture=rgb,
                frame_index=counters.decoded - 1,
                pts=number,
                time_base=info.time_base,
                captured_ns=time.monotonic_ns(),
                source_id=info.source_id,
                duration=1,
            )
        if not counters.decoded:
            raise self._unreadable()
        skipped = counters.decode_errors
        if skipped:
            counters.notes.append(f"{count_of(skipped, 'unreadable picture')} {was_or_were(skipped)} skipped.")

    def close(self) -> None:
        """Do nothing; no file stays open between pictures."""

    def _unreadable(self) -> DecodeError:
        return DecodeError(
            f"{self._path}: got {count_of(len(self._paths), 'picture')}, none of which can be read; expected at least "
            "one. Check the files."
        )


def list_pictures(path: Path) -> list[Path]:
    """Return the pictures of a folder, a glob or a single file, in natural order (2 before 10).

    Raises:
        SourceError: there is none.
    """
    if path.is_dir():
        found = [entry for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]
    elif path.exists():
        found = [path]
    elif glob.has_magic(str(path)):
        matches = (Path(match) for match in glob.glob(str(path), recursive=True))
        found = [match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES and match.is_file()]
    else:
        check_exists(path)
        found = []
    if not found:
        raise SourceError(
            f"{path}: got no picture; expected files that end in {', '.join(sorted(IMAGE_SUFFIXES))}. Check the folder."
        )
    return sorted(found, key=natural_key)


def natural_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a sort key under which numbers in names count as numbers: "a2" before "a10"."""
    parts = re.split(r"(\d+)", str(path).lower())
    pieces = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
    return pieces, str(path)


def read_rgb(path: Path) -> UInt8Array | None:
    """Return a picture as rgb uint8 [H, W, 3], turned as its EXIF data says; None when it cannot be read.

    16-bit pictures are scaled to 8 bits, grey becomes RGB, alpha is left out (not composited).
    """
    try:
        encoded = np.fromfile(path, dtype=np.uint8)  # imread cannot open every name on Windows
    except OSError:
        return None
    if encoded.size == 0:
        return None
    try:
        bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _name_of(path: Path) -> str:
    if glob.has_magic(path.name):
        return path.parent.name or "pictures"
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.resolve().name
