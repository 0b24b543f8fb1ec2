"""A small PNG writer: grey and indexed-colour pictures, which OpenCV cannot write as such, and RGB(A) through OpenCV.

Source: W3C, Portable Network Graphics (PNG) Specification, third edition (chunks, colour types, filters).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rtseg.errors import SinkError
from rtseg.sinks.placing import write_error
from rtseg.types import UInt8Array

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
GREY, INDEXED = 0, 3
PALETTE_SIZE: Final = 256
FAST_COMPRESSION: Final = 1


def indexed_png(labels: UInt8Array, palette: Sequence[tuple[int, int, int]]) -> bytes:
    """Return an indexed-colour PNG of the labels uint8 [H, W]; colours beyond the palette are black."""
    colours = np.zeros((PALETTE_SIZE, 3), dtype=np.uint8)
    known = min(len(palette), PALETTE_SIZE)
    if known:
        colours[:known] = np.asarray(palette[:known], dtype=np.uint8)
    return _png(labels, INDEXED, [_chunk(b"PLTE", colours.tobytes())])


def grey_png(grey: UInt8Array) -> bytes:
    """Return an 8-bit grey PNG of the picture uint8 [H, W]."""
    return _png(grey, GREY, [])


def colour_png(picture: UInt8Array) -> bytes:
    """Return a PNG of the picture, rgb uint8 [H, W, 3] or rgba uint8 [H, W, 4] with straight alpha."""
    code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    options = [cv2.IMWRITE_PNG_COMPRESSION, FAST_COMPRESSION]
    good, encoded = cv2.imencode(".png", cv2.cvtColor(picture, code), options)
    if not good:
        raise SinkError(f"PNG picture: got {picture.shape}, which OpenCV refuses; expected rgb or rgba. Please report.")
    return bytes(encoded)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or leave none.

    Raises:
        SinkError: it could not be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise write_error(path, error) from error


def _png(pixels: UInt8Array, colour_type: int, between: Sequence[bytes]) -> bytes:
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each row starts with its filter: 0, none
    rows[:, 1:] = pixels
    body = zlib.compress(rows.data, FAST_COMPRESSION)
    return b"".join([SIGNATURE, _chunk(b"IHDR", header), *between, _chunk(b"IDAT", body), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
