"""Memory that is made once: page-locked host buffers, device surfaces, and the counters that show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rtseg.backends.device_runtime import DeviceRuntime
from rtseg.types import UInt8Array


class HostTensor:
    """Page-locked host memory: `rtseg.pipeline.slots_ring.HostBuffer`."""

    def __init__(self, runtime: DeviceRuntime, shape: Sequence[int]) -> None:
        self._tensor = runtime.host_tensor(tuple(shape), torch.uint8)
        self._array: UInt8Array = self._tensor.numpy()

    @property
    def array(self) -> UInt8Array:
        """The bytes as an array over the same memory."""
        return self._array

    @property
    def handle(self) -> Tensor:
        """The same memory as a tensor."""
        return self._tensor


class DeviceTensor:
    """Device memory that results are copied to when a sink takes them there."""

    def __init__(self, runtime: DeviceRuntime, shape: Sequence[int]) -> None:
        self._tensor = runtime.device_tensor(tuple(shape), torch.uint8)

    @property
    def array(self) -> UInt8Array:
        """The bytes in ordinary memory, a copy: the way for those who cannot use them on the device."""
        host: UInt8Array = self._tensor.cpu().numpy()
        return host

    @property
    def handle(self) -> Tensor:
        """The tensor itself."""
        return self._tensor


def allocations(device: torch.device) -> dict[str, int]:
    """Return how many blocks of memory were handed out so far: by torch on the device, by the driver, page-locked.

    Two calls with frames between them must give the same numbers: that is what "nothing allocated per frame" means.
    Empty on the CPU, whose allocator does not count.
    """
    if device.type != "cuda":
        return {}
    stats = torch.cuda.memory_stats(device)
    found = {
        "torch_blocks": int(stats.get("allocation.all.allocated", 0)),
        "driver_blocks": int(stats.get("num_device_alloc", 0)),
        "reserved_bytes": int(stats.get("reserved_bytes.all.current", 0)),
    }
    host_stats: Any = getattr(torch.cuda, "host_memory_stats", None)
    if host_stats is not None:
        found["page_locked_blocks"] = int(host_stats().get("num_host_alloc", 0))
    return found
