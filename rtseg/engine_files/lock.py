"""A lock between processes: whoever dies lets go of it, however it dies.

Note [Lock files go away]
    A lock is the system's lock on an open file. The file itself is removed by whoever lets go of the lock, and swept by
    the next visitor where that one was killed. So a lock taken on a file that is no longer the one of that name locks
    nothing, and is taken again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

_LOOK_AGAIN_SECONDS: Final = 0.1

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _take(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of that name; waits while another process or thread holds it.

    Args:
        path: of the lock file; made and removed here.
        on_wait: called once, where there is something to wait for.
    """
    file = _try(path)
    if file is None and on_wait is not None:
        on_wait()
    while file is None:
        time.sleep(_LOOK_AGAIN_SECONDS)
        file = _try(path)
    with _held(path, file):
        yield


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of that name where nobody does; give whether it is held."""
    file = _try(path)
    if file is None:
        yield False
        return
    with _held(path, file):
        yield True


def _try(path: Path) -> IO[bytes] | None:
    """Return the lock's file with the lock taken, None where another has it. See Note [Lock files go away]."""
    file = path.open("ab")
    if _take(file) and _is_still(path, file):
        return file
    file.close()
    return None


def _is_still(path: Path, file: IO[bytes]) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


@contextmanager
def _held(path: Path, file: IO[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; the next visitor sweeps it
            path.unlink()
        file.close()
