"""Uploaded pictures that replace the background: decoded once within bounds, and kept under numbers."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rtseg.errors import ConfigError
from rtseg.geometry import cover
from rtseg.serve.refusals import NotThere, TooMany
from rtseg.types import UInt8Array

MOST_PIXELS: Final = 40_000_000
LARGEST_WH: Final = (1920, 1080)
_SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM")


@dataclass(frozen=True, slots=True)
class Background:
    """One picture."""

    number: str
    name: str
    """What its owner calls it; shown, never a path."""
    path: Path

    def to_json(self) -> dict[str, str]:
        """Return what a page needs."""
        return {"id": self.number, "name": self.name}


class Backgrounds:
    """The pictures of a server, in a folder of its own.

    Threading: `add` may be called from any thread, as decoding takes a while; the rest from the event loop's.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._known: dict[str, Background] = {}

    def add(self, coded: bytes, name: str) -> Background:
        """Decode a picture, keep it as JPEG and return it.

        Raises:
            TooMany: there are enough of them.
            ConfigError: it is no picture, or is too large.
        """
        if len(self._known) >= self._most:
            raise TooMany(f"background: got one more than {self._most}; expected at most that. Remove one.")
        bgr = _decoded(coded)
        number = secrets.token_urlsafe(9)
        path = self._folder / f"background-{number}.jpg"
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, 92]):
            raise ConfigError("background: got a picture that cannot be kept; expected room on the disk. Free some.")
        background = Background(number, shown_name(name, "background"), path)
        self._known[number] = background
        return background

    def get(self, number: str) -> Background:
        """Return a picture by its number. Raises NotThere where there is none."""
        if number not in self._known:
            raise NotThere(_none_of(number))
        return self._known[number]

    def path_of(self, number: str) -> Path:
        """Return the file of a picture that settings name. Raises ConfigError where there is none."""
        if number not in self._known:
            raise ConfigError(_none_of(number))
        return self._known[number].path

    def remove(self, number: str) -> None:
        """Forget a picture. Raises NotThere where there is none."""
        self.get(number).path.unlink(missing_ok=True)
        del self._known[number]

    def to_json(self) -> Sequence[dict[str, str]]:
        """Return all of them."""
        return [background.to_json() for background in self._known.values()]


def _none_of(number: str) -> str:
    return f"background: got {number[:40]!r}; expected one that was uploaded. Upload it again."


def shown_name(name: str, default: str) -> str:
    """Return a name that can be shown: one line of at most 80 printable characters."""
    plain = "".join(sign for sign in name if sign.isprintable()).strip()
    return plain[:80] or default


def _decoded(coded: bytes) -> UInt8Array:
    """Return the picture as bgr uint8 [h, w, 3], no larger than needed; its claimed size is looked at first."""
    if not coded.startswith(_SIGNATURES) or (coded.startswith(b"RIFF") and coded[8:12] != b"WEBP"):
        raise ConfigError("background: got no picture; expected JPEG, PNG, WebP or BMP. Choose another file.")
    width, height = _claimed_wh(coded)
    if not 0 < width * height <= MOST_PIXELS:
        raise ConfigError(
            f"background: got {width}x{height} pixels; expected 1 to {MOST_PIXELS} of them. Make it smaller."
        )
    try:
        bgr = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise ConfigError("background: got a picture that cannot be decoded; expected a whole one. Choose another.")
    scale = min(1.0, LARGEST_WH[0] / bgr.shape[1], LARGEST_WH[1] / bgr.shape[0])
    if scale == 1.0:
        return np.asarray(bgr, np.uint8)
    size_wh = (max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale)))
    return cover(np.asarray(bgr, np.uint8), size_wh)


def _claimed_wh(coded: bytes) -> tuple[int, int]:
    """Return the size that the header states, without decoding; (0, 0) where it states none."""
    import io

    import av

    try:
        with av.open(io.BytesIO(coded), options={"probesize": "5000000"}) as container:
            stream = container.streams.video[0]
            return stream.width, stream.height
    except (av.FFmpegError, IndexError, ValueError):
        return 0, 0
