"""Encoding on the GPU: what falls back says why, as FFmpeg said it, and writes the very file the CPU sink writes."""

from __future__ import annotations

import time
from fractions import Fraction

import av
import numpy as np
import pytest

from rtseg.device_picture import DeviceYuv420
from rtseg.errors import ConfigError, SinkError
from rtseg.sinks.base import StreamFormat
from rtseg.sinks.codecs import plan_encoder
from rtseg.sinks.file import FileSink
from rtseg.sinks.hardware import HardwareFileSink, SurfacePainter, nvenc_plan, try_encoder, upgraded
from rtseg.sinks.null import NullSink
from rtseg.sinks.painter import ColourTags, FramePainter
from rtseg.types import Frame, Yuv420
from tests.conftest import PRESENT

no_gpu = pytest.mark.skipif(PRESENT["cuda"](), reason="there is a GPU, so nothing falls back")
SIZE_WH = (192, 128)
STREAM = StreamFormat("clip", SIZE_WH, Fraction(1, 30), Fraction(30), ("a",), ((0, 0, 0),), matrix="bt709")


def picture(value: int) -> Yuv420:
    width, height = SIZE_WH
    y = np.full((height, width), value, np.uint8)
    chroma = np.full((height // 2, width // 2), 120, np.uint8)
    return Yuv420(y, chroma, chroma, matrix="bt709")


def write(sink, count=6):
    with sink:
        sink.open(STREAM)
        for index in range(count):
            sink.write(Frame(picture(20 * index + 30), index, index, Fraction(1, 30), time.monotonic_ns()), None)


def read(path):
    with av.open(str(path)) as container:
        return [(frame.pts, frame.to_ndarray()) for frame in container.decode(video=0)]


@no_gpu
def test_without_a_gpu_the_cpu_encodes_the_same_file_and_the_reason_is_ffmpegs_own(tmp_path):
    plain, fallen_back = FileSink(tmp_path / "a.mp4"), HardwareFileSink(tmp_path / "b.mp4")
    write(plain)
    write(fallen_back)
    assert fallen_back.encoder == "cpu (Cannot load libcuda.so.1)"
    assert "encode: cpu (Cannot load libcuda.so.1)" in fallen_back.notes
    for (pts, one), (other_pts, other) in zip(read(tmp_path / "a.mp4"), read(tmp_path / "b.mp4"), strict=True):
        assert pts == other_pts
        np.testing.assert_array_equal(one, other)


@no_gpu
def test_trying_the_encoder_prints_nothing_and_leaves_the_log_level(capfd):
    before = av.logging.get_level()
    plan = nvenc_plan(plan_for("x.mp4"), None)
    with pytest.raises(SinkError, match="libcuda"):
        try_encoder(plan, SIZE_WH)
    assert av.logging.get_level() == before
    assert capfd.readouterr() == ("", "")


def plan_for(name, **changes):
    from pathlib import Path

    facts = {"codec": None, "quality": None, "size_wh": SIZE_WH, "has_alpha": False, "threads": 1}
    return plan_encoder(Path(name), **(facts | changes))


def test_the_plan_takes_the_gpus_encoder_with_the_same_quality_scale():
    worst, best = (nvenc_plan(plan_for("x.mp4"), quality).options["cq"] for quality in (0, 100))
    assert (worst, best) == ("42.0", "12.0")
    plan = nvenc_plan(plan_for("x.mp4", codec="h265"), None)
    assert (plan.encoder, plan.on_gpu, plan.codec_tag) == ("hevc_nvenc", True, "hvc1")
    assert float(plan.options["cq"]) == pytest.approx(23)


@pytest.mark.parametrize(
    ("name", "changes"), [("x.webm", {}), ("x.mov", {"codec": "prores"}), ("x.mp4", {"size_wh": (191, 128)})]
)
def test_what_the_gpu_cannot_encode_stays_with_the_cpu_for_that_reason(name, changes, tmp_path):
    with pytest.raises(ConfigError, match="NVENC: got"):
        nvenc_plan(plan_for(name, **changes), None)
    sink = HardwareFileSink(tmp_path / name, codec=changes.get("codec"))
    with sink:
        sink.open(StreamFormat("s", changes.get("size_wh", SIZE_WH), Fraction(1, 30), None, ("a",), ((0, 0, 0),)))
    assert "NVENC: got" in sink.encoder


def test_only_file_sinks_are_upgraded_and_keep_their_options(tmp_path):
    sink = upgraded(FileSink(tmp_path / "a.mkv", codec="h265", quality=40, overwrite=True, encode_threads=1))
    assert isinstance(sink, HardwareFileSink)
    assert (sink.path.name, sink._codec, sink._quality, sink._overwrite, sink._threads) == (
        "a.mkv",
        "h265",
        40,
        True,
        1,
    )
    null = NullSink()
    assert upgraded(null) is null


def device_picture(planes, **changes):
    facts = {"size_wh": SIZE_WH, "matrix": "bt709", "full_range": False, "download": lambda: picture(77)}
    return DeviceYuv420(planes, **(facts | changes))


def painter():
    return SurfacePainter(size_wh=SIZE_WH, pixel_format="yuv420p", tags=ColourTags("bt709", False))


def test_a_picture_on_the_device_goes_to_the_encoder_as_it_lies():
    luma = np.random.default_rng(0).integers(0, 256, (128, 192), np.uint8)
    chroma = np.random.default_rng(1).integers(0, 256, (64, 96, 2), np.uint8)
    frame = painter().video_frame(device_picture((luma, chroma)))
    assert frame.format.name == "nv12"
    assert frame.colorspace == 1
    np.testing.assert_array_equal(frame.to_ndarray()[:128], luma)
    luma[0, 0] ^= 255
    assert frame.to_ndarray()[0, 0] == luma[0, 0]  # the same memory, not a copy


@pytest.mark.parametrize("changes", [{"size_wh": (64, 64)}, {"matrix": "bt601"}, {"full_range": True}])
def test_one_that_does_not_fit_the_stream_is_converted_as_on_the_cpu(changes):
    if "size_wh" in changes:
        small = np.full((64, 64), 9, np.uint8)
        host = Yuv420(small, small[:32, :32], small[:32, :32], matrix="bt709")
    else:
        host = Yuv420(picture(77).y, picture(77).u, picture(77).v, **({"matrix": "bt709"} | changes))
    frame = painter().video_frame(device_picture((), download=lambda: host, **changes))
    expected = FramePainter(size_wh=SIZE_WH, pixel_format="yuv420p", tags=ColourTags("bt709", False)).video_frame(host)
    np.testing.assert_array_equal(frame.to_ndarray(), expected.to_ndarray())


@pytest.mark.needs_cuda
def test_nvenc_writes_what_it_was_given_where_the_gpu_has_it(tmp_path):
    sink = HardwareFileSink(tmp_path / "a.mp4", quality=90)
    write(sink)
    if sink.encoder != "nvenc":
        pytest.skip(f"this GPU does not encode: {sink.encoder}")
    frames = read(tmp_path / "a.mp4")
    assert len(frames) == 6
    for index, (_, pixels) in enumerate(frames):
        assert abs(float(pixels[:128].mean()) - (20 * index + 30)) < 3
