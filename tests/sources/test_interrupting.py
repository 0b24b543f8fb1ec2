"""A call into FFmpeg that hangs ends when asked to; without that it hangs, which the control shows."""

from __future__ import annotations

import threading
import time

import av

from benchmarks.live.senders import silent_server
from rtseg.sources.interrupting import INSTALLED, Interrupt

TIMEOUT_SECONDS = 3.0


def open_in_thread(port, interrupt=None):
    """Open a server that never answers, in a thread; return the thread and what came of it."""
    ended: list[tuple[float, Exception]] = []

    def body():
        started = time.monotonic()
        try:
            av.open(f"http://127.0.0.1:{port}/x", timeout=(TIMEOUT_SECONDS, TIMEOUT_SECONDS))
        except (av.FFmpegError, OSError) as error:
            ended.append((time.monotonic() - started, error))

    def covered():
        with interrupt.covers_this_thread():
            body()

    thread = threading.Thread(target=body if interrupt is None else covered)
    thread.start()
    return thread, ended


def test_a_hanging_call_ends_within_half_a_second_of_the_flag():
    assert INSTALLED
    interrupt = Interrupt()
    with silent_server() as port:
        thread, ended = open_in_thread(port, interrupt)
        bystander, waited = open_in_thread(port)
        time.sleep(0.3)
        assert not ended
        interrupt.set()
        thread.join(5)
        bystander.join(10)
    assert ended[0][0] < 1.5
    assert waited[0][0] >= 0.95 * TIMEOUT_SECONDS  # the control: a call under no flag waits for its own time-out


def test_a_flag_that_was_set_before_ends_the_call_at_once():
    interrupt = Interrupt()
    interrupt.set()
    with silent_server() as port:
        thread, ended = open_in_thread(port, interrupt)
        thread.join(5)
    assert ended[0][0] < 1.5


def test_the_main_thread_keeps_the_real_clock():
    from rtseg.sources import interrupting

    interrupt = Interrupt()
    interrupt.set()
    with interrupt.covers_this_thread():
        assert interrupting._clock.monotonic is time.monotonic
        assert abs(interrupting._clock.monotonic() - time.monotonic()) < 1


def test_a_thread_gets_its_real_clock_back():
    from rtseg.sources import interrupting

    seen = []

    def body():
        with Interrupt().covers_this_thread():
            seen.append(interrupting._clock.monotonic is time.monotonic)
        seen.append(interrupting._clock.monotonic is time.monotonic)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(5)
    assert seen == [False, True]


def test_waiting_ends_with_the_flag():
    interrupt = Interrupt()
    threading.Timer(0.1, interrupt.set).start()
    started = time.monotonic()
    assert interrupt.wait(10)
    assert time.monotonic() - started < 5
    interrupt.clear()
    assert not interrupt.wait(0.01)
