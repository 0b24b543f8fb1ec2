"""Pictures and label files: found, paired, ordered and read."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.errors import SourceError
from rtseg.types import UInt8Array

PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
LABEL_SUFFIXES: Final = (".png", ".bmp", ".tif", ".tiff", ".webp")
"""Formats that keep every value; a JPEG invents labels at borders."""
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_PNG_PALETTE: Final = 3


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a sort key under which numbers in names count as numbers: "a2" before "a10"."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts), name


def pictures_under(folder: Path, *, deep: bool = False) -> list[Path]:
    """Return the pictures of a folder, in natural order; `deep` looks into its folders too.

    Raises:
        SourceError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise SourceError(f"dataset: got no folder {folder}; expected pictures there. Check the path.")
    found = [p for p in (folder.rglob("*") if deep else folder.iterdir()) if p.suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        raise SourceError(f"dataset: got no picture in {folder}; expected files such as .jpg or .png. Check the path.")
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def labels_for(pictures: Iterable[Path], folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each picture with the label file of its name in another folder.

    Raises:
        SourceError: pictures have no label; the first are named.
    """
    if not folder.is_dir():
        raise SourceError(f"dataset: got no folder {folder}; expected the labels there. Check the path.")
    beside = {path.stem: path for path in folder.iterdir() if path.suffix.lower() in LABEL_SUFFIXES}
    pairs = [(picture, beside.get(picture.stem)) for picture in pictures]
    refuse_missing([picture.name for picture, label in pairs if label is None], folder)
    yield from ((picture, label) for picture, label in pairs if label is not None)


def refuse_missing(names: list[str], folder: Path) -> None:
    """Raise SourceError when pictures have no label."""
    if names:
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        raise SourceError(
            f"dataset: got {len(names)} pictures without a label in {folder} ({shown}); expected a file of the same "
            f"name that ends in {', '.join(LABEL_SUFFIXES)}. Add the labels or take the pictures away."
        )


def read_rgb(path: Path) -> UInt8Array:
    """Return a picture as rgb uint8 [H, W, 3], turned as its EXIF data says. Raises SourceError."""
    bgr = _decoded(path, path.read_bytes(), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr.astype(np.uint8), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_values(path: Path) -> npt.NDArray[np.generic]:
    """Return a label file as it is: uint8 or uint16 [H, W], or [H, W, 3 or 4] in the order RGB(A).

    A PNG with a palette gives the indices, not the colours. Raises SourceError.
    """
    encoded = path.read_bytes()
    bits = _palette_bits(encoded)
    values = _decoded(path, encoded if bits is None else _without_palette(encoded), cv2.IMREAD_UNCHANGED)
    if bits is not None and bits < 8:
        values = values // (255 // ((1 << bits) - 1))  # the decoder has spread small numbers over 0..255
    if values.ndim == 3 and values.shape[2] >= 3:
        return np.ascontiguousarray(values[..., [2, 1, 0, *range(3, values.shape[2])]])
    return values.reshape(values.shape[:2])


def _decoded(path: Path, encoded: bytes, flags: int) -> npt.NDArray[np.generic]:
    """Return what OpenCV reads out of a file's bytes."""
    if encoded:
        try:
            found = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
        except cv2.error:
            found = None
        if found is not None:
            return np.asarray(found)
    raise SourceError(f"{path}: got a file that cannot be read; expected a picture. Fetch it again.")


def _palette_bits(encoded: bytes) -> int | None:
    """Return the bits a pixel of a PNG with a palette; None for anything else."""
    is_palette = len(encoded) > 26 and encoded.startswith(_PNG_START) and encoded[25] == _PNG_PALETTE
    return encoded[24] if is_palette else None


def _without_palette(encoded: bytes) -> bytes:
    """Return a PNG with a palette as a grey one whose values are the indices."""
    chunks = [_PNG_START]
    at = len(_PNG_START)
    while at + 12 <= len(encoded):
        (length,) = struct.unpack(">I", encoded[at : at + 4])
        kind, body = encoded[at + 4 : at + 8], encoded[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            body = body[:9] + b"\x00" + body[10:]
        if kind in (b"IHDR", b"IDAT", b"IEND"):
            chunks.append(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(chunks)
