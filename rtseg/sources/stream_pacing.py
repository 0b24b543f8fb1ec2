"""Streams that arrive in bursts (the segments of HLS) are given out when each picture is due."""

from __future__ import annotations

import time
from typing import Final

from rtseg.sources.interrupting import Interrupt

CUSHION_SECONDS: Final = 1.0
"""How long the first picture is held back, so that fetching the next segment delays nothing."""
SEGMENT_GAP_SECONDS: Final = 10.0
"""How long a segment may take to appear."""
JUMP_SECONDS: Final = 30.0
"""A picture that is due later than this has another clock than the ones before."""


class Pacer:
    """Holds each packet back until it is due by its own time. Threading: one thread."""

    usual_gap_seconds = SEGMENT_GAP_SECONDS

    def __init__(self) -> None:
        self._zero_ns: int | None = None

    def wait(self, stamp_seconds: float, arrived_ns: int, interrupt: Interrupt) -> int:
        """Sleep until a packet with this time stamp is due; return when that was, in time.monotonic_ns().

        A packet that comes too late moves everything after it by as much.
        """
        stamp_ns = round(stamp_seconds * 1e9)
        if self._zero_ns is None:
            self._zero_ns = arrived_ns + round(CUSHION_SECONDS * 1e9) - stamp_ns
        due_ns = self._zero_ns + stamp_ns
        if due_ns < arrived_ns or due_ns > arrived_ns + JUMP_SECONDS * 1e9:
            self._zero_ns, due_ns = arrived_ns - stamp_ns, arrived_ns
        interrupt.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        return due_ns
