"""What TensorRT has to say, kept instead of printed.

Note [One log a process]
    TensorRT keeps the first logger that a process gives it, for good, and complains about every other. So there is one
    for each flavour, and whoever wants to know what was said while something was done asks it to record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from rtseg.tensorrt_flavour import Flavour


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
