"""The machine that was measured on: what decides its speed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rtseg.bench.gpu import gpu_name
from rtseg.stats import machine_facts

_CPUS = Path("/sys/devices/system/cpu")
_PROC = Path("/proc")


def measured_machine() -> dict[str, Any]:
    """Return processor, cores, clocks, governor, memory, GPU, load and versions; no user name, no host name.

    What the system does not tell is None.
    """
    return {
        **machine_facts(),
        "governor": _first_line(_CPUS / "cpu0/cpufreq/scaling_governor"),
        "clocks_mhz": _clocks_mhz(),
        "virtual": _is_virtual(),
        "memory": _memory(),
        "gpu": gpu_name(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or None
    except OSError:
        return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _clocks_mhz() -> list[int] | None:
    """Return the clock of every core now."""
    words = [line.partition(":")[2] for line in _lines(_PROC / "cpuinfo") if line.startswith("cpu MHz")]
    return [round(float(word)) for word in words] or None


def _is_virtual() -> bool | None:
    """Return whether this is a virtual machine, whose cores others may be using."""
    flags = [line for line in _lines(_PROC / "cpuinfo") if line.startswith("flags")]
    return " hypervisor" in flags[0] if flags else None


def _memory() -> str | None:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemTotal:"):
            return f"{int(line.split()[1]) / 2**20:.1f} GiB"
    return None
