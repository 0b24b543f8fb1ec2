"""A device without hardware whose streams run in any order that events allow, late, or with an error.

Copies and work happen when a stream gets to them, not when they are queued, so that whoever forgets an event reads
what was there before.
"""

from __future__ import annotations

import random
from collections import deque

import numpy as np

from rtseg.pipeline.slots import Slot, Streams
from rtseg.pipeline.slots_ring import HostRing


class Stuck(Exception):
    """Nothing can go on: an event is waited for that nobody will record."""


class FakeMark:
    """One recording of an event."""

    def __init__(self):
        self.reached_at = None
        self.error = None


class FakeEvent:
    made = 0

    def __init__(self, device):
        FakeEvent.made += 1
        self._device = device
        self.mark = None

    def done(self):
        self._device.check()
        self._device.step()
        if self.mark is None or self.mark.reached_at is None:
            return self.mark is None
        self._raise()
        return True

    def wait(self):
        self._device.check()
        while self.mark is not None and self.mark.reached_at is None:
            self._device.step(must=True)
        self._raise()

    def elapsed_ns(self, since):
        # A deaf stream's marks may not be there yet; then it is the pixels that have to tell, not a missing time.
        ends = (self.mark.reached_at, since.mark.reached_at)
        return 0 if None in ends else 1000 * (ends[0] - ends[1])

    def _raise(self):
        self._device.check()
        if self.mark is not None and self.mark.error is not None:
            raise self.mark.error


class FakeStream:
    """`deaf`: ignores the events it should wait for, the fault that a missing `wait` would be."""

    def __init__(self, device, *, deaf=False):
        self._device = device
        self._deaf = deaf
        self.queue = deque()
        self.error = None

    def copy(self, target, source):
        self._device.check()
        self.queue.append(lambda: np.copyto(target, source))

    def launch(self, work):
        self._device.check()
        kind = self._device.faults.pop(self._device.launches, None)
        self._device.launches += 1
        if kind == "enqueue":
            raise RuntimeError("planted: refused")
        self.queue.append(lambda: self._run(work, kind))

    def record(self, event):
        self._device.check()
        mark = event.mark = FakeMark()
        self.queue.append(lambda: self._reach(mark))

    def wait(self, event):
        if not self._deaf and event.mark is not None:
            self.queue.append(event.mark)

    def synchronize(self):
        self._device.check()
        while self.queue:
            self._device.step(must=True)
        self.error = None

    @property
    def ready(self):
        head = self.queue[0] if self.queue else None
        return head is not None and (not isinstance(head, FakeMark) or head.reached_at is not None)

    def step(self):
        head = self.queue.popleft()
        if isinstance(head, FakeMark):
            self.error = self.error or head.error
        else:
            head()

    def _run(self, work, kind):
        if kind == "late":
            self.error = RuntimeError("planted: failed on the device")
        elif kind == "lost":
            self._device.lost = RuntimeError("planted: the device is lost")
        else:
            work()

    def _reach(self, mark):
        self._device.tick += 1
        mark.reached_at, mark.error = self._device.tick, self.error


class FakeDevice:
    """Three streams in an order that a seed decides; `faults` says which launch fails, and how."""

    def __init__(self, seed=0, *, deaf=(), faults=None):
        self._random = random.Random(seed)
        self.tick = 0
        self.launches = 0
        self.faults = dict(faults or {})
        self.lost = None
        self.streams = [FakeStream(self, deaf=name in deaf) for name in ("copy_in", "compute", "copy_out")]

    def check(self):
        if self.lost is not None:
            raise self.lost

    def step(self, *, must=False):
        """Let one stream that can go on do one thing."""
        self.check()
        ready = [stream for stream in self.streams if stream.ready]
        if ready:
            self._random.choice(ready).step()
        elif must:
            raise Stuck

    def run_until_idle(self):
        while any(stream.ready for stream in self.streams):
            self.step()


class FakeBuffer:
    made = 0

    def __init__(self, size=8):
        FakeBuffer.made += 1
        self.array = np.zeros(size, np.uint8)

    @property
    def handle(self):
        return self.array


def answer(value: int) -> int:
    """What the fake work makes of an input."""
    return (3 * value + 1) % 256


def make_slot(device: FakeDevice, name: str) -> Slot:
    inputs, outputs = np.zeros(8, np.uint8), np.zeros(8, np.uint8)

    def work():
        np.copyto(outputs, (inputs.astype(np.uint16) * 3 + 1).astype(np.uint8))

    events = [FakeEvent(device) for _ in range(6)]
    return Slot(name, [FakeBuffer()], [inputs], [outputs], work, *events)


def feed(item: int, slot: Slot):
    """Fill the slot's staging buffer with the item, as the feed of a frame in ordinary memory does."""
    slot.staging[0].array[:] = item
    return [slot.staging[0].handle]


def make_parts(device: FakeDevice, *, slots=3, sets=8):
    """Slots, streams and host ring of a fake device."""
    ring = HostRing([[FakeBuffer()] for _ in range(sets)], wait_seconds=0.05)
    return [make_slot(device, f"slot {n}") for n in range(slots)], Streams(*device.streams), ring
