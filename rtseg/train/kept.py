"""Things kept in memory up to a limit. Pictures are drawn at random, so nothing is gained by ever throwing one out."""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

KeptT = TypeVar("KeptT")


class Kept(Generic[KeptT]):
    """Keeps what comes first, until it is full. Threading: several threads at once."""

    def __init__(self, limit_bytes: int) -> None:
        """Prepare.

        Args:
            limit_bytes: what would not fit is not kept.
        """
        self._found: dict[int, KeptT] = {}
        self._left = limit_bytes
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: int) -> KeptT | None:
        """Return what is kept under a key."""
        return self._found.get(key)

    def put(self, key: int, value: KeptT, size_bytes: int) -> None:
        """Keep a value of a size, if there is room and the key is new."""
        with self._lock:
            if size_bytes <= self._left and key not in self._found:
                self._left -= size_bytes
                self._found[key] = value
