"""`rtseg run` on live sources: several at once, a mosaic, failures told apart, secrets kept, Ctrl-C while it hangs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time

import av
import pytest

import rtseg
from benchmarks.live.senders import UdpSender, WebServer, free_port
from rtseg.api import source_name
from rtseg.cli import main
from rtseg.errors import ConfigError, SourcesFailed
from tests.pipeline.parts import CountingSource, our_threads

FAKE = ["-m", "person", "--backend", "fake", "--no-smoothing", "--no-edges"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert our_threads() == []


@pytest.fixture(scope="module")
def web():
    with WebServer(fps=40, size_wh=(96, 64)) as server:
        yield server


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_live_sources_run_at_once_and_the_one_that_fails_ends_alone(web, tmp_path, capsys):
    stats = tmp_path / "s.json"
    words = [web.url("cam.mjpg", "joe:secret"), web.url("404", "joe:secret"), "synthetic:desk?size=64x48&seconds=0.3"]
    out = f"{tmp_path}/{{name}}.mkv"
    assert main(["run", *words, "-o", out, "--max-frames", "12", "--stats", str(stats), *FAKE]) == 1
    shown = capsys.readouterr()
    assert "404" in shown.err
    assert "Traceback" not in shown.err
    everything = shown.out + shown.err + stats.read_text() + " ".join(path.name for path in tmp_path.iterdir())
    assert "secret" not in everything
    assert "joe" not in everything
    report = json.loads(stats.read_text())
    assert [source["frames"]["decoded"] for source in report["sources"]] == [12, 0, 9]
    assert len([path for path in tmp_path.iterdir() if path.suffix == ".mkv"]) == 2


def test_a_mosaic_of_several_sources_is_one_video(web, tmp_path):
    out = tmp_path / "all.mkv"
    words = [web.url("cam.mjpg"), "synthetic:desk?size=64x48&live=yes&seconds=1"]
    assert main(["run", *words, "--mosaic", "-o", str(out), "--max-frames", "25", "-e", "none", *FAKE]) == 0
    frames = frames_of(out)
    assert frames[0].shape == (720, 1280, 3)
    means = [[frame[200:400, x : x + 200].mean() for x in (200, 840)] for frame in frames]
    assert max(left for left, _ in means) > 40  # not only the ground of a tile without a picture
    assert max(right for _, right in means) > 40
    assert any(abs(left - right) > 3 for left, right in means)  # two different pictures, side by side
    assert [path.name for path in tmp_path.iterdir()] == ["all.mkv"]


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (["0", "1", "-o", "window"], "--mosaic"),
        (["0", "1", "--mosaic", "-o", "masks:x"], "a video, a window or a stream"),
        (["rtsp://h/x", "--reconnect-max", "-1", "-o", "null"], "reconnect-max"),
        (["rtsp://h/x", "--staleness", "1e9", "-o", "null"], "staleness"),
        (["rtsp://h/x", "-s", "ffmpeg.", "-o", "null"], "KEY=VALUE"),
        (["rtsp://u:secret@h/x", "-s", "colour=1", "-o", "null"], "unknown option colour"),
    ],
)
def test_what_cannot_be_right_is_one_line(words, telling, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if words[:2] == ["0", "1"]:
        words = ["synthetic:desk?live=yes", "synthetic:desk?live=yes&seed=2", "--together", *words[2:]]
    assert main(["run", *words, *FAKE]) == 2
    shown = capsys.readouterr()
    assert telling in shown.err
    assert "secret" not in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_gets_through_while_a_connect_hangs(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        url = f"rtsp://joe:secret@127.0.0.1:{server.getsockname()[1]}/x"
        words = [sys.executable, "-m", "rtseg", "run", url, "-o", "null", "-s", "open_timeout=60", *FAKE]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as child:
            with server.accept()[0]:  # it is connected, and gets no answer
                time.sleep(0.3)
                started = time.monotonic()
                child.send_signal(signal.SIGINT)
                _, said = child.communicate(timeout=30)
                seconds = time.monotonic() - started
    assert seconds < 2.5
    assert child.returncode == 130
    assert "Traceback" not in said
    assert "secret" not in said


def test_the_python_function_does_the_same(web, tmp_path):
    port = free_port()
    with UdpSender(port, size_wh=(96, 64), fps=30, gop=5):
        with rtseg.load("person", backend="fake", smoothing=False, edges=False) as model:
            sources = [f"udp://127.0.0.1:{port}", web.url("cam.mjpg")]
            stats = rtseg.run(*sources, model=model, out=f"{tmp_path}/{{name}}.mkv", max_frames=10)
            assert [run.frames.decoded for run in stats.sources] == [10, 10]
            with pytest.raises(SourcesFailed) as caught:
                rtseg.run(CountingSource(5, fail_at=1), CountingSource(8), model=model, together=True)
            assert [run.frames.written for run in caught.value.stats.sources][1] == 8
            seen = []
            for frame, result in rtseg.stream(sources[0], model=model, max_frames=4):
                seen.append(frame.frame_index)
                assert result.labels.shape == (64, 96)
            assert seen == sorted(seen)


def test_names_of_outputs_hold_no_secret():
    assert source_name("rtsp://joe:secret@10.0.0.7:554/cam?token=secret") == "10.0.0.7-554-cam"
    assert source_name("rtmp://host/live/secret") == "host-live"


def test_one_by_one_can_be_asked_for():
    with pytest.raises(ConfigError, match="two outputs"):
        rtseg.run("synthetic:desk?frames=2", "synthetic:desk?frames=3", out="{name}.mkv", backend="fake")
    with rtseg.load("person", backend="fake") as model:
        stats = rtseg.run(
            CountingSource(4, live=True), CountingSource(4, live=True), model=model, together=False, policy="every"
        )
    assert [run.frames.written for run in stats.sources] == [4, 4]
