from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from rtseg.errors import ConfigError, SourceError
from rtseg.sources import open_source
from rtseg.sources.camera import CameraSource
from rtseg.sources.file import FileSource
from rtseg.sources.images import ImagesSource
from rtseg.sources.synthetic import SyntheticSource


def test_each_spec_gives_its_source(tmp_path: Path) -> None:
    video, picture = tmp_path / "a.mp4", tmp_path / "a.PNG"
    video.touch()
    picture.touch()
    assert type(open_source(video)) is FileSource
    assert type(open_source(str(video), start_seconds=2)) is FileSource
    assert type(open_source(picture)) is ImagesSource
    assert type(open_source(tmp_path)) is ImagesSource
    assert type(open_source(f"{tmp_path}/*.png")) is ImagesSource
    assert type(open_source("synthetic:street?size=96x64")) is SyntheticSource
    for camera in (0, "0", "/dev/video9", "camera:Logitech?size=640x480"):
        assert type(open_source(camera)) is CameraSource


def test_a_source_is_passed_through() -> None:
    source = SyntheticSource("street", size_wh=(96, 64))
    assert open_source(source) is source
    with pytest.raises(ConfigError, match="options fps"):
        open_source(source, fps=3)


def test_written_options_and_keyword_arguments_mean_the_same() -> None:
    written = open_source("synthetic:street?size=96x64&fps=30000/1001&seed=4&frames=7&live=yes")
    given = open_source(
        "synthetic:street", size_wh=(96, 64), fps=Fraction(30000, 1001), seed=4, frame_count=7, live=True
    )
    with written, given:
        assert written.info == given.info
        assert written.info.frame_count == 7


def test_keyword_arguments_win() -> None:
    with open_source("synthetic:street?size=96x64&seed=1", seed=2) as source:
        assert source.info.details["seed"] == "2"


@pytest.mark.parametrize("spec", ["rtsp://user:secret@cam/1", "http://x/y.mp4", "udp://1.2.3.4:5", "rtmp://a/b"])
def test_an_address_is_a_stream_described_without_a_connection(spec: str) -> None:
    source = open_source(spec)
    assert type(source).__name__ == "StreamSource"
    with pytest.raises(SourceError, match="not open") as caught:
        _ = source.info
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("", {}, "empty name"),
        ("synthetic:beach", {}, "expected street or desk"),
        ("synthetic:street?sise=1x1", {}, "unknown option sise; expected some of size_wh"),
        ("synthetic:street?size=5", {}, "WIDTHxHEIGHT"),
        ("synthetic:street?seed=x", {}, "seed='x'; expected a whole number"),
        ("synthetic:street?fps=1/0", {}, "expected a number"),
        ("synthetic:street?live=perhaps", {}, "yes or no"),
        ("synthetic:street?size=96x64&size_wh=96x64", {}, "size_wh twice"),
        ("0", {"start_seconds": 3}, "unknown option start_seconds"),
    ],
)
def test_nonsense_is_named(spec: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_source(spec, **options)


def test_a_missing_file_names_the_closest(tmp_path: Path) -> None:
    (tmp_path / "dashcam_1.mp4").touch()
    with pytest.raises(SourceError, match=r"Did you mean .*dashcam_1\.mp4\?"):
        open_source(tmp_path / "dashcam-1.mp4")
    with pytest.raises(SourceError, match="there is no folder"):
        open_source(tmp_path / "nowhere" / "a.mp4")


def test_importing_the_package_loads_no_decoder() -> None:
    code = "import sys, rtseg.sources; print([name for name in ('av', 'cv2') if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_link_to_nothing_says_where_it_leads(tmp_path):
    link = tmp_path / "clip.mp4"
    link.symlink_to("gone.mp4")
    with pytest.raises(SourceError, match=r"got a link to gone\.mp4"):
        open_source(link)
