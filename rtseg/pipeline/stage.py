"""Threads for passive stages: one wrapper round every thread body, one record of the first failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rtseg.errors import RtsegError, StageError
from rtseg.pipeline.channel import ChannelClosed

JOIN_SECONDS: Final = 2.0
"""How long `stop()` waits for a thread."""


class Failure:
    """The first error of a run, with stage and frame index; later ones are consequences and are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def record(self, error: BaseException, *, stage: str, frame_index: int | None) -> None:
        """Keep the error if it is the first."""
        with self._lock:
            if self._error is None:
                self._error = _with_place(error, stage=stage, frame_index=frame_index)

    def __bool__(self) -> bool:
        return self._error is not None

    def raise_first(self) -> None:
        """Raise the recorded error, if there is one."""
        if self._error is not None:
            raise self._error


def _with_place(error: BaseException, *, stage: str, frame_index: int | None) -> BaseException:
    """Return the error with stage and frame index; one that is not rtseg's own is wrapped, its cause chained."""
    if not isinstance(error, Exception):
        return error
    if not isinstance(error, RtsegError):
        wrapped = StageError(f"{stage} failed: got {type(error).__name__}: {error}. Run with --debug for the trace.")
        wrapped.__cause__ = error
        error = wrapped
    if error.stage is None:
        error.stage, error.frame_index = stage, frame_index
    return error


class Place:
    """Where a thread is at the moment: the stage and the frame that an error would belong to."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.frame_index: int | None = None

    @contextmanager
    def at(self, stage: str, frame_index: int | None) -> Iterator[None]:
        """Say that what follows is that stage and frame; on an error the place stays, to be read."""
        before = (self.stage, self.frame_index)
        self.stage, self.frame_index = stage, frame_index
        yield
        self.stage, self.frame_index = before


class Worker:
    """A thread round a stage's body.

    Whatever the body raises is recorded as the run's failure and `on_end(failed)` is called in every case, so that the
    channels on both sides can be closed.
    """

    def __init__(
        self, body: Callable[[Place], None], *, stage: str, failure: Failure, on_end: Callable[[bool], None]
    ) -> None:
        self._body = body
        self._stage = stage
        self._failure = failure
        self._on_end = on_end
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"rtseg-{stage}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_seconds: float = JOIN_SECONDS) -> bool:
        """Wait for the thread; return False when it is still at work after that time.

        Its end is told by an event: up to Python 3.12, a `Thread.join` that a signal interrupts takes the thread for
        ended although it is not.
        """
        if self._thread.ident is None:
            return True
        if not self._ended.wait(timeout_seconds):
            return False
        self._thread.join(timeout_seconds)
        return True

    def _run(self) -> None:
        place = Place(self._stage)
        failed = True
        try:
            self._body(place)
            failed = False
        except ChannelClosed:
            pass  # the other side has gone and has said why
        except BaseException as error:  # noqa: BLE001  nothing may escape a thread unseen; run() raises it
            self._failure.record(error, stage=place.stage, frame_index=place.frame_index)
        finally:
            try:
                self._on_end(failed)
            finally:
                self._ended.set()


class Stopwatch:
    """Nanoseconds since the last lap."""

    def __init__(self) -> None:
        self._last_ns = time.monotonic_ns()

    def lap(self) -> int:
        """Return the time since the last call (or since it was made)."""
        now_ns = time.monotonic_ns()
        lap_ns = now_ns - self._last_ns
        self._last_ns = now_ns
        return lap_ns
