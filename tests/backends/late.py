"""A device that does everything late: work waits in its stream until somebody waits for it, newest stream first.

What a GPU does when it is busy: the host has long gone on. A slot that is read or written too early shows at once.
Memory is counted, and launches and waits fail on cue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch

from rtseg.backends.device_runtime import DeviceRuntime

FREE_BYTES = 64 * 2**20


class LateStream:
    """Work that waits."""

    def __init__(self, handle: int) -> None:
        self.cuda_stream = handle
        self.queue: deque[Callable[[], None]] = deque()
        self.running = False

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        while self.queue and not until():
            work = self.queue.popleft()
            self.running = True
            try:
                work()
            finally:
                self.running = False


class LateEvent:
    """A mark; waiting for it is what makes things happen."""

    def __init__(self, runtime: LateRuntime) -> None:
        self._runtime = runtime
        self._stream: LateStream | None = None
        self._waiting = 0

    def record(self, stream: LateStream) -> None:
        self._stream = stream
        self._waiting += 1
        stream.queue.append(self._pass)

    def _pass(self) -> None:
        self._waiting -= 1

    def synchronize(self) -> None:
        self._runtime.waits += 1
        self._runtime.fail_at_wait(self._runtime.waits)
        for stream in reversed(self._runtime.streams):
            if stream is not self._stream:
                stream.run()
        if self._stream is not None:
            self._stream.run(until=lambda: self._waiting == 0)

    def elapsed_time(self, end: LateEvent, /) -> float:
        return 1.5


class LateRuntime(DeviceRuntime):
    """Set `failures` ("launch", 3) -> error to let the third launch (or wait) from now on fail."""

    device = torch.device("cpu")
    slots = 3
    has_graphs = True

    def __init__(self, free_bytes: int = FREE_BYTES) -> None:
        self.streams: list[LateStream] = []
        self.free_bytes = free_bytes
        self.failures: dict[tuple[str, int], Exception] = {}
        self.launches = self.waits = self.recorded = self.allocated = 0

    def new_stream(self):
        self.streams.append(LateStream(1000 + len(self.streams)))
        return self.streams[-1]

    def new_event(self, *, blocking):
        return LateEvent(self)

    def launch(self, stream, work):
        if stream.running:
            work()
            return
        self.launches += 1
        if error := self.failures.pop(("launch", self.launches), None):
            raise error
        stream.queue.append(work)

    def record(self, stream, work):
        self.recorded += 1
        return work

    def host_tensor(self, shape, dtype):
        self.allocated += 1
        return torch.zeros(shape, dtype=dtype)

    def device_tensor(self, shape, dtype):
        found = torch.zeros(shape, dtype=dtype)
        self.allocated += 1
        self.take(found.nbytes)
        return found

    def take(self, count: int) -> None:
        if count > self.free_bytes:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {count / 2**20:.2f} MiB. GPU 0 has a total capacity of 64 MiB."
            )
        self.free_bytes -= count

    def memory_bytes(self):
        return self.free_bytes, FREE_BYTES

    def synchronize(self):
        for stream in self.streams:
            stream.run()

    def fail_at_wait(self, count: int) -> None:
        if error := self.failures.pop(("wait", count), None):
            raise error

    def fail_next(self, kind: str, error: Exception, skip: int = 0) -> None:
        """Let the next launch or wait fail, or one after `skip` more."""
        count = {"launch": self.launches, "wait": self.waits}[kind]
        self.failures[kind, count + 1 + skip] = error
