"""Moves the index of an MP4 before its pictures, so that a browser can begin before it has the whole file.

Source: ISO/IEC 14496-12 (boxes; `stco` and `co64` hold the places of the chunks from the beginning of the file).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

_HOLDERS: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_MOST_INDEX_BYTES: Final = 200_000_000


def make_faststart(path: Path) -> bool:
    """Move the index of an MP4 to the front; return False where the file is left as it is.

    Raises:
        OSError: the disk is full or the file cannot be read.
    """
    with path.open("rb") as file:
        boxes = list(_boxes(file))
        moov = next((box for box in boxes if box[0] == b"moov"), None)
        data = next((box for box in boxes if box[0] == b"mdat"), None)
        if moov is None or data is None or moov[1] < data[1] or moov[2] > _MOST_INDEX_BYTES:
            return False
        file.seek(moov[1])
        index = bytearray(file.read(moov[2]))
        if not _shift(index, 0, len(index), by=moov[2], after=data[1], before=moov[1]):
            return False
        moved = path.with_suffix(".moved")
        with moved.open("wb") as out:
            _copy(file, out, 0, data[1])
            out.write(index)
            _copy(file, out, data[1], moov[1])
            _copy(file, out, moov[1] + moov[2], path.stat().st_size)
    moved.replace(path)
    return True


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, place, size) of every outermost box."""
    place, end = 0, file.seek(0, 2)
    while place + 8 <= end:
        file.seek(place)
        head = file.read(16)
        size, kind = struct.unpack(">I4s", head[:8])
        if size == 1 and len(head) == 16:
            size = struct.unpack(">Q", head[8:])[0]
        elif size == 0:
            size = end - place
        if size < 8:
            return
        yield kind, place, size
        place += size


def _shift(index: bytearray, start: int, end: int, *, by: int, after: int, before: int) -> bool:
    """Add to every place of a chunk between two places; return False where one would not fit its four bytes."""
    place = start
    while place + 8 <= end:
        size, kind = struct.unpack_from(">I4s", index, place)
        if size < 8 or place + size > end:
            return False
        if kind in _HOLDERS and not _shift(index, place + 8, place + size, by=by, after=after, before=before):
            return False
        if kind in (b"stco", b"co64"):
            code, width = (">I", 4) if kind == b"stco" else (">Q", 8)
            (count,) = struct.unpack_from(">I", index, place + 12)
            for at in range(place + 16, place + 16 + count * width, width):
                (chunk,) = struct.unpack_from(code, index, at)
                moved = chunk + by if after <= chunk < before else chunk
                if moved >= 1 << (8 * width):
                    return False
                struct.pack_into(code, index, at, moved)
        place += size
    return True


def _copy(source: BinaryIO, target: BinaryIO, start: int, end: int) -> None:
    source.seek(start)
    left = end - start
    while left > 0 and (piece := source.read(min(left, 1 << 20))):
        target.write(piece)
        left -= len(piece)
