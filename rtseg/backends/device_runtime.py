"""Streams, events, graphs and memory of a device, in the few words that the GPU backends need of them.

The one seam between those backends and a machine: `CudaRuntime` asks torch, `CpuRuntime` does everything at once, and
the tests have one that does everything late. Imported only by what runs on a device, since it imports torch.

Note [Late work]
    On a CUDA stream work begins when the ones before it are done, long after the call that queued it has returned. So
    whatever touches device memory or page-locked memory goes through `launch`; the host waits for an event and
    for nothing else.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from torch import Tensor

Work = Callable[[], None]
Stream = torch.cuda.Stream | None
"""None: the CPU, where everything is done at once."""


class Event(Protocol):
    """A mark in a stream, recorded again for every picture."""

    def record(self, stream: Stream) -> None:
        """Queue the mark."""

    def synchronize(self) -> None:
        """Wait until the stream has passed it. Raises RuntimeError where the device failed before."""

    def elapsed_time(self, end: Any, /) -> float:
        """Return the milliseconds from this mark to another one that was passed too."""


class DeviceRuntime(ABC):
    """One device."""

    device: torch.device
    """For tensors."""
    slots: int
    """How many pictures are in flight at once."""
    has_graphs: bool
    """Whether `record` records; otherwise the work is queued step by step each time."""

    @abstractmethod
    def new_stream(self) -> Stream:
        """Return a queue of its own."""

    @abstractmethod
    def new_event(self, *, blocking: bool) -> Event:
        """Return a mark with a time; blocking: the host sleeps while it waits for it, instead of spinning."""

    @abstractmethod
    def launch(self, stream: Stream, work: Work) -> None:
        """Queue what `work` queues. See Note [Late work]."""

    @abstractmethod
    def record(self, stream: Stream, work: Work) -> Work:
        """Return what repeats, on the stream that it is launched on, what `work` queues now; as one graph."""

    @abstractmethod
    def host_tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return zeroed host memory that the device reads and writes while others run."""

    def device_tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return zeroed device memory."""
        return torch.zeros(shape, dtype=dtype, device=self.device)

    @abstractmethod
    def memory_bytes(self) -> tuple[int, int] | None:
        """Return what is free and what there is, None where that does not matter."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait for everything that is queued on the device."""


class _Moment:
    """The time at which the CPU came to a mark."""

    def __init__(self) -> None:
        self.at_ns = 0

    def record(self, stream: Stream) -> None:
        del stream
        self.at_ns = time.perf_counter_ns()

    def synchronize(self) -> None:
        """Return at once: what was launched is done."""

    def elapsed_time(self, end: _Moment, /) -> float:
        return (end.at_ns - self.at_ns) / 1e6


class CpuRuntime(DeviceRuntime):
    """Everything is done where it is called; for reference and where there is no GPU."""

    device = torch.device("cpu")
    slots = 1
    has_graphs = False

    def new_stream(self) -> Stream:
        """Return None."""
        return None

    def new_event(self, *, blocking: bool) -> Event:
        """Return a mark that is passed when it is recorded."""
        del blocking
        return _Moment()

    def launch(self, stream: Stream, work: Work) -> None:
        """Do it."""
        del stream
        work()

    def record(self, stream: Stream, work: Work) -> Work:
        """Return the work itself."""
        del stream
        return work

    def host_tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return ordinary memory."""
        return torch.zeros(shape, dtype=dtype)

    def memory_bytes(self) -> tuple[int, int] | None:
        """Return None: the system says when there is none left."""
        return None

    def synchronize(self) -> None:
        """Return at once."""


class CudaRuntime(DeviceRuntime):
    """One NVIDIA GPU through torch."""

    slots = 3
    """One picture is copied in, one computed, one copied out."""
    has_graphs = True

    def __init__(self, index: int = 0) -> None:
        self.device = torch.device("cuda", index)

    def new_stream(self) -> Stream:
        """Return a stream that does not wait for the default one."""
        return torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    def new_event(self, *, blocking: bool) -> Event:
        """Return a CUDA event."""
        made: Event = torch.cuda.Event(enable_timing=True, blocking=blocking)  # type: ignore[no-untyped-call]
        return made

    def launch(self, stream: Stream, work: Work) -> None:
        """Queue on the stream."""
        with torch.cuda.device(self.device), torch.cuda.stream(stream):
            work()

    def record(self, stream: Stream, work: Work) -> Work:
        """Record one CUDA graph; other threads may go on using the device meanwhile."""
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self.device),
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
        ):
            work()
        return graph.replay

    def host_tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return page-locked memory."""
        return torch.zeros(shape, dtype=dtype, pin_memory=True)

    def memory_bytes(self) -> tuple[int, int] | None:
        """Return what the driver has free, and all of it."""
        free, total = torch.cuda.mem_get_info(self.device)
        return int(free), int(total)

    def synchronize(self) -> None:
        """Wait for the whole device."""
        torch.cuda.synchronize(self.device)
