"""Energy of the processor packages, where the kernel lets this user read it (Linux powercap, RAPL)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

POWERCAP: Final = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class EnergyCounter:
    """One package's counter; it wraps round."""

    path: Path
    range_uj: int

    def read_uj(self) -> int:
        """Return the counter in microjoules. Raises OSError where it cannot be read any more."""
        return int(self.path.read_text(encoding="ascii"))


def energy_counters(root: Path = POWERCAP) -> tuple[EnergyCounter, ...]:
    """Return the counters of whole packages (their parts left out); none where there are none or none may be read."""
    counters = []
    for zone in sorted(root.glob("*-rapl:[0-9]*")):
        if zone.name.count(":") != 1:
            continue  # cores or memory of a package, which the package's own counter contains or leaves out
        try:
            counter = EnergyCounter(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text(encoding="ascii")))
            counter.read_uj()
        except (OSError, ValueError):
            continue
        counters.append(counter)
    return tuple(counters)


class EnergyMeter:
    """Joules since it was made or last asked; None where no counter can be read."""

    def __init__(self, counters: tuple[EnergyCounter, ...] | None = None) -> None:
        self._counters = energy_counters() if counters is None else counters
        self._last_uj = self._read()

    def lap_joules(self) -> float | None:
        """Return what all packages took since the last call."""
        before, self._last_uj = self._last_uj, self._read()
        if not self._counters or before is None or self._last_uj is None:
            return None
        spans = zip(self._counters, before, self._last_uj, strict=True)
        return sum((now - then) % (counter.range_uj + 1) for counter, then, now in spans) / 1e6

    def _read(self) -> list[int] | None:
        try:
            return [counter.read_uj() for counter in self._counters]
        except (OSError, ValueError):
            return None
