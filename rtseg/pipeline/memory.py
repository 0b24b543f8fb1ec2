"""Giving freed memory back to the system at the end of a run."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _trim() -> Any:
    """Return glibc's malloc_trim, or None where the C library has none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except OSError:
        return None


def release_freed_memory() -> None:
    """Return to the system what decoder, engine and encoder have freed.

    Every run has threads of its own, and glibc keeps what each of them freed in an arena of its own: without this, a
    process that runs one short pipeline after the other grows by tens of megabytes that nobody uses.
    """
    trim = _trim()
    if trim is not None:
        trim(0)
