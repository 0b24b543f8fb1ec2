"""`rtseg serve` as a process: its one line, its end, and what it refuses."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtseg.cli import main

pytest.importorskip("aiortc", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

SCENE = "scene=synthetic:desk?size=96x64&fps=10"


@contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "rtseg", "serve", "--port", "0", "--backend", "fake", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None, process.stderr.read()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_two_seconds_while_somebody_watches(number, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving(SCENE) as (process, address):
        with urllib.request.urlopen(f"{address}stream/scene.mjpg", timeout=30) as answer:
            assert answer.read(2000).startswith(b"--rtseg-frame")
            assert len(list(Path(tmp_path).glob("rtseg-serve-*"))) == 1
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(20) == 0
            assert time.monotonic() - began < 2.0
    assert list(Path(tmp_path).glob("rtseg-serve-*")) == []


def test_a_port_in_use_is_one_clear_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert f"--port: got {port}, which is in use" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--host", "192.0.2.77", "--token", "long-enough"], "expected an address of this machine"),
        (["--host", "no such host", "--token", "long-enough"], "expected an address of this machine"),
        (["--token", "short"], "expected 8 to 200"),
        (["--token", "with space and; more"], "letters and digits"),
        (["-m", "nobody", "--port", "0"], "got 'nobody'"),
        (["-e", "glitter", "--port", "0"], "got 'glitter'"),
        (["nothing-there.mp4", "--port", "0"], "no such file"),
        (["-s", "size", "--port", "0"], "KEY=VALUE"),
    ],
)
def test_what_cannot_be_right_is_one_line(capsys, words, expected):
    before = threading.active_count()
    assert main(["serve", *words]) in (1, 2)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert expected in line
    assert threading.active_count() == before


def test_another_address_than_loopback_gets_a_token_by_itself():
    with serving("--host", "0.0.0.0") as (_, address):
        found = re.fullmatch(r"http://0\.0\.0\.0:(\d+)/\?token=([\w-]{16,})", address)
        assert found is not None
        own = f"http://127.0.0.1:{found[1]}"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{own}/api/info", timeout=10)
        with urllib.request.urlopen(f"{own}/api/info?token={found[2]}", timeout=10) as answer:
            assert answer.status == 200
