"""The stretch of a run that is measured: it opens when the rate is steady and closes after its time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from rtseg.bench.energy import EnergyMeter
from rtseg.bench.processor import cpu_seconds, machine_cpu_seconds
from rtseg.bench.steady import SteadyRate
from rtseg.errors import SourceError
from rtseg.stats import StageStats, Stats

MOST_WARM_UP_SECONDS: Final = 6.0
"""A warm-up that has not become steady by then is over all the same, and is reported as not steady."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What was left out before a window opened."""

    frames: int = 0
    seconds: float = 0.0
    steady: bool = True


@dataclass(frozen=True, slots=True)
class Usage:
    """What one window took. The frame that opened it is the first stamp, so `frames` is the number of intervals."""

    frames: int
    seconds: float
    cpu_seconds: float
    others_cpu_seconds: float | None = None
    """Processor time that other processes, or a hypervisor, took meanwhile; None where it is unknown."""
    joules: float | None = None
    warm_up: WarmUp = field(default_factory=WarmUp)
    stats: tuple[Stats, ...] = ()
    """What the watched pipelines measured inside the window."""

    @property
    def fps(self) -> float:
        """Frames a second, (n - 1) / span."""
        return self.frames / self.seconds

    @property
    def cpu_cores(self) -> float:
        """How many cores were kept busy."""
        return self.cpu_seconds / self.seconds

    @property
    def core_ms(self) -> float:
        """Processor time a frame in milliseconds."""
        return self.cpu_seconds * 1000 / self.frames


class Window:
    """Counts the frames of one or several streams together.

    Threading: every method may be called from any thread.
    """

    def __init__(self, seconds: float, *, most_warm_up_seconds: float | None = None) -> None:
        self._seconds = seconds
        self._watched: list[tuple[Stats, StageStats]] = []
        self._most_warm_up_ns = (MOST_WARM_UP_SECONDS if most_warm_up_seconds is None else most_warm_up_seconds) * 1e9
        self._lock = threading.Lock()
        self._steady = SteadyRate(block_seconds=min(0.3, seconds / 4))
        self._energy = EnergyMeter()
        self._began_ns = time.monotonic_ns()
        self._opened_ns: int | None = None
        self._opened_cpu_seconds = 0.0
        self._opened_machine_seconds: float | None = None
        self._frames = 0
        self._warm_up = WarmUp()
        self._usage: Usage | None = None
        self._ended = False

    @property
    def closed(self) -> bool:
        """True once everything was measured, or the window was ended early."""
        return self._ended

    def watch(self, stats: Stats, decode: StageStats) -> None:
        """Take what a pipeline measures inside the window too, and its source's own measure of decoding."""
        self._watched.append((stats, decode))

    def frame(self) -> None:
        """Count one frame that came out."""
        now_ns = time.monotonic_ns()
        with self._lock:
            if self._ended:
                return
            self._frames += 1
            if self._opened_ns is None:
                steady = self._steady.add(now_ns)
                if steady or now_ns - self._began_ns > self._most_warm_up_ns:
                    self._open(now_ns, steady=steady)
            elif now_ns - self._opened_ns >= self._seconds * 1e9 and self._frames >= 2:
                self._close(now_ns - self._opened_ns)

    def end(self) -> None:
        """Measure no further: something failed, or the user has interrupted. Idempotent."""
        self._ended = True

    def usage(self) -> Usage:
        """Return what was measured.

        Raises:
            SourceError: the window was ended, or its source ran dry, before it could close.
        """
        if self._usage is None:
            raise SourceError(
                f"bench: got {self._frames} frames and then no more; expected {self._seconds:g} s of them after the "
                "warm-up. Give a source that lasts longer, or fewer --seconds."
            )
        return self._usage

    def _open(self, now_ns: int, *, steady: bool) -> None:
        self._warm_up = WarmUp(self._frames, (now_ns - self._began_ns) / 1e9, steady)
        self._lap_all()
        self._energy.lap_joules()
        self._frames = 0
        self._opened_machine_seconds = machine_cpu_seconds()
        self._opened_cpu_seconds = cpu_seconds()
        self._opened_ns = now_ns

    def _close(self, span_ns: int) -> None:
        own_seconds = cpu_seconds() - self._opened_cpu_seconds
        self._usage = Usage(
            frames=self._frames,
            seconds=span_ns / 1e9,
            cpu_seconds=own_seconds,
            others_cpu_seconds=self._others_since_opened(own_seconds),
            joules=self._energy.lap_joules(),
            warm_up=self._warm_up,
            stats=self._lap_all(),
        )
        self._ended = True

    def _others_since_opened(self, own_seconds: float) -> float | None:
        now, before = machine_cpu_seconds(), self._opened_machine_seconds
        return None if now is None or before is None else max(0.0, now - before - own_seconds)

    def _lap_all(self) -> tuple[Stats, ...]:
        laps = []
        for stats, decode in self._watched:
            lap = stats.lap()
            lap.stages["decode"] = decode.lap()  # the pipeline's own contains the wait of a paced source
            laps.append(lap)
        return tuple(laps)
