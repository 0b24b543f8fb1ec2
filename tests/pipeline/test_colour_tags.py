"""What a file says of its colours is what the file made of it says: high dynamic range stays recognisable."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from rtseg import color
from rtseg.pipeline.pipeline import Pipeline
from rtseg.render.effects import Tint
from rtseg.sinks.file import FileSink
from rtseg.sources.file import FileSource
from tests.pipeline.parts import StubSegmenter
from tests.sources.clips import patch_frame

PQ, HLG = (9, 16, 9), (9, 18, 9)


def tags_of(path: Path) -> tuple[int, int, int, int]:
    """The codes of primaries, transfer, matrix and range of the first frame."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    return int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace), int(frame.color_range)


def tags_after_a_run(path: Path, out: Path) -> tuple[int, int, int, int]:
    Pipeline(FileSource(path), StubSegmenter(), sinks=[FileSink(out)], effects=(Tint(),)).run()
    return tags_of(out)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("ext", ["mp4", "mkv", "webm"])
def test_a_made_clip_keeps_its_tags(tmp_path: Path, ext: str, pixel_format: str, transfer: str) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, pixel_format
        encoder = stream.codec_context
        encoder.colorspace, encoder.color_range, encoder.color_primaries = 9, 1, 9
        encoder.color_trc = color.TRANSFER_CODES[transfer]
        frame = patch_frame(pixel_format, "bt2020", full_range=False, width=128, height=64)
        frame.color_primaries, frame.color_trc, frame.pts = 9, color.TRANSFER_CODES[transfer], 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    expected = (*(PQ if transfer == "smpte2084" else HLG), 1)
    assert tags_of(path) == expected
    with FileSource(path) as source:
        assert (source.info.color_primaries, source.info.color_transfer) == ("bt2020", transfer)
    assert tags_after_a_run(path, tmp_path / f"out.{ext}") == expected


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mp4parse__video_colr_nclx_hdr10_full_range.mp4", (*PQ, 2)),
        ("mp4parse__video_colr_nclx_hlg_full_range.mp4", (*HLG, 2)),
        ("torchcodec__bt2020_10bit.mp4", (*PQ, 1)),
    ],
)
def test_real_footage_keeps_its_tags(tmp_path: Path, shared: Path, name: str, expected: tuple[int, ...]) -> None:
    path = shared / "media" / "odd" / name
    assert tags_of(path) == expected
    assert tags_after_a_run(path, tmp_path / "out.mp4") == expected
