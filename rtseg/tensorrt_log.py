"""What TensorRT has to say, kept instead of printed.

Note [One log a process]
    TensorRT keeps the first logger that a process gives it, for good, and complains about every other. So there is one
    for each flavour, and whoever wants to know what was said while something was done asks it to record.

Note [Signals and callbacks]
    The log and the progress monitor are Python that TensorRT calls from C++. Python raises what a signal asks for in
    the main thread, wherever that is; in the middle of such a callback the exception has C++ above it, which swallows
    it (the signal is lost and the build goes on) or ends the process with an abort. So what makes TensorRT talk for
    long is done `apart`: in a thread of its own, where no signal ever arrives, while the caller's thread waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, TypeVar

from rtseg.tensorrt_flavour import Flavour

Made = TypeVar("Made")

_LOOK_SECONDS: Final = 0.05
"""How long a waiting thread may be deaf to signals on some systems."""


class Log:
    """The log of one flavour. Threading: recordings may overlap; each gets what any thread says meanwhile."""

    def __init__(self, flavour: Flavour) -> None:
        trt = flavour.module
        recordings: list[list[str]] = []

        class Recorder(trt.ILogger):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity <= trt.ILogger.Severity.WARNING:
                    for recording in tuple(recordings):
                        recording.append(message)

        self.logger: Any = Recorder()
        """To give to TensorRT."""
        self._recordings = recordings

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """Give the list that warnings and errors go to from now on."""
        said: list[str] = []
        self._recordings.append(said)
        try:
            yield said
        finally:
            self._recordings[:] = [recording for recording in self._recordings if recording is not said]

    @staticmethod
    def telling(said: Sequence[str]) -> str:
        """Return the last message in one line, which is the one that tells what went wrong."""
        return " ".join(said[-1].split())[:400] if said else "nothing"


@cache
def log_of(flavour: Flavour) -> Log:
    """Return the log of a flavour, the same every time. See Note [One log a process]."""
    return Log(flavour)


def apart(work: Callable[[], Made], *, stop: threading.Event | None = None) -> Made:
    """Return what `work` returns, done in a thread of its own. See Note [Signals and callbacks].

    What arrives in the caller's thread meanwhile sets `stop` and is raised when the work has ended, so that nothing of
    TensorRT runs by then.

    Raises:
        BaseException: what `work` raised, or what arrived in the caller's thread.
    """
    results: list[Made] = []
    failures: list[BaseException] = []
    # Not Thread.join: when a signal's exception interrupts that, Python up to 3.12 takes the thread for ended, and the
    # next join returns at once. The work would go on, call into a Python that is being taken down, and abort.
    ended = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="rtseg-tensorrt").start()
    try:
        while not ended.wait(_LOOK_SECONDS):
            pass
    except BaseException:
        if stop is not None:
            stop.set()
        ended.wait()
        raise
    if failures:
        raise failures[0]
    return results[0]
