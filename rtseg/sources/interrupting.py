"""Ending a call into FFmpeg from another thread: a connect that hangs, a read that waits.

Note [Interrupting FFmpeg]
    FFmpeg asks a callback, at least ten times a second, whether a blocking call shall go on. PyAV's callback compares
    `time.monotonic()` with the time-out of the call, and looks `time` up in its module each time. So the module gets a
    clock in which a thread that works under an `Interrupt` that was set sees the time run out: each reading is later
    than the one before by more than any time-out. All other threads see the real time, and the main thread always
    does (a Python function in that callback would swallow Ctrl-C there). Where a later PyAV no longer works like this,
    a call ends at its time-out instead, and a pipeline leaves the thread behind until then; a test tells.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from av.container import core as _core

_LEAP_SECONDS: Final = 1e6
"""More than any time-out."""


class _ThreadClock(threading.local):
    """Stands for the module `time` inside PyAV; `monotonic` is each thread's own."""

    def __init__(self) -> None:
        self.monotonic = time.monotonic


_clock: Final = _ThreadClock()


def _install() -> bool:
    if not hasattr(_core, "time"):
        return False
    setattr(_core, "time", _clock)  # noqa: B010  the attribute is unknown to the type checker
    return True


INSTALLED: Final = _install()
"""False: this PyAV has no such place, and calls end at their time-outs only."""


class Interrupt:
    """A flag that ends the FFmpeg calls of the threads that work under it, within a tenth of a second.

    Threading: every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._set = threading.Event()

    def set(self) -> None:
        """End what runs now and what is called from now on."""
        self._set.set()

    def clear(self) -> None:
        """Let calls run again."""
        self._set.clear()

    @property
    def is_set(self) -> bool:
        """True from `set` to `clear`."""
        return self._set.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        """Sleep, unless the flag is or gets set; return whether it is."""
        return self._set.wait(timeout_seconds)

    @contextmanager
    def covers_this_thread(self) -> Iterator[None]:
        """Work under this flag; calls need a time-out, without one PyAV asks nobody. No effect in the main thread."""
        if threading.current_thread() is threading.main_thread():
            yield
            return
        before, _clock.monotonic = _clock.monotonic, self._running_out()
        try:
            yield
        finally:
            _clock.monotonic = before

    def _running_out(self) -> Callable[[], float]:
        """Return a clock that runs as the real one does until the flag is set, and then leaps at every look."""
        looks = 0

        def monotonic() -> float:
            nonlocal looks
            if not self._set.is_set():
                return time.monotonic()
            looks += 1
            return time.monotonic() + looks * _LEAP_SECONDS

        return monotonic
