"""What an engine needs to know of the GPU it is for, asked of the driver itself, so that nothing else is needed."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

_CAPABILITY_MAJOR: Final = 75
_CAPABILITY_MINOR: Final = 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
_NAME_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """A GPU with its driver, or that there is none."""

    name: str = "none"
    """In the vendor's words, such as "NVIDIA H200"."""
    compute_capability: str = "none"
    """Such as "9.0"."""
    driver: str = "none"
    """Version of the driver, such as "570.86.15"."""

    @property
    def present(self) -> bool:
        """True where there is a GPU."""
        return self.name != "none"

    def __str__(self) -> str:
        """Return all of it in one line."""
        if not self.present:
            return "no GPU"
        return f"{self.name} (compute capability {self.compute_capability}, driver {self.driver})"


NO_DEVICE: Final = CudaDevice()


@cache
def current_device() -> CudaDevice:
    """Return the first GPU that CUDA shows to this process (CUDA_VISIBLE_DEVICES counts), or `NO_DEVICE`."""
    library = _library("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    if library is None:
        return NO_DEVICE
    return device_of(library, _library("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"))


def device_of(cuda: Any, nvml: Any | None) -> CudaDevice:
    """Return the first GPU that the driver's library shows.

    Args:
        cuda: the loaded CUDA driver library.
        nvml: the loaded management library, which knows the driver's full version; None: not there.
    """
    handle = ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(handle), 0):
        return NO_DEVICE
    name = ctypes.create_string_buffer(_NAME_BYTES)
    major, minor = ctypes.c_int(), ctypes.c_int()
    if (
        cuda.cuDeviceGetName(name, _NAME_BYTES, handle)
        or cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, handle)
        or cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, handle)
    ):
        return NO_DEVICE
    return CudaDevice(name.value.decode(), f"{major.value}.{minor.value}", _driver(cuda, nvml))


def _driver(cuda: Any, nvml: Any | None) -> str:
    """Return the driver's version; where the management library is missing, the CUDA version that it supports."""
    text = ctypes.create_string_buffer(_NAME_BYTES)
    if nvml is not None and not nvml.nvmlInit_v2():
        failed = nvml.nvmlSystemGetDriverVersion(text, _NAME_BYTES)
        nvml.nvmlShutdown()
        if not failed:
            return text.value.decode()
    version = ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(version)):
        return "unknown"
    return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"


def _library(name: str) -> Any | None:
    with suppress(OSError):
        return ctypes.CDLL(name)
    return None
