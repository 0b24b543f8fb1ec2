"""The PNG writer, read back chunk by chunk and by OpenCV."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from rtseg.sinks.png import colour_png, grey_png, indexed_png

PALETTE = ((128, 64, 128), (220, 20, 60), (0, 0, 142))


def chunks(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + content)
        found.append((kind, content))
        at += 12 + length
    return found


def test_indexed_png_holds_labels_and_palette():
    labels = np.random.default_rng(0).integers(0, 3, (17, 31), dtype=np.uint8)
    found = dict(chunks(indexed_png(labels, PALETTE)))
    assert list(found) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", found[b"IHDR"]) == (31, 17, 8, 3, 0, 0, 0)
    assert found[b"PLTE"][:9] == bytes(np.array(PALETTE, np.uint8))
    rows = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(17, 32)
    assert not rows[:, 0].any()
    assert np.array_equal(rows[:, 1:], labels)


def test_indexed_png_shows_the_palette_in_any_viewer():
    labels = np.repeat(np.arange(3, dtype=np.uint8), 4)[None].repeat(5, 0)
    shown = cv2.imdecode(np.frombuffer(indexed_png(labels, PALETTE), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(shown, np.array(PALETTE, np.uint8)[labels])


def test_labels_beyond_the_palette_are_black_not_an_invalid_file():
    shown = cv2.imdecode(np.frombuffer(indexed_png(np.full((2, 2), 255, np.uint8), PALETTE), np.uint8), 1)
    assert not shown.any()


def test_strided_labels_are_written_as_they_look():
    labels = np.arange(200, dtype=np.uint8).reshape(10, 20)[:, ::2]
    back = cv2.imdecode(np.frombuffer(grey_png(labels), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(back, labels)


def test_colour_png_keeps_every_value_and_straight_alpha():
    for channels in (3, 4):
        picture = np.random.default_rng(1).integers(0, 256, (9, 14, channels), dtype=np.uint8)
        back = cv2.imdecode(np.frombuffer(colour_png(picture), np.uint8), cv2.IMREAD_UNCHANGED)
        code = cv2.COLOR_BGRA2RGBA if channels == 4 else cv2.COLOR_BGR2RGB
        assert np.array_equal(cv2.cvtColor(back, code), picture)
