"""Pixels through the file sink: colours, odd sizes, transparency, other sizes, and the painter itself."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from rtseg import color
from rtseg.errors import ConfigError
from rtseg.sinks.file import FileSink
from rtseg.sinks.painter import ColourTags, FramePainter, fit_picture
from rtseg.types import Yuv420

SIZE_WH = (96, 64)
COLOURS = [(200, 40, 40), (40, 180, 60), (50, 60, 210), (230, 220, 60), (20, 20, 20), (245, 245, 245)]


def patches(size_wh=SIZE_WH):
    """Six flat patches of strong colours, three across and two down, rgb uint8 [H, W, 3]."""
    width, height = size_wh
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for index, colour in enumerate(COLOURS):
        x, y = index % 3 * width // 3, index // 3 * height // 2
        picture[y : y + height // 2 + 1, x : x + width // 3 + 1] = colour
    return picture


def patch_middles(picture):
    height, width = picture.shape[:2]
    return np.array(
        [picture[(2 * (i // 3) + 1) * height // 4, (2 * (i % 3) + 1) * width // 6, :3] for i in range(6)]
    ).astype(int)


def decoded_rgb(frame):
    """A decoded frame as rgb by the tags that it carries and by our own matrices, whatever its format."""
    matrix = {1: "bt709", 6: "bt601", 9: "bt2020"}[int(frame.colorspace)]
    full_range = int(frame.color_range) == 2
    planes = [np.asarray(p, dtype=np.float64) for p in frame.reformat(format="yuv444p").to_ndarray()]
    affine = color.yuv_to_rgb_matrix(matrix, full_range)
    rgb = np.einsum("ij,jhw->hwi", affine, np.stack([*planes, np.ones_like(planes[0])]))
    return np.clip(np.rint(rgb), 0, 255)


@pytest.mark.parametrize("ext", ["mp4", "mkv", "mov", "webm"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("kind", ["rgb", "planes"])
def test_colours_come_back_within_3_levels(tmp_path, tools, ext, matrix, full_range, kind):
    rgb = patches()
    picture = rgb if kind == "rgb" else color.to_yuv420(rgb, matrix=matrix, full_range=full_range)
    out = tmp_path / f"out.{ext}"
    sink = FileSink(out, quality=100)
    sink.open(tools.stream_format(SIZE_WH, matrix=matrix, full_range=full_range))
    for index in range(3):
        sink.write(tools.frame_of(picture, index * 512, index=index), None)
    sink.close()
    for frame in tools.read_back(out).pictures:
        assert np.abs(patch_middles(decoded_rgb(frame)) - np.array(COLOURS)).max() <= 3


@pytest.mark.parametrize(("ext", "codec"), [("mp4", "h265"), ("mp4", "av1"), ("mov", "prores")])
def test_colours_of_the_other_codecs(tmp_path, tools, ext, codec):
    out = tmp_path / f"out.{ext}"
    sink = FileSink(out, quality=100, codec=codec)
    sink.open(tools.stream_format(SIZE_WH, matrix="bt709", full_range=codec == "prores"))
    sink.write(tools.frame_of(patches(), 0), None)
    sink.close()
    frame = tools.read_back(out).pictures[0]
    assert np.abs(patch_middles(decoded_rgb(frame)) - np.array(COLOURS)).max() <= 3


def test_planes_of_another_matrix_are_converted(tmp_path, tools):
    out = tmp_path / "out.mp4"
    sink = FileSink(out, quality=100)
    sink.open(tools.stream_format(SIZE_WH, matrix="bt709"))
    sink.write(tools.frame_of(color.to_yuv420(patches(), matrix="bt601", full_range=True), 0), None)
    sink.close()
    frame = tools.read_back(out).pictures[0]
    assert np.abs(patch_middles(decoded_rgb(frame)) - np.array(COLOURS)).max() <= 3


def test_planes_are_written_straight():
    rng = np.random.default_rng(0)
    yuv = Yuv420(*(rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 90), (32, 45), (32, 45))))
    painter = FramePainter(size_wh=(90, 64), pixel_format="yuv420p", tags=ColourTags("bt601", full_range=False))
    frame = painter.video_frame(yuv)
    for plane, given in zip(frame.planes, (yuv.y, yuv.u, yuv.v), strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        assert np.array_equal(rows[:, : plane.width], given)


def test_the_picture_is_not_kept_after_write(tmp_path, tools):
    out = tmp_path / "out.mp4"
    sink = FileSink(out, quality=100)
    sink.open(tools.stream_format(SIZE_WH, full_range=True))
    picture = color.to_yuv420(patches(), matrix="bt601", full_range=True)
    for index in range(6):
        sink.write(tools.frame_of(picture, index * 512, index=index), None)
        if index == 5:
            picture.y[:] = 0
    sink.close()
    for frame in tools.read_back(out).pictures:
        assert np.abs(patch_middles(decoded_rgb(frame)) - np.array(COLOURS)).max() <= 3


@pytest.mark.parametrize(
    ("ext", "codec", "pixel_format"),
    [
        ("mp4", None, "yuv444p"),
        ("webm", None, "yuv444p"),
        ("mov", "prores", "yuv444p12le"),
    ],
)
@pytest.mark.parametrize("size_wh", [(97, 65), (96, 65), (97, 64), (33, 17)])
def test_odd_sizes_are_written_in_444_at_their_own_size(tmp_path, tools, ext, codec, pixel_format, size_wh):
    out = tmp_path / f"out.{ext}"
    sink = FileSink(out, codec=codec, quality=100)
    sink.open(tools.stream_format(size_wh, matrix="bt709"))
    for index in range(3):
        sink.write(tools.frame_of(patches(size_wh), index * 512, index=index), None)
    sink.close()
    frames = tools.read_back(out).pictures
    assert len(frames) == 3
    assert (frames[0].width, frames[0].height, frames[0].format.name) == (*size_wh, pixel_format)
    if size_wh[1] > 20:
        assert np.abs(patch_middles(decoded_rgb(frames[0])) - np.array(COLOURS)).max() <= 3


@pytest.mark.parametrize("size_wh", [(97, 65), (64, 67), (65, 64), (321, 65)])
def test_odd_sizes_in_h265(tmp_path, tools, size_wh):
    out = tmp_path / "out.mp4"
    tools.write_all(FileSink(out, codec="h265"), tools.stream_format(size_wh), [i * 512 for i in range(12)])
    frames = tools.read_back(out).pictures
    assert (len(frames), frames[0].width, frames[0].height) == (12, *size_wh)


def test_h265_is_kept_from_sizes_at_which_its_encoder_overruns_its_buffers(tmp_path, tools):
    with pytest.raises(ConfigError, match="at least 64 pixels"):
        FileSink(tmp_path / "out.mp4", codec="h265").open(tools.stream_format((33, 17)))


def test_tiny_sizes(tmp_path, tools):
    for size_wh in ((1, 1), (2, 2), (3, 2), (16, 1)):
        out = tmp_path / f"{size_wh[0]}x{size_wh[1]}.mp4"
        tools.write_all(FileSink(out), tools.stream_format(size_wh), [])
        sink = FileSink(out)
        sink.open(tools.stream_format(size_wh))
        sink.write(tools.frame_of(np.full((size_wh[1], size_wh[0], 3), 90, np.uint8), 0), None)
        sink.close()
        assert tools.read_back(out).pictures[0].width == size_wh[0]


def test_odd_size_with_av1_names_the_codecs_that_hold_it(tmp_path, tools):
    with pytest.raises(ConfigError, match="h264, h265, vp9, prores"):
        FileSink(tmp_path / "out.mp4", codec="av1").open(tools.stream_format((97, 65)))


def decoded_rgba(path):
    """The first frame as rgba, VP9 by libvpx-vp9, the decoder that keeps transparency."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        if video.codec_context.codec.canonical_name == "vp9":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frames = [f for packet in container.demux(video) for f in decoder.decode(packet)]
        else:
            frames = list(container.decode(video))
    frame = frames[0]
    ten_bits = frame.format.name.startswith("yuva444p12")
    alpha = np.frombuffer(frame.planes[3], np.uint16 if ten_bits else np.uint8)
    alpha = alpha.reshape(frame.height, -1)[:, : frame.width]
    scale = 4095 / 255 if ten_bits else 1
    return decoded_rgb(frame), alpha / scale, len(frames)


@pytest.mark.parametrize(("ext", "size_wh"), [("webm", SIZE_WH), ("mov", SIZE_WH), ("mov", (97, 65))])
def test_alpha_comes_back(tmp_path, tools, ext, size_wh):
    alpha = np.zeros((size_wh[1], size_wh[0]), dtype=np.uint8)
    alpha[:, : size_wh[0] // 3] = 255
    alpha[:, size_wh[0] // 3 : 2 * size_wh[0] // 3] = 128
    rgba = np.dstack([patches(size_wh), alpha])
    out = tmp_path / f"out.{ext}"
    sink = FileSink(out, quality=100)
    sink.open(tools.stream_format(size_wh, has_alpha=True, matrix="bt709"))
    for index in range(4):
        sink.write(tools.frame_of(rgba, index * 512, index=index), None)
    sink.close()
    rgb, got_alpha, count = decoded_rgba(out)
    assert count == 4
    middles = np.array([size_wh[0] // 6, size_wh[0] // 2, 5 * size_wh[0] // 6])
    assert np.abs(got_alpha[10, middles] - np.array([255, 128, 0])).max() <= 3
    assert got_alpha[10, middles[0]] >= 254.9
    assert np.abs(patch_middles(rgb) - np.array(COLOURS)).max() <= 3


def test_alpha_elsewhere_names_the_three_ways(tmp_path, tools):
    for name, codec in (("a.mp4", None), ("a.mkv", None), ("a.mov", "h264"), ("a.webm", "av1")):
        with pytest.raises(ConfigError, match=r"\.mov.*\.webm.*PNG sequence"):
            FileSink(tmp_path / name, codec=codec).open(tools.stream_format(has_alpha=True))
    with pytest.raises(ConfigError, match="even size"):
        FileSink(tmp_path / "a.webm").open(tools.stream_format((97, 65), has_alpha=True))


def test_opaque_picture_in_a_transparent_stream_is_opaque():
    painter = FramePainter(size_wh=SIZE_WH, pixel_format="yuva420p", tags=ColourTags("bt709", full_range=False))
    assert painter.planes(patches())[3].min() == 255
    assert painter.planes(color.to_yuv420(patches(), matrix="bt709", full_range=False))[3].min() == 255


def test_another_size_is_fitted_on_black_without_distortion():
    white = np.full((50, 100, 3), 255, np.uint8)
    fitted = fit_picture(white, (100, 100))
    assert fitted.shape == (100, 100, 3)
    assert fitted[25:75].min() == 255
    assert fitted[:25].max() == 0
    assert fitted[75:].max() == 0
    assert fit_picture(white, (100, 50)) is white
    clear = fit_picture(np.full((50, 100, 4), 255, np.uint8), (100, 100))
    assert clear[0, 0, 3] == 0


def test_frames_of_changing_size_all_go_in(tmp_path, tools):
    out = tmp_path / "out.mp4"
    sink = FileSink(out)
    sink.open(tools.stream_format(SIZE_WH))
    for index, size_wh in enumerate([SIZE_WH, (48, 32), (97, 65), (40, 80)]):
        picture = patches(size_wh)
        if index == 1:
            picture = color.to_yuv420(picture, matrix="bt601", full_range=False)
        sink.write(tools.frame_of(picture, index * 512, index=index), None)
    sink.close()
    assert {(f.width, f.height) for f in tools.read_back(out).pictures} == {SIZE_WH}
    assert len(tools.read_back(out).pictures) == 4


def test_rotation_is_not_written(tmp_path, tools):
    out = tmp_path / "out.mp4"
    tools.write_all(FileSink(out), tools.stream_format((48, 64), time_base=Fraction(1, 90000)), [0, 3600])
    with av.open(str(out)) as container:
        assert "rotate" not in container.streams.video[0].metadata
        assert next(iter(container.decode(video=0))).rotation == 0
