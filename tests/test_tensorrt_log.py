"""Work that is done apart: results and failures come back, and a signal waits for the work to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from rtseg.tensorrt_log import apart

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


class Ended(BaseException):
    """What the test's signal asks for."""


@pytest.fixture
def signalled():
    """Send this thread a signal in a moment; its handler raises."""

    def ended(number, frame):
        raise Ended

    before = signal.signal(signal.SIGUSR1, ended)
    main = threading.main_thread().ident
    timer = threading.Timer(0.15, signal.pthread_kill, (main, signal.SIGUSR1))
    timer.start()
    yield
    timer.join()
    signal.signal(signal.SIGUSR1, before)


def test_what_the_work_returns_or_raises_comes_back():
    assert apart(lambda: threading.current_thread().name) == "rtseg-tensorrt"
    with pytest.raises(ValueError, match="planted"):
        apart(lambda: int("planted"))


@posix
def test_what_a_signal_asks_for_is_raised_once_the_work_has_ended(signalled):
    stop, trace = threading.Event(), []

    def work():
        assert stop.wait(10)
        time.sleep(0.2)  # the compiler comes to its next step
        trace.append(threading.current_thread() is not threading.main_thread())

    with pytest.raises(Ended):
        apart(work, stop=stop)
    assert trace == [True]


@posix
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Thread.join was mended in Python 3.13")
def test_control_an_interrupted_join_takes_a_thread_that_runs_for_ended(signalled):
    go, over = threading.Event(), threading.Event()

    def work():
        go.wait(10)
        over.set()

    thread = threading.Thread(target=work)
    thread.start()
    with pytest.raises(Ended):
        thread.join(10)
    thread.join(10)
    still_running = not over.is_set()
    go.set()
    assert over.wait(10)
    assert still_running
