"""Ctrl-C and a polite kill while training: the step is finished, the state written, and then the run ends."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class StopSignals:
    """Notes SIGINT and SIGTERM instead of raising in the middle of a step; a context manager.

    A second SIGINT raises KeyboardInterrupt at once. Outside the main thread, where Python takes no signals, and where
    whoever started the process wants a signal ignored, nothing changes.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came, None so far."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number

    def keep_going(self) -> bool:
        """Return True while no signal has come."""
        return self.number is None
