from __future__ import annotations

import gc
from collections.abc import Callable

import av
import numpy as np
import pytest

from rtseg import color
from rtseg.sources.pixels import PictureReader, color_of
from rtseg.types import Matrix, Yuv420
from tests.sources.clips import PATCH_PX, patch_frame, patch_rgb

FORMATS = [
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv420p10le", "yuv422p10le", "yuv444p10le",
    "yuv420p12le", "yuv422p12le", "yuv444p12le", "yuv440p", "gray", "gray10le",
]  # fmt: skip
FORMATS_AND_RANGES = [(name, full) for name in FORMATS for full in (False, True) if full or not name.startswith("yuvj")]
"""yuvj is full range by definition."""


def error_inside_patches(rgb: np.ndarray, expected: np.ndarray) -> int:
    inside = np.arange(rgb.shape[1]) % PATCH_PX
    columns = (inside >= 4) & (inside < PATCH_PX - 4)  # chroma may bleed across the edges
    return int(np.abs(rgb.astype(int) - expected)[:, columns].max())


@pytest.mark.parametrize("size_wh", [(128, 32), (129, 33)], ids=["even", "odd"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize(("pixel_format", "full_range"), FORMATS_AND_RANGES)
def test_known_colours_come_out_within_two_levels(
    pixel_format: str, matrix: Matrix, full_range: bool, size_wh: tuple[int, int]
) -> None:
    frame = patch_frame(pixel_format, matrix, full_range=full_range, width=size_wh[0], height=size_wh[1])
    expected = patch_rgb(*size_wh).astype(int)
    if pixel_format.startswith("gray"):
        expected[:] = expected[..., :1]
    assert color_of(frame) == (matrix, full_range)
    assert error_inside_patches(color.to_rgb(PictureReader().read(frame)), expected) <= 2


def test_a_wrong_matrix_or_range_would_be_seen() -> None:
    frame = patch_frame("yuv444p", "bt709", full_range=False)
    frame.colorspace = 6
    assert error_inside_patches(color.to_rgb(PictureReader().read(frame)), patch_rgb().astype(int)) > 20
    frame.colorspace, frame.color_range = 1, 2
    assert error_inside_patches(color.to_rgb(PictureReader().read(frame)), patch_rgb().astype(int)) > 10


@pytest.mark.parametrize("pixel_format", ["rgb24", "bgr24", "bgra", "rgba", "gbrp", "gbrp10le", "rgb48le"])
def test_rgb_formats_are_exact_and_lose_their_alpha(pixel_format: str) -> None:
    frame = av.VideoFrame.from_ndarray(patch_rgb(), "rgb24").reformat(format=pixel_format)
    if pixel_format in ("bgra", "rgba"):
        np.frombuffer(memoryview(frame.planes[0]), np.uint8)[3::4] = 0
    assert np.array_equal(np.asarray(PictureReader().read(frame)), patch_rgb())


def test_a_palette_is_looked_up() -> None:
    colours = np.zeros((256, 4), np.uint8)
    colours[7] = (255, 200, 30, 90)  # ARGB
    indices = np.full((32, 64), 7, np.uint8)
    frame = av.VideoFrame.from_ndarray((indices, colours), "pal8")
    picture = PictureReader().read(frame)
    assert not isinstance(picture, Yuv420)
    assert np.abs(picture.astype(int) - (200, 30, 90)).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(480, "bt601"), (718, "bt601"), (720, "bt709"), (1080, "bt709")])
def test_an_unnamed_matrix_goes_by_the_height(height: int, matrix: Matrix) -> None:
    assert color_of(av.VideoFrame(64, height, "yuv420p")) == (matrix, False)
    assert color_of(av.VideoFrame(64, height, "yuvj420p")) == (matrix, True)


def test_eight_bit_420_is_not_copied() -> None:
    frame = patch_frame("yuv420p", "bt709", full_range=False)
    picture = PictureReader().read(frame)
    assert isinstance(picture, Yuv420)
    for plane, mine in zip(frame.planes, (picture.y, picture.u, picture.v), strict=True):
        assert mine.ctypes.data == plane.buffer_ptr
        assert not mine.flags.writeable


def test_planes_outlive_their_frame() -> None:
    frame = patch_frame("yuv420p", "bt709", full_range=False)
    picture = PictureReader().read(frame)
    assert isinstance(picture, Yuv420)
    before = picture.y.copy()
    del frame
    others = [patch_frame("yuv420p", "bt601", full_range=True) for _ in range(20)]
    assert np.array_equal(picture.y, before)
    assert len(others) == 20


def test_nv12_becomes_three_planes() -> None:
    planar = patch_frame("yuv420p", "bt601", full_range=False)
    expected = PictureReader().read(planar)
    frame = planar.reformat(format="nv12")
    frame.colorspace, frame.color_range = 6, 1
    picture = PictureReader().read(frame)
    assert isinstance(picture, Yuv420)
    assert isinstance(expected, Yuv420)
    assert np.array_equal(picture.u, expected.u)
    assert np.array_equal(picture.v, expected.v)


def test_pictures_are_read_only() -> None:
    picture = PictureReader().read(patch_frame("yuv444p", "bt709", full_range=False))
    assert not isinstance(picture, Yuv420)
    with pytest.raises(ValueError, match="read-only"):
        picture[0, 0, 0] = 1


def frames_alive_after(look: Callable[[av.VideoFrame], object]) -> int:
    """How many of 30 frames that were looked at and dropped stay alive while the collector does not run."""
    gc.collect()
    gc.disable()
    try:
        before = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
        for _ in range(30):
            look(patch_frame("yuv420p", "bt709", full_range=False))
        return sum(type(thing) is av.VideoFrame for thing in gc.get_objects()) - before
    finally:
        gc.enable()
        gc.collect()


def test_frames_die_at_once_without_the_garbage_collector() -> None:
    assert frames_alive_after(PictureReader().read) <= 1
    assert frames_alive_after(lambda frame: frame.side_data) == 30  # what Note [Side data once] guards against
