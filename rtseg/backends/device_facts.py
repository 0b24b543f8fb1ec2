"""What the GPU, its driver and the installed torch are, found out without importing torch.

`rtseg doctor`, the choice of a backend and the facts in benchmark results need to know this on machines where a CUDA
library would take seconds to load, or is not there.
"""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from rtseg.cuda_device import CudaDevice, current_device
from rtseg.errors import BackendUnavailable

LEAST_DRIVER: Final = {11: "450.80", 12: "525.60", 13: "580.65"}
"""First Linux driver that runs programs of a CUDA major version. Source: release notes of the CUDA toolkit, table of
minor version compatibility."""


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """The first GPU that CUDA shows to this process."""

    device: CudaDevice
    """Name, compute capability, driver."""
    cuda: tuple[int, int]
    """The newest CUDA version that the driver runs."""
    memory_bytes: int
    """All of its memory."""

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain values, for benchmark results."""
        return {
            "gpu": self.device.name,
            "compute_capability": self.device.compute_capability,
            "driver": self.device.driver,
            "driver_cuda": f"{self.cuda[0]}.{self.cuda[1]}",
            "memory_bytes": self.memory_bytes,
        }

    def __str__(self) -> str:
        """Return all of it in one line."""
        return f"{self.device.name}, {bytes_text(self.memory_bytes)}, driver {self.device.driver}"


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """The installed torch."""

    version: str
    cuda: tuple[int, int] | None
    """The CUDA version that it was built for; None: for CPUs only, or for another maker's GPUs."""


@cache
def gpu_facts() -> GpuFacts | None:
    """Return the facts of the first GPU, None where there is none or no driver."""
    device = current_device()
    if not device.present:
        return None
    with suppress(OSError, AttributeError):
        return facts_of(device, ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"))
    return None


def facts_of(device: CudaDevice, cuda: Any) -> GpuFacts | None:
    """Return the facts that the loaded CUDA driver library gives of a device, None where it refuses."""
    version, handle, memory_bytes = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    if (
        cuda.cuDriverGetVersion(ctypes.byref(version))
        or cuda.cuDeviceGet(ctypes.byref(handle), 0)
        or cuda.cuDeviceTotalMem_v2(ctypes.byref(memory_bytes), handle)
    ):
        return None
    return GpuFacts(device, (version.value // 1000, version.value % 1000 // 10), memory_bytes.value)


def torch_build() -> TorchBuild | None:
    """Return version and CUDA version of the installed torch, read from its own file; None where there is none."""
    with suppress(OSError, ValueError):  # ValueError: something in `sys.modules` stands for it that is no module
        spec = find_spec("torch")
        if spec is None or spec.origin is None:
            return None
        return build_of((Path(spec.origin).parent / "version.py").read_text(encoding="utf-8"))
    return None


def build_of(text: str) -> TorchBuild:
    """Return what torch's `version.py` says."""
    version = re.search(r"^__version__\s*(?::[^=]*)?=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    cuda = re.search(r"^cuda\s*(?::[^=]*)?=\s*['\"](\d+)\.(\d+)", text, re.MULTILINE)
    numbers = None if cuda is None else (int(cuda.group(1)), int(cuda.group(2)))
    return TorchBuild("unknown" if version is None else version.group(1), numbers)


def require_gpu(backend: str) -> GpuFacts:
    """Return the GPU.

    Raises:
        BackendUnavailable: there is none.
    """
    facts = gpu_facts()
    if facts is None:
        raise BackendUnavailable(
            f"backend {backend}: got no NVIDIA GPU with a driver; expected one. Use --backend openvino here."
        )
    return facts


def require_cuda_torch(backend: str) -> TorchBuild:
    """Return the installed torch, which holds the device's memory, streams and graphs.

    Raises:
        BackendUnavailable: it is missing, made for CPUs only, or for a newer driver than there is.
    """
    facts, build = require_gpu(backend), torch_build()
    if build is None:
        raise BackendUnavailable(f"backend {backend}: got no torch; expected it. Run: pip install 'rtseg[cuda]'.")
    if build.cuda is None:
        raise BackendUnavailable(
            f"backend {backend}: got torch {build.version}, which has no CUDA; expected one for {facts.device.name}. "
            "Run: pip install --force-reinstall 'rtseg[cuda]'."
        )
    if build.cuda[0] > facts.cuda[0]:
        raise BackendUnavailable(driver_too_old(backend, f"torch {build.version}", build.cuda, facts))
    return build


def driver_too_old(backend: str, what: str, cuda: tuple[int, int], facts: GpuFacts) -> str:
    """Return the sentence for a driver that does not run programs of a CUDA version."""
    least = LEAST_DRIVER.get(cuda[0])
    wanted = f"{least} or newer" if least else "a newer one"
    return (
        f"backend {backend}: got driver {facts.device.driver} (CUDA {facts.cuda[0]}.{facts.cuda[1]}); expected "
        f"{wanted}, as {what} is made for CUDA {cuda[0]}.{cuda[1]}. Update the NVIDIA driver, or use "
        "--backend openvino."
    )


def bytes_text(count: float) -> str:
    """Return a number of bytes for people, such as "1.5 GiB"."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
