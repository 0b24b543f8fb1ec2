"""Several streams at once in one process, the first of them in the caller's thread.

The pipeline gives each stream its threads; what is here only starts several streams side by side, so that a window can
be measured over all of them. The caller's thread takes the first, because a window on a screen must be served there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def run_together(bodies: Sequence[Callable[[], object]], *, end: Callable[[], None]) -> None:
    """Run all bodies at once and return when the last has ended.

    Args:
        bodies: what to run; each ends by itself soon after `end` was called.
        end: called at the first failure or interruption.

    Raises:
        BaseException: the first that a body raised, once all have ended.
    """
    failures: list[BaseException] = []

    def guarded(body: Callable[[], object]) -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001  raised below, in the caller's thread
            failures.append(error)
            end()

    threads = [
        threading.Thread(target=guarded, args=(body,), name=f"rtseg-bench-{index}", daemon=True)
        for index, body in enumerate(bodies[1:], start=1)
    ]
    for thread in threads:
        thread.start()
    guarded(bodies[0])
    for thread in threads:
        _join(thread, failures, end)
    if failures:
        raise failures[0]


def _join(thread: threading.Thread, failures: list[BaseException], end: Callable[[], None]) -> None:
    """Wait for a thread; an interruption meanwhile is kept and ends the others too."""
    while thread.is_alive():
        try:
            thread.join(0.2)
        except KeyboardInterrupt as interruption:
            failures.insert(0, interruption)
            end()
