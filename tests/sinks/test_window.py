"""The window: clear words without a display; with Xvfb and xdotool, a real window and real keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from rtseg.errors import SinkError
from rtseg.sinks.display import display_available
from rtseg.sinks.window import WindowSink, _on_checker

needs_xvfb = pytest.mark.skipif(
    not (shutil.which("xvfb-run") and shutil.which("xdotool")), reason="Xvfb or xdotool is absent"
)


@pytest.fixture
def no_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    display_available.cache_clear()
    yield
    display_available.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is Linux's")
def test_without_a_display_there_is_one_clear_line(no_display, tools):
    assert display_available() == (False, "neither DISPLAY nor WAYLAND_DISPLAY is set")
    sink = WindowSink()
    with pytest.raises(SinkError, match=r"no display .neither DISPLAY.*-o") as caught:
        sink.open(tools.stream_format())
    assert "\n" not in str(caught.value)
    sink.abort()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is Linux's")
def test_a_display_that_does_not_answer_costs_a_child_not_the_process(no_display, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":9876")
    possible, reason = display_available()
    assert not possible
    assert reason
    monkeypatch.delenv("DISPLAY")
    assert display_available() == (possible, reason)  # kept, not probed again


def test_transparent_pictures_stand_on_a_chequered_ground():
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:16] = (10, 200, 30, 255)
    shown = _on_checker(rgba)
    assert (shown[:16] == (10, 200, 30)).all()
    assert set(np.unique(shown[16:])) == {150, 200}


SESSION = textwrap.dedent(
    """
    import subprocess, sys, threading, time
    from fractions import Fraction
    import numpy as np
    from rtseg.sinks import open_sink
    from rtseg.sinks.base import StreamFormat
    from rtseg.types import Frame

    stream = StreamFormat("clip.mp4", (320, 180), Fraction(1, 30), Fraction(30), ("a",), ((0, 0, 0),))
    sink = open_sink("window")
    sink.open(stream)
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[..., 0] = 255
    paused_seconds = []

    def press():
        for key in sys.argv[1:]:
            time.sleep(0.35)
            if key == "interrupt":
                sink.interrupt()
            else:
                subprocess.run(["xdotool", "search", "--name", "rtseg: clip", "windowfocus", "--sync", "key", key])

    thread = threading.Thread(target=press)
    commands, deadline = [], time.monotonic() + 20
    for index in range(1000):
        if index == 5:
            thread.start()
        started = time.monotonic()
        sink.write(Frame(picture, index, index, Fraction(1, 30), 0, "clip.mp4"), None)
        if time.monotonic() - started > 0.2:
            paused_seconds.append(time.monotonic() - started)
        commands += sink.take_commands()
        if sink.wants_stop or time.monotonic() > deadline or (index > 5 and not thread.is_alive()):
            break
        time.sleep(0.01)
    thread.join()
    sink.close()
    sink.close()
    print(commands, sink.wants_stop, len(paused_seconds), [str(path) for path in sink.outputs])
    """
)


def session(folder, *keys):
    command = ["xvfb-run", "-a", sys.executable, "-c", SESSION, *keys]
    root = os.getcwd()
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@needs_xvfb
def test_keys_give_commands_a_snapshot_and_the_end(tmp_path):
    import cv2

    printed = session(tmp_path, "e", "m", "s", "q")
    assert printed.startswith("['effect', 'model', 'snapshot'] True 0 ['clip-")
    (picture,) = tmp_path.glob("*.png")
    assert cv2.imread(str(picture))[90, 160].tolist() == [0, 0, 255]


@needs_xvfb
@pytest.mark.parametrize("last", ["space", "q", "interrupt"])
def test_a_pause_holds_the_frames_until_space_quit_or_interrupt(tmp_path, last):
    printed = session(tmp_path, "space", last)
    expected = {
        "space": "['pause', 'pause'] False 1",
        "q": "['pause'] True 1",
        "interrupt": "['pause'] False 1",
    }
    assert printed.startswith(expected[last])


@needs_xvfb
def test_escape_quits(tmp_path):
    assert session(tmp_path, "Escape").startswith("[] True")
