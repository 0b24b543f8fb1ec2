"""open_sink: which specification is which sink, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rtseg.errors import ConfigError
from rtseg.sinks import open_sink
from rtseg.sinks.null import NullSink


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("seen.mp4", "file"),
        (Path("seen.webm"), "file"),
        ("masks.mp4", "file"),
        ("MASKS.MOV", "file"),
        ("masks:out", "masks"),
        ("frames:out", "frames"),
        ("seen_%05d.png", "frames"),
        ("segments:out?seconds=5&keep=3", "segments"),
        ("rtmp://live.example/app/key", "rtmp"),
        ("rtmps://live.example/app/key", "rtmps"),
        ("rtsp://live.example/cam", "rtsp"),
        ("rtsps://live.example/cam", "rtsps"),
        ("udp://239.0.0.1:1234?ttl=2", "udp"),
        ("window", "window"),
        ("null", "null"),
    ],
)
def test_specifications(spec, name):
    assert open_sink(spec).name == name


def test_a_sink_is_returned_as_it_is():
    sink = NullSink()
    assert open_sink(sink) is sink


@pytest.mark.parametrize("spec", ["https://live.example/x.mp4", "whip://live.example/x", "tcp://u:pass@live.example:1"])
def test_a_url_that_nothing_is_sent_to_says_so_in_one_line(spec):
    with pytest.raises(ConfigError, match="nothing is sent to") as caught:
        open_sink(spec)
    assert "live.example" not in str(caught.value)


@pytest.mark.parametrize("spec", ["", "masks:", "frames:", "segments:", "virtualcam:", "out.avi", "out"])
def test_nonsense_is_refused_with_what_fits(spec):
    with pytest.raises(ConfigError, match="expected"):
        open_sink(spec)


def test_importing_the_room_imports_no_vendor():
    code = "import sys, rtseg.sinks; print([m for m in ('av', 'cv2', 'openvino', 'torch') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_null_sink_counts(tools):
    sink = NullSink()
    tools.write_all(sink, tools.stream_format(), [0, 1, 2])
    assert sink.frame_count == 3
    assert sink.outputs == ()
