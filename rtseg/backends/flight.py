"""A picture on its way through a backend."""

from __future__ import annotations

import threading
import time

from rtseg.backends.base import NetworkOutput, Pending
from rtseg.errors import InferenceError


class Flight:
    """One picture inside a backend; it lands once, whoever waits for it first, and keeps output or error.

    Threading: every method may be called from any thread.
    """

    def __init__(self, pending: Pending) -> None:
        self._pending = pending
        self._lock = threading.Lock()
        self._output: NetworkOutput | None = None
        self._error: InferenceError | None = None
        self._started_ns = time.perf_counter_ns()
        self.infer_ns = 0
        """How long the engine worked, or, where it does not say, how long it took to land."""
        self.landed = False
        """True once output or error is here."""

    def land(self) -> None:
        """Wait for the engine; does nothing the second time."""
        with self._lock:
            if self.landed:
                return
            try:
                self._output = self._pending.result()
            except InferenceError as error:
                self._error = error
            finally:
                self.landed = True
                self.infer_ns = time.perf_counter_ns() - self._started_ns
            if self._output is not None and self._output.infer_ns is not None:
                self.infer_ns = self._output.infer_ns

    def output(self) -> NetworkOutput:
        """Wait for the engine and return its output, or raise its error."""
        self.land()
        if self._error is not None:
            raise self._error
        if self._output is None:
            raise InferenceError("segmenter: got a result after close(); expected it before. Collect before closing.")
        return self._output
