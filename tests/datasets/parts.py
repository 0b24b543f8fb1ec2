"""Label files and pictures made by hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

LABELS = np.array([[0, 0, 1, 1], [0, 1, 1, 255]], np.uint8)


def write_picture(path: Path, size_wh=(4, 2), value=120) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((size_wh[1], size_wh[0], 3), (value, 60, 30), np.uint8)  # BGR
    assert cv2.imwrite(str(path), picture)
    return path


def write_labels(path: Path, labels=LABELS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), labels if labels.ndim == 2 else labels[..., ::-1])
    return path


def write_palette_png(path: Path, labels=LABELS, bits=8) -> Path:
    """Write a PNG with a palette whose colours are nothing like the indices."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = labels.shape
    spread = np.unpackbits(labels[..., None], axis=2)[..., 8 - bits :].reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(spread, axis=1))
    palette = bytes((255 - i, 7 * i % 256, 99)[c] for i in range(1 << bits) for c in range(3))
    header = struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"PLTE", palette)
        + chunk(b"tRNS", b"\0")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def make_folder(root: Path, names=("a2", "a10"), labels=LABELS) -> Path:
    """Make images/ and labels/ with these names."""
    for name in names:
        write_picture(root / "images" / f"{name}.jpg", (labels.shape[1], labels.shape[0]))
        write_labels(root / "labels" / f"{name}.png", labels)
    return root
