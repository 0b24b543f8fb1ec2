"""A bounded channel between two stages, with an end for every case: finished, failed, abandoned."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from rtseg.errors import ConfigError

Item = TypeVar("Item")


class ChannelClosed(Exception):
    """The other side has gone: nothing more can be put, or nothing more will come."""


class Channel(Generic[Item]):
    """A queue of at most `capacity` items between one producer and one consumer.

    `finish()` by the producer lets the consumer take what is left; `abandon()` by anybody drops what is left and
    wakes both sides, so that no thread can be left waiting.

    Threading: every method may be called from any thread.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ConfigError(f"channel: got capacity {capacity}; expected at least 1.")
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._abandoned = False

    def put(self, item: Item) -> None:
        """Add an item, waiting while the channel is full.

        Raises:
            ChannelClosed: the channel was abandoned or finished.
        """
        with self._changed:
            while len(self._items) >= self._capacity and not self._abandoned:
                self._changed.wait()
            self._add(item)

    def put_freshest(self, item: Item) -> int:
        """Add an item at once, dropping the oldest while the channel is full; return how many were dropped.

        Raises:
            ChannelClosed: the channel was abandoned or finished.
        """
        return len(self.displace(item))

    def displace(self, item: Item) -> list[Item]:
        """Add an item at once, dropping the oldest while the channel is full; return what was dropped.

        Raises:
            ChannelClosed: the channel was abandoned or finished.
        """
        with self._changed:
            dropped = []
            while len(self._items) >= self._capacity:
                dropped.append(self._items.popleft())
            self._add(item)
            return dropped

    def get(self, *, wait: bool = True, timeout_seconds: float | None = None) -> Item | None:
        """Take the oldest item; with `wait=False`, or after a time-out, return None when there is none yet.

        Raises:
            ChannelClosed: the channel was abandoned, or it is finished and empty.
        """
        with self._changed:
            while not self._items:
                if self._finished or self._abandoned:
                    raise ChannelClosed
                if not wait or not self._changed.wait(timeout_seconds):
                    return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[Item]:
        """Yield items until the channel is finished and empty, or abandoned."""
        while True:
            try:
                item = self.get()
            except ChannelClosed:
                return
            if item is not None:
                yield item

    def finish(self) -> None:
        """Say that nothing more will be put; what is inside can still be taken. Idempotent."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Drop what is inside and wake both sides. Idempotent."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def __len__(self) -> int:
        """Return the number of items inside."""
        with self._changed:
            return len(self._items)

    def _add(self, item: Item) -> None:
        if self._abandoned or self._finished:
            raise ChannelClosed
        self._items.append(item)
        self._changed.notify_all()
