"""Decoding on the GPU: what falls back says why, as FFmpeg said it; what stays on the device is not touched."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from rtseg.device_picture import DeviceYuv420
from rtseg.errors import DecodeError, SourceError
from rtseg.sources.file import FileSource
from rtseg.sources.hardware import HardwareFileSource, SurfaceReader, upgraded
from rtseg.sources.synthetic import SyntheticSource
from rtseg.types import Yuv420, picture_size_wh
from tests.conftest import PRESENT

no_gpu = pytest.mark.skipif(PRESENT["cuda"](), reason="there is a GPU, so nothing falls back")


def frames_of(source):
    with source:
        return [(f.frame_index, f.pts, f.rgb) for f in source.frames()]


@no_gpu
def test_without_a_gpu_the_cpu_decodes_and_the_reason_is_ffmpegs_own(clip):
    source = HardwareFileSource(clip)
    with source:
        count = sum(1 for _ in source.frames())
    assert count == 12
    assert source.decoder == "cpu (Cannot load libcuda.so.1)"
    assert source.info.details["decode"] == source.decoder
    assert f"decode: {source.decoder}" in source.counters.notes


@no_gpu
def test_the_fallback_gives_the_very_frames_of_the_cpu_source(clip):
    plain, fallen_back = frames_of(FileSource(clip)), frames_of(HardwareFileSource(clip))
    assert [frame[:2] for frame in plain] == [frame[:2] for frame in fallen_back]
    for (_, _, one), (_, _, other) in zip(plain, fallen_back, strict=True):
        np.testing.assert_array_equal(one, other)


@no_gpu
def test_nothing_of_ffmpegs_complaint_is_printed(clip, capfd):
    with HardwareFileSource(clip):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_video_fails_as_it_does_on_the_cpu(tmp_path):
    path = tmp_path / "no.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(SourceError, match="a video that FFmpeg can read"):
        HardwareFileSource(path).open()


def test_only_files_are_upgraded_and_keep_their_span(clip):
    wanted = upgraded(FileSource(clip, start_seconds=0.2, duration_seconds=0.1, source_id="name"))
    assert isinstance(wanted, HardwareFileSource)
    assert [f[1] for f in frames_of(wanted)] == [
        f[1] for f in frames_of(FileSource(clip, start_seconds=0.2, duration_seconds=0.1))
    ]
    scene = SyntheticSource("street", size_wh=(64, 48), frame_count=1)
    assert upgraded(scene) is scene


def surface(**changes):
    facts = {
        "format": SimpleNamespace(name="cuda"),
        "sw_format": SimpleNamespace(name="nv12"),
        "width": 64,
        "height": 48,
        "rotation": 0,
        "colorspace": 1,
        "color_range": 1,
        "planes": ("luma", "chroma"),
    }
    facts["format"] = SimpleNamespace(name=changes.pop("name", "cuda"), is_rgb=False)
    return SimpleNamespace(**(facts | changes))


def test_a_surface_stays_where_it_is_until_somebody_reads_its_planes():
    reader = SurfaceReader()
    picture = reader.read(surface())
    assert isinstance(picture, DeviceYuv420)
    assert picture.device_planes == ("luma", "chroma")
    assert (picture.matrix, picture.full_range, picture_size_wh(picture)) == ("bt709", False, (64, 48))
    assert reader.downloads == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "yuv420p"}, "no GPU decoder for yuv420p"),
        ({"sw_format": SimpleNamespace(name="p010le")}, "p010le surfaces"),
        ({"width": 63}, "odd size 63x48"),
        ({"rotation": 90}, "turned by 90"),
    ],
)
def test_what_cannot_stay_on_the_device_is_told_with_its_reason(changes, why):
    reader = SurfaceReader()
    assert why in reader.why_not(surface(**changes))
    assert reader.why_not(surface()) == ""
    if "name" not in changes:
        with pytest.raises(DecodeError, match="like the first"):
            reader.read(surface(**changes))


def test_planes_that_are_read_come_to_the_host_once():
    host = Yuv420(np.full((4, 6), 9, np.uint8), np.full((2, 3), 8, np.uint8), np.full((2, 3), 7, np.uint8))
    downloads = []

    def download():
        downloads.append(1)
        return host

    picture = DeviceYuv420((), size_wh=(6, 4), matrix="bt709", full_range=True, download=download)
    assert downloads == []
    assert (picture.y[0, 0], picture.u[0, 0], picture.v[0, 0]) == (9, 8, 7)
    assert downloads == [1]
    assert "size_wh=(6, 4)" in repr(picture)


@pytest.mark.needs_cuda
def test_frames_decoded_on_the_gpu_are_those_of_the_cpu(clip):
    source = HardwareFileSource(clip)
    on_gpu = frames_of(source)
    if source.decoder != "nvdec":
        pytest.skip(f"this GPU does not decode: {source.decoder}")
    for (_, pts, one), (_, other_pts, other) in zip(on_gpu, frames_of(FileSource(clip)), strict=True):
        assert pts == other_pts
        assert np.abs(one.astype(int) - other).max() <= 1
