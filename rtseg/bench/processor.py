"""Processor time and memory of this process, its children included."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_PROC: Final = Path("/proc")
_TICKS_HZ: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def usable_cores() -> int:
    """Return the cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_seconds() -> float:
    """Return the processor time of all threads of this process and of its children, ended or not, in seconds."""
    ended = 0.0
    if resource is not None:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = usage.ru_utime + usage.ru_stime
    return time.process_time() + ended + sum(_cpu_seconds_of(child) for child in _living_children(os.getpid()))


def _living_children(process: int) -> list[int]:
    """Return the ids of all living descendants; none where the kernel does not list them."""
    found: list[int] = []
    for listing in (_PROC / str(process) / "task").glob("*/children"):
        try:
            children = [int(word) for word in listing.read_text(encoding="ascii").split()]
        except OSError:  # the thread has ended meanwhile
            continue
        for child in children:
            found += [child, *_living_children(child)]
    return found


def _cpu_seconds_of(process: int) -> float:
    """Return the processor time of a living child and of its own ended children; 0 when it has just ended."""
    try:
        text = (_PROC / str(process) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS_HZ


def machine_cpu_seconds() -> float | None:
    """Return the processor time of everything on this machine, what a hypervisor took away included, in seconds.

    None where the kernel does not tell (only Linux does), or where this process may not use every core.
    """
    if usable_cores() != os.cpu_count():
        return None
    try:
        line = (_PROC / "stat").read_text(encoding="ascii").partition("\n")[0]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, irq, softirq, stolen = (int(word) for word in line.split()[1:9])
    return (user + nice + system + irq + softirq + stolen) / _TICKS_HZ


def restart_memory_peak() -> bool:
    """Forget the peak so far and return True, where the kernel can (Linux); elsewhere it stays the whole process's."""
    try:
        (_PROC / "self" / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def memory_peak_mib() -> float | None:
    """Return the most resident memory since `restart_memory_peak` in MiB; None where it cannot be known."""
    try:
        lines = (_PROC / "self" / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    if resource is None:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
