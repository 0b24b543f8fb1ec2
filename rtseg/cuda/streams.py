"""Streams and events of a runtime, as the slot scheduler wants them: `rtseg.pipeline.slots.Stream` and `Event`.

What a device says when it fails comes out as rtseg's errors, with what was needed and what there is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from rtseg.backends.device_errors import inferring
from rtseg.backends.device_runtime import DeviceRuntime

WHERE: Final = "device slots"
"""What messages call this path."""


class DeviceEvent:
    """A mark in a stream of the runtime."""

    def __init__(self, runtime: DeviceRuntime, *, blocking: bool = True) -> None:
        """Make the mark; blocking: the host sleeps while it waits instead of spinning on a core."""
        self._runtime = runtime
        self._event: Any = runtime.new_event(blocking=blocking)

    @property
    def raw(self) -> Any:
        """The runtime's own event."""
        return self._event

    def done(self) -> bool:
        """Return whether the stream has passed the mark."""
        if not isinstance(self._event, torch.cuda.Event):
            return True
        with inferring(WHERE, self._runtime):
            event: Any = self._event
            return bool(event.query())

    def wait(self) -> None:
        """Wait on the host until the stream has passed the mark."""
        with inferring(WHERE, self._runtime):
            self._event.synchronize()

    def elapsed_ns(self, since: DeviceEvent) -> int:
        """Return the device's time from another event to this one; both are passed."""
        with inferring(WHERE, self._runtime):
            return int(since.raw.elapsed_time(self._event) * 1e6)


class DeviceStream:
    """A queue of the runtime."""

    def __init__(self, runtime: DeviceRuntime) -> None:
        self._runtime = runtime
        self.raw = runtime.new_stream()
        """The runtime's own stream; None on the CPU."""

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Queue a copy between tensors of one shape, on the host (page-locked) or the device."""
        with inferring(WHERE, self._runtime):
            self._runtime.launch(self.raw, partial(_queue_copy, target, source))

    def launch(self, work: Callable[[], None]) -> None:
        """Queue recorded work."""
        with inferring(WHERE, self._runtime):
            self._runtime.launch(self.raw, work)

    def record(self, event: DeviceEvent) -> None:
        """Queue a mark."""
        with inferring(WHERE, self._runtime):
            event.raw.record(self.raw)

    def wait(self, event: DeviceEvent) -> None:
        """Queue a wait for the mark as it was last recorded."""
        if self.raw is not None:
            with inferring(WHERE, self._runtime):
                self.raw.wait_event(event.raw)

    def wait_for_others(self) -> None:
        """Queue a wait for what other libraries have queued on the device's default stream (the video decoder)."""
        if self.raw is not None:
            with inferring(WHERE, self._runtime):
                self.raw.wait_stream(torch.cuda.default_stream(self._runtime.device))

    def synchronize(self) -> None:
        """Wait on the host until the queue is empty."""
        if self.raw is not None:
            with inferring(WHERE, self._runtime):
                self.raw.synchronize()


def _queue_copy(target: Tensor, source: Tensor) -> None:
    target.copy_(source, non_blocking=True)
