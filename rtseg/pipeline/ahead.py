"""Work that is begun before its result is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

Result = TypeVar("Result")


class Ahead(Generic[Result]):
    """Calls a function in a thread of its own; what it returned or raised is had from `result()`.

    A context manager: no thread outlives it, and a result that nobody took is given to `unwanted`, so that nothing
    stays open when something else fails meanwhile.

    Threading: `result()` belongs to one thread.
    """

    def __init__(
        self, work: Callable[[], Result], *, name: str, unwanted: Callable[[Result], None] | None = None
    ) -> None:
        """Begin at once.

        Args:
            work: the function.
            name: of the thread, behind "rtseg-".
            unwanted: releases a result that was never taken.
        """
        self._work = work
        self._unwanted = unwanted
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"rtseg-{name}", daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """Wait for the function and return what it returned, or raise what it raised; once."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results.pop()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001  nothing may escape a thread unseen; result() raises it
            self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join()
        while self._results:
            result = self._results.pop()
            if self._unwanted is not None:
                self._unwanted(result)
