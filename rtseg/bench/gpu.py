"""Share, power and memory of an NVIDIA GPU while measuring, where NVML or `nvidia-smi` tells; nothing is required."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
from importlib import import_module
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from rtseg.errors import BackendUnavailable

_LIBRARY_SECONDS: Final = 0.25
_TOOL_SECONDS: Final = 1.0
"""How often to look; a start of the tool costs processor time, which is measured too."""
_QUERY: Final = "utilization.gpu,power.draw,memory.used"


class GpuReading(NamedTuple):
    """One look at the GPU; None where it does not tell."""

    share: float | None
    """Share of the last moment in which a kernel ran, 0..1."""
    power_w: float | None
    vram_mib: float | None
    """Memory in use by everybody on the GPU."""


class _Nvml:
    """Reads through the vendor's library."""

    interval_seconds = _LIBRARY_SECONDS

    def __init__(self) -> None:
        self._nvml: Any = import_module("pynvml")
        self._nvml.nvmlInit()
        self._handle = self._nvml.nvmlDeviceGetHandleByIndex(0)

    def name(self) -> str:
        name = self._nvml.nvmlDeviceGetName(self._handle)
        return name.decode() if isinstance(name, bytes) else str(name)

    def read(self) -> GpuReading:
        nvml, handle = self._nvml, self._handle
        share = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        power_w = nvml.nvmlDeviceGetPowerUsage(handle) / 1000
        return GpuReading(share, power_w, nvml.nvmlDeviceGetMemoryInfo(handle).used / 2**20)


class _NvidiaSmi:
    """Reads through the command line tool."""

    interval_seconds = _TOOL_SECONDS

    def __init__(self, program: str) -> None:
        self._program = program

    def name(self) -> str:
        return self._ask("name")

    def read(self) -> GpuReading:
        share, power_w, vram_mib = (_number(word) for word in self._ask(_QUERY).split(","))
        return GpuReading(None if share is None else share / 100, power_w, vram_mib)

    def _ask(self, query: str) -> str:
        words = [self._program, f"--query-gpu={query}", "--format=csv,noheader,nounits", "--id=0"]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise BackendUnavailable(f"nvidia-smi: got {error}; expected what the GPU is doing. Run it.") from error
        return done.stdout.strip()


def _number(text: str) -> float | None:
    """Return a number, None for "[N/A]"."""
    try:
        return float(text)
    except ValueError:
        return None


def _reader() -> _Nvml | _NvidiaSmi | None:
    """Return the way to the GPU that works, or None without one."""
    try:
        return _Nvml()
    except ImportError:
        pass
    except Exception as error:  # NVML's own error types are known to its module only
        if type(error).__module__.partition(".")[0] != "pynvml":
            raise
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    reader = _NvidiaSmi(program)
    try:
        reader.name()
    except BackendUnavailable:
        return None
    return reader


def gpu_name() -> str | None:
    """Return the name of the first NVIDIA GPU; None without one."""
    reader = _reader()
    return None if reader is None else reader.name()


class GpuMeter:
    """Looks at the GPU again and again while its block runs. A context manager.

    Threading: a thread of its own, ended at the end of the block.
    """

    def __init__(self) -> None:
        self._reader = _reader()
        self._readings: list[GpuReading] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rtseg-bench-gpu", daemon=True)

    def summary(self) -> dict[str, float] | None:
        """Return mean share and power and the most memory; None without a GPU, or where nothing was read."""
        if not self._readings:
            return None
        found = {}
        for name, together in (("share", statistics.fmean), ("power_w", statistics.fmean), ("vram_mib", max)):
            values = [value for reading in self._readings if (value := getattr(reading, name)) is not None]
            if values:
                found[name] = round(float(together(values)), 3)
        return found or None

    def __enter__(self) -> Self:
        if self._reader is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._reader is not None:
            self._thread.join()

    def _watch(self) -> None:
        reader = self._reader
        while reader is not None and not self._ended.wait(reader.interval_seconds):
            try:
                self._readings.append(reader.read())
            except (BackendUnavailable, ValueError):
                return
