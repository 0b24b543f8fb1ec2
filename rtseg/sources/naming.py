"""Names of sources in messages: what a path is, what was probably meant, and counts in plain words."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

from rtseg.errors import SourceError
from rtseg.sources.stream_address import is_live_address, is_stream_address

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Files that are pictures, not videos."""


def check_exists(path: Path) -> None:
    """Raise SourceError when there is nothing at `path`; the closest name beside it is offered."""
    if path.exists():
        return
    if path.is_symlink():
        target = path.readlink()
        raise SourceError(f"{path}: got a link to {target}, which is not there; expected a file. Mend the link.")
    folder = path.parent
    if not folder.is_dir():
        raise SourceError(f"{path}: got no such file; there is no folder {folder} either. Check the path.")
    names = [entry.name for entry in folder.iterdir()]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    hint = f"Did you mean {folder / close[0]}?" if close else "Check the path."
    raise SourceError(f"{path}: got no such file; expected a video, a folder of images or a camera. {hint}")


def check_is_file(path: Path) -> None:
    """Raise SourceError unless `path` is a regular file; a pipe would hang the decoder, a folder has no frames."""
    check_exists(path)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise SourceError(f"{path}: got {kind}; expected a video file. Give a file.")


def is_live_name(spec: object, policy: str | None = None) -> bool:
    """Return whether what a user names is live, from its words alone; a policy that was asked for decides."""
    if policy is not None:
        return policy == "freshest"
    text = str(spec)
    if isinstance(spec, str) and is_stream_address(text):
        return is_live_address(text)
    return isinstance(spec, int) or text.isdecimal() or text.startswith(("/dev/video", "camera:", "screen:"))


def count_of(count: int, singular: str) -> str:
    """Return "1 frame", "3 frames"."""
    return f"{count} {singular}{'' if count == 1 else 's'}"


def was_or_were(count: int) -> str:
    """Return the verb that fits the count."""
    return "was" if count == 1 else "were"
