"""The screen: a region of an X server of our own, with its real pixels."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time

import pytest

from rtseg.errors import ConfigError, SourceError
from rtseg.sources import open_source
from rtseg.sources.screen import parse_region


@pytest.fixture(scope="module")
def display(tmp_path_factory):
    """An X server without a screen, white all over."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is absent")
    log = tmp_path_factory.mktemp("x") / "display"
    with log.open("w") as out:
        words = ["Xvfb", "-displayfd", "1", "-screen", "0", "400x300x24", "-wr", "-noreset", "-nolisten", "tcp"]
        server = subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not log.read_text().strip():
        assert time.monotonic() < deadline, "Xvfb did not start"
        time.sleep(0.05)
    yield f":{log.read_text().strip()}"
    server.terminate()
    server.wait()


def test_a_region_is_grabbed_at_its_rate_with_rising_times(display):
    with open_source("screen:160x120+40+30", display=display, fps=30, cursor=False) as source:
        assert source.info.live
        assert source.info.kind == "screen"
        assert source.info.size_wh == (160, 120)
        frames = list(itertools.islice(source.frames(), 6))
    times = [frame.pts_seconds for frame in frames]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert frames[-1].rgb.shape == (120, 160, 3)
    assert frames[-1].rgb.min() == 255
    assert not frames[-1].rgb.flags.writeable


GRAB = """
import {first}
import cv2, av
from rtseg.sources.screen import ScreenSource
with ScreenSource("64x48+0+0", display={display!r}) as source:
    print(next(iter(source.frames())).size_wh)
"""


def grabbed(first: str, display: str) -> subprocess.CompletedProcess[str]:
    script = GRAB.format(first=first, display=display)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_opencv_before_pyav_is_refused_before_it_can_crash(display):
    assert grabbed("av", display).stdout == "(64, 48)\n"
    refused = grabbed("cv2", display)
    assert refused.returncode == 1  # not a signal
    assert "expected PyAV first" in refused.stderr.splitlines()[-1]


def test_the_command_loads_them_in_order(display, tmp_path):
    words = ["run", "screen:64x48+0+0", "-s", f"display={display}", "-m", "person", "--backend", "fake", "-o", "null"]
    done = subprocess.run(
        [sys.executable, "-m", "rtseg", *words, "--max-frames", "3"],
        capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_without_a_region_all_of_it_is_grabbed(display, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    with open_source("screen:?fps=20") as source:
        assert source.info.size_wh == (400, 300)
        assert float(source.info.frame_rate) == 20


def test_a_duration_ends_it(display):
    with open_source("screen:64x48+0+0", display=display, duration_seconds=0.2) as source:
        frames = list(source.frames())
    assert frames[-1].pts_seconds < 0.2


def test_a_region_that_is_not_on_the_screen_is_one_line(display):
    with pytest.raises(SourceError, match=r"region 160x120\+390\+290"):
        open_source("screen:160x120+390+290", display=display).open()


def test_no_display_and_one_that_does_not_answer_are_told_apart(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SourceError, match="no display"):
        open_source("screen:").open()
    with pytest.raises(SourceError, match="a display that answers"):
        open_source("screen:", display=":4711").open()


def test_another_system_is_told_plainly(monkeypatch):
    monkeypatch.setattr("rtseg.sources.screen.sys.platform", "win32")
    with pytest.raises(SourceError, match="Linux with X11"):
        open_source("screen:").open()


@pytest.mark.parametrize("text", ["1x1", "wide", "100x100-5-5", "100x100+5", "0x0+0+0"])
def test_a_region_that_cannot_be_right_is_refused(text):
    with pytest.raises(ConfigError, match=r"WxH\+X\+Y"):
        open_source(f"screen:{text}")


def test_regions_are_read():
    assert parse_region("") is None
    assert tuple(parse_region("640x360+10+20")) == (640, 360, 10, 20)
    assert str(parse_region("640x360")) == "640x360+0+0"
