"""One at a time, between threads and between processes, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from rtseg.engine_files.lock import locked, locked_if_free

HOLD = "import sys, time, pathlib; from rtseg.engine_files.lock import locked\nwith locked(pathlib.Path(sys.argv[1])):"


def test_the_file_is_gone_afterwards(tmp_path):
    path = tmp_path / "x.lock"
    with locked(path):
        assert path.is_file()
        with locked_if_free(path) as free:
            assert not free
        assert path.is_file()
    assert list(tmp_path.iterdir()) == []
    with locked_if_free(path) as free:
        assert free
    assert list(tmp_path.iterdir()) == []


def test_threads_wait_and_say_so_once(tmp_path):
    path, waited, order = tmp_path / "x.lock", [], []

    def second():
        with locked(path, on_wait=lambda: waited.append(1)):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        while not waited:
            thread.join(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert waited == [1]


def counted(tmp_path, script, processes=3, rounds=15):
    """Let processes count together in a file; return the number that is in it afterwards."""
    (tmp_path / "count").write_text("0")
    words = [sys.executable, "-c", script, str(tmp_path / "x.lock"), str(tmp_path / "count")]
    for process in [subprocess.Popen(words) for _ in range(processes)]:
        assert process.wait(60) == 0
    return int((tmp_path / "count").read_text())


SCRIPT = """
import sys, time, pathlib
from contextlib import nullcontext
from rtseg.engine_files.lock import locked
lock, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
for _ in range(15):
    with {guard}:
        before = int(count.read_text() or 0); time.sleep(0.002); count.write_text(str(before + 1))
    time.sleep(0.001)
"""


def test_processes_never_hold_it_together(tmp_path):
    assert counted(tmp_path, SCRIPT.format(guard="locked(lock)")) == 45


def test_without_the_lock_counts_get_lost(tmp_path):
    """Positive control: the count above can go wrong."""
    assert counted(tmp_path, SCRIPT.format(guard="nullcontext()")) < 45


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_killed_holder_lets_go(tmp_path):
    path = tmp_path / "x.lock"
    code = f"{HOLD}\n    print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with locked_if_free(path) as free:
        assert not free
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert path.is_file()
    with locked_if_free(path) as free:
        assert free
    assert not path.exists()
