"""The `rtseg` command: one file a verb, no logic; errors become one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 for a failure, 2 for a usage error, 130 after Ctrl-C."""
    from rtseg.cli.app import invoke
    from rtseg.errors import ConfigError, RtsegError

    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return invoke(words)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FAILURE
    except RtsegError as error:
        if "--debug" in words:
            raise
        sys.stderr.write(f"rtseg: {error}\n")
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILURE


def entry() -> None:
    """Entry point of the installed command; a polite kill ends a run as Ctrl-C does, with what there is kept."""
    # NumPy's linear algebra starts a thread for every core and lets it spin for a tenth of a second: 0.13 s of CPU that
    # the start of a run needs for itself. Nothing here multiplies large matrices with it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    ending = Ending()
    signal.signal(signal.SIGTERM, ending.ask)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started this wants it ignored
        signal.signal(signal.SIGINT, ending.ask)
    try:
        code = main()
    except SystemExit as ended:
        if not ending.asked:
            raise
        code = ended.code if isinstance(ended.code, int) else EXIT_FAILURE
    if ending.asked:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> None:
    """End at once, after everything has been put in place: a compiler's own threads may still call into Python.

    TensorRT reports its last steps after a stopped build has returned. If Python is being taken down by then, the
    report ends the process with an abort in place of the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


class Ending:
    """Ends the command at the first signal, and lets nothing disturb it while it puts files in place."""

    def __init__(self, *, patience_seconds: float = 3.0) -> None:
        self._patience_seconds = patience_seconds
        self._asked_at: float | None = None

    @property
    def asked(self) -> bool:
        """True once a signal has come."""
        return self._asked_at is not None

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal: end; more of them within a few seconds (a key held down) change nothing, later ones end it."""
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at < self._patience_seconds:
            return
        self._asked_at = now
        if number == signal.SIGTERM:
            sys.exit(EXIT_TERMINATED)
        raise KeyboardInterrupt
