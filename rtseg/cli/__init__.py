"""The `rtseg` command: one file a verb, no logic; errors become one line and an exit code."""

from __future__ import annotations

import signal
import sys
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
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(EXIT_TERMINATED)
