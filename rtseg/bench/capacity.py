"""How many cameras run at once in time: found by trying, never by dividing a frame rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from rtseg.bench.window import Usage
from rtseg.stats import DurationHistogram

MOST_CAMERAS: Final = 256
MOST_DROPPED: Final = 0.01
"""Share of frames that may be dropped."""
LEAST_RATE: Final = 0.98
"""Share of the paced rate that must come out; the rest is the two ends of the window."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One number of cameras, tried once."""

    cameras: int
    fps: float
    """Of all cameras together."""
    p99_ms: float
    """Of the frame age."""
    drops: int
    held: bool
    """Whether every camera's frames came out in time."""


def trial_of(usage: Usage, *, cameras: int, pace_hz: float, p99_limit_ms: float) -> Trial:
    """Judge what a window over so many paced cameras has measured."""
    ages = DurationHistogram()
    for stats in usage.stats:
        ages.merge(stats.frame_age)
    drops = sum(stats.frames.dropped.total() for stats in usage.stats)
    p99_ms = ages.percentile_ms(99)
    in_time = usage.fps >= LEAST_RATE * cameras * pace_hz and drops <= MOST_DROPPED * (usage.frames + drops)
    return Trial(cameras, round(usage.fps, 2), round(p99_ms, 3), drops, in_time and p99_ms < p99_limit_ms)


class CapacitySearch:
    """Doubles the number of cameras until it fails, halves the gap, and tries the answer once more.

    A number fails when it fails twice in a row: one hiccup of the machine is not the pipeline's.

    Args:
        attempt: runs so many cameras and judges them.
        most: no more cameras than this are tried.
    """

    def __init__(self, attempt: Callable[[int], Trial], *, most: int = MOST_CAMERAS) -> None:
        self._attempt = attempt
        self._most = most
        self.tried: list[Trial] = []
        """Every trial, in order."""

    def run(self) -> int:
        """Return the most cameras that held, and held again; 0 where not even one did."""
        held, failed = 0, None
        while failed is None and held < self._most:
            cameras = min(max(1, 2 * held), self._most)
            if self._holds(cameras):
                held = cameras
            else:
                failed = cameras
        while failed is not None and failed - held > 1:
            middle = (held + failed) // 2
            held, failed = (middle, failed) if self._holds(middle) else (held, middle)
        while held and not self._holds(held):
            held -= 1
        return held

    def _holds(self, cameras: int) -> bool:
        for _ in range(2):
            trial = self._attempt(cameras)
            self.tried.append(trial)
            if trial.held:
                return True
        return False


def capacity_json(cameras: int, tried: list[Trial], *, pace_hz: float, p99_limit_ms: float) -> dict[str, Any]:
    """Return the answer with everything that was tried, as plain values."""
    return {
        "cameras": cameras,
        "pace_hz": pace_hz,
        "p99_limit_ms": p99_limit_ms,
        "tried": [asdict(trial) for trial in tried],
    }
