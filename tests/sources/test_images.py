from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtseg.errors import ConfigError, DecodeError, SourceError
from rtseg.sources.images import ImagesSource, list_pictures, read_rgb
from rtseg.types import Frame, UInt8Array

LEFT, RIGHT = (200, 30, 90), (20, 180, 240)


def halves(width: int = 64, height: int = 32) -> UInt8Array:
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2], rgb[:, width // 2 :] = LEFT, RIGHT
    return rgb


def save(path: Path, rgb: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]))
    return path


def read(path: Path, **options: object) -> tuple[list[Frame], ImagesSource]:
    with ImagesSource(path, **options) as source:
        return list(source.frames()), source


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "jpg"])
def test_every_kind_of_picture(tmp_path: Path, suffix: str) -> None:
    rgb = read_rgb(save(tmp_path / f"a.{suffix}", halves()))
    assert rgb is not None
    away_from_the_edge = np.abs(rgb.astype(int) - halves())[:, np.r_[4:24, 40:60]]
    assert away_from_the_edge.max() <= (4 if suffix in ("jpg", "webp") else 0)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    rgb = read_rgb(save(tmp_path / "a.png", halves().astype(np.uint16) * 257))
    assert np.array_equal(rgb, halves())


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "g.png"), halves()[..., 0])
    rgb = read_rgb(tmp_path / "g.png")
    assert np.array_equal(rgb, np.repeat(halves()[..., :1], 3, axis=2))


def test_alpha_is_left_out_not_composited(tmp_path: Path) -> None:
    bgra = np.dstack([halves()[..., ::-1], np.zeros((32, 64), np.uint8)])
    assert cv2.imwrite(str(tmp_path / "a.png"), bgra)
    assert np.array_equal(read_rgb(tmp_path / "a.png"), halves())


@pytest.mark.parametrize(("tag", "turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_exif_turns_are_applied(tmp_path: Path, tag: int, turns: int) -> None:
    content = save(tmp_path / "a.jpg", halves()).read_bytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, tag, 0) + bytes(4)
    segment = b"Exif\0\0" + tiff
    turned = tmp_path / "turned.jpg"
    turned.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:])
    rgb, expected = read_rgb(turned), np.rot90(halves(), turns)
    assert rgb is not None
    assert rgb.shape == expected.shape
    assert np.abs(rgb.astype(int) - expected).mean() < 4


def test_natural_order(tmp_path: Path) -> None:
    for name in ("f10.png", "f9.png", "f1.png", "F2.PNG", "notes.txt"):
        save(tmp_path / name, halves()) if not name.endswith("txt") else (tmp_path / name).write_text("x")
    assert [path.name for path in list_pictures(tmp_path)] == ["f1.png", "F2.PNG", "f9.png", "f10.png"]
    assert [path.name for path in list_pictures(tmp_path / "f*.png")] == ["f1.png", "f9.png", "f10.png"]


def test_sizes_may_differ_and_times_follow_the_rate(tmp_path: Path) -> None:
    for number, size in enumerate([(64, 32), (30, 40), (7, 5)]):
        save(tmp_path / f"{number}.png", halves(*size))
    frames, source = read(tmp_path, fps=10)
    assert [frame.size_wh for frame in frames] == [(64, 32), (30, 40), (7, 5)]
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0.0, 0.1, 0.2])
    assert (source.info.frame_count, source.info.frame_rate) == (3, Fraction(10))
    assert not frames[0].rgb.flags.writeable


def test_an_unreadable_picture_is_skipped_counted_and_leaves_a_gap(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png", halves())
    (tmp_path / "1.png").write_bytes(b"no picture")
    (tmp_path / "2.png").write_bytes(b"")
    frames, source = read(tmp_path)
    assert [(frame.frame_index, frame.pts) for frame in frames] == [(0, 0), (1, 3)]
    assert source.counters.decode_errors == 2
    assert source.counters.notes == ["2 unreadable pictures were skipped."]


def test_a_span_of_pictures(tmp_path: Path) -> None:
    for number in range(10):
        save(tmp_path / f"{number}.png", halves())
    frames, _ = read(tmp_path, fps=5, start_seconds=0.4, duration_seconds=1)
    assert [frame.pts for frame in frames] == [2, 3, 4, 5, 6]


def test_nothing_to_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="got no picture"):
        read(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"x")
    with pytest.raises(DecodeError, match="got 1 picture, none of which can be read"):
        read(tmp_path)
    with pytest.raises(SourceError, match=r"Did you mean .*bad\.png\?"):
        read(tmp_path / "bat.png")


@pytest.mark.parametrize("fps", [0, -1, "fast", 1e9, True])
def test_rates_that_cannot_be_right(fps: object) -> None:
    with pytest.raises(ConfigError, match="frames a second"):
        ImagesSource("x", fps=fps)
