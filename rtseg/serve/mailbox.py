"""What waits for one viewer: a few coded pictures, never more, whatever the viewer does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import av

Coded: TypeAlias = "av.Packet[Any] | bytes"
"""A coded picture: a packet, or a JPEG."""

MOST_PACKETS: Final = 4
"""Packets that may wait: more than one, as the event loop hands over several at once after a pause."""


class Mailbox:
    """The pictures that a viewer has not taken yet.

    A JPEG replaces the one before. A packet needs the one before, so when they pile up all are dropped, together with
    those that follow until the next keyframe, which is asked for.

    Threading: the event loop's thread only.
    """

    def __init__(self, *, want_keyframe: Callable[[], None] | None = None) -> None:
        """Take what asks the encoder for a keyframe; None: every picture stands for itself."""
        self._want_keyframe = want_keyframe
        self._items: deque[Coded] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._needs_keyframe = want_keyframe is not None
        self.dropped = 0
        """Pictures that this viewer did not get."""
        self.taken = 0
        """Pictures that it did get."""

    def put(self, item: Coded, *, keyframe: bool) -> None:
        """Hand over a picture; never waits."""
        if self._closed:
            return
        if self._want_keyframe is None:
            self.dropped += len(self._items)
            self._items.clear()
        elif not self._take_packet(keyframe=keyframe):
            self.dropped += 1
            return
        self._items.append(item)
        self._arrived.set()

    def _take_packet(self, *, keyframe: bool) -> bool:
        """Find out whether a packet can be used, and make room for it."""
        if keyframe:
            self.dropped += len(self._items)
            self._items.clear()
            self._needs_keyframe = False
        elif len(self._items) >= MOST_PACKETS:
            self.dropped += len(self._items)
            self._items.clear()
            self._needs_keyframe = True
        if self._needs_keyframe and self._want_keyframe is not None:
            self._want_keyframe()
        return not self._needs_keyframe

    async def get(self) -> Coded | None:
        """Wait for the oldest picture and take it; None: there will be no more."""
        while not self._items:
            if self._closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        self.taken += 1
        return self._items.popleft()

    def close(self) -> None:
        """Say that no more will come, and drop what waits; idempotent."""
        self._closed = True
        self._items.clear()
        self._arrived.set()


def deliver(boxes: Sequence[Mailbox], item: Coded, *, keyframe: bool) -> None:
    """Put one picture into several mailboxes."""
    for box in boxes:
        box.put(item, keyframe=keyframe)
