"""A ring of host buffers that are lent out with the pictures in them and come back by themselves.

Page-locked memory is slow to get and there is little of it, so what a device copies its results into is made once and
used again. A sink may hold on to a picture for as long as `write` takes, or a channel for longer: a buffer comes back
when the last array that looks into it is gone, and not before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from rtseg.errors import InferenceError
from rtseg.types import UInt8Array

RING_WAIT_SECONDS: Final = 2.0
"""How long a lease waits for a buffer to come back before it says that somebody keeps them."""


class HostBuffer(Protocol):
    """Memory of the host that a device copies to or from."""

    @property
    def array(self) -> UInt8Array:
        """The bytes as an array over the same memory."""

    @property
    def handle(self) -> Any:
        """What the streams' `copy` takes."""


class Lease:
    """The buffers of one result, lent until this object and all arrays from it are gone.

    Threading: may be dropped in any thread.
    """

    def __init__(self, ring: HostRing, buffers: Sequence[HostBuffer]) -> None:
        self._ring = ring
        self.buffers = buffers
        """One buffer an output, in the order of the outputs."""

    def array(self, index: int) -> UInt8Array:
        """Return the bytes of an output, read-only, over the buffer itself; it keeps the lease alive."""
        lent = np.asarray(_Lent(self, self.buffers[index].array))
        lent.flags.writeable = False
        return lent

    def __del__(self) -> None:
        # Nothing but an append, which is atomic: the garbage collector may come here in the middle of anything.
        self._ring._free.append(self.buffers)


class _Lent:
    """An array's memory together with the lease that it belongs to; NumPy keeps it as the base of every view."""

    def __init__(self, lease: Lease, array: UInt8Array) -> None:
        self._lease = lease
        self.__array_interface__ = dict(array.__array_interface__)


class HostRing:
    """A fixed number of buffer sets. Threading: `lease` by one thread; leases end in any."""

    def __init__(self, sets: Sequence[Sequence[HostBuffer]], *, wait_seconds: float = RING_WAIT_SECONDS) -> None:
        """Take the buffers that are lent: one set for a result, each with one buffer an output."""
        self._free: deque[Sequence[HostBuffer]] = deque(tuple(buffers) for buffers in sets)
        self._wait_seconds = wait_seconds
        self.size = len(self._free)
        """How many sets there are."""

    @property
    def free(self) -> int:
        """How many sets are not lent at the moment."""
        return len(self._free)

    def lease(self) -> Lease:
        """Return a set of buffers, waiting for one to come back.

        Raises:
            InferenceError: none came back in time, since somebody keeps the pictures.
        """
        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                return Lease(self, self._free.popleft())
            except IndexError:
                if time.monotonic() > deadline:
                    raise InferenceError(
                        f"host buffers: got all {self.size} held for {self._wait_seconds:g} s; expected the sinks to "
                        "let go of a picture when write() returns. Copy what has to be kept."
                    ) from None
                time.sleep(0.0002)
