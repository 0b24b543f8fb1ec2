"""When a warm-up is over: the rate no longer changes."""

from __future__ import annotations

from collections import deque
from typing import Final

BLOCK_SECONDS: Final = 0.3
"""A rate is taken over at least so long …"""
BLOCK_FRAMES: Final = 8
"""… and over at least so many frames."""
BLOCKS: Final = 3
"""So many blocks in a row …"""
TOLERANCE: Final = 0.15
"""… must lie within this of each other, (most - least) / least."""
CRITERION: Final = (
    f"steady: {BLOCKS} stretches in a row of at least {BLOCK_SECONDS:g} s and {BLOCK_FRAMES} frames whose rates lie "
    f"within {TOLERANCE:.0%} of each other"
)


class SteadyRate:
    """Watches frames come and says when their rate has become steady. Not thread-safe."""

    def __init__(self, *, block_seconds: float = BLOCK_SECONDS) -> None:
        self._block_ns = block_seconds * 1e9
        self._rates: deque[float] = deque(maxlen=BLOCKS)
        self._block_began_ns: int | None = None
        self._block_frames = 0

    def add(self, now_ns: int) -> bool:
        """Count one frame at a monotonic time and return whether the rate is steady now."""
        if self._block_began_ns is None:
            self._block_began_ns = now_ns
            return False
        self._block_frames += 1
        span_ns = now_ns - self._block_began_ns
        if span_ns < self._block_ns or self._block_frames < BLOCK_FRAMES:
            return False
        self._rates.append(self._block_frames / span_ns)
        self._block_began_ns, self._block_frames = now_ns, 0
        return len(self._rates) == BLOCKS and max(self._rates) <= min(self._rates) * (1 + TOLERANCE)
