"""A stream's memory that all slots share: every frame finds what the one before left, however streams are reordered."""

from __future__ import annotations

import numpy as np
import pytest

from rtseg.pipeline.slots import Slot, SlotScheduler, Streams
from rtseg.pipeline.slots_ring import HostRing
from tests.pipeline.fake_streams import FakeBuffer, FakeDevice, FakeEvent, FakeStream

SEEDS = range(12)
FRAMES = 30


def remembered(frames):
    """What the memory holds after each frame, one frame after the other."""
    found, memory = [], 0
    for item in range(frames):
        memory = (2 * memory + item + 1) % 251
        found.append(memory)
    return found


def slot_with_memory(device, name, memory):
    """A slot whose work takes the memory on: what comes out depends on every frame before, and on their order."""
    inputs, outputs = np.zeros(8, np.uint8), np.zeros(8, np.uint8)

    def work():
        memory[:] = (2 * memory.astype(int) + inputs + 1) % 251
        outputs[:] = memory

    return Slot(name, [FakeBuffer()], [inputs], [outputs], work, *(FakeEvent(device) for _ in range(6)))


def feed(item, slot):
    slot.staging[0].array[:] = item
    return [slot.staging[0].handle]


class Scattered:
    """A compute stream that is really two, of which frames get one and the other in turns."""

    def __init__(self, streams):
        self._streams = streams
        self._turn = 0

    def wait(self, event):
        self._turn += 1  # the first thing that a frame asks of it
        self._now().wait(event)

    def _now(self):
        return self._streams[self._turn % len(self._streams)]

    def launch(self, work):
        self._now().launch(work)

    def record(self, event):
        self._now().record(event)

    def synchronize(self):
        for stream in self._streams:
            stream.synchronize()


def run(seed, *, scattered=False, shared=True, slots=4):
    device = FakeDevice(seed)
    copy_in, compute, copy_out = device.streams
    if scattered:
        device.streams.append(FakeStream(device))
        compute = Scattered([compute, device.streams[-1]])
    memory = np.zeros(8, np.uint8)
    made = [slot_with_memory(device, f"slot {n}", memory if shared else np.zeros(8, np.uint8)) for n in range(slots)]
    ring = HostRing([[FakeBuffer()] for _ in range(slots + 4)], wait_seconds=0.05)
    scheduler = SlotScheduler(made, Streams(copy_in, compute, copy_out), ring, feed)
    came = []
    for item in range(FRAMES):
        while scheduler.in_flight and not scheduler.has_room:
            came.append(int(scheduler.collect().lease.array(0)[0]))
        scheduler.submit(item)
    while scheduler.in_flight:
        came.append(int(scheduler.collect().lease.array(0)[0]))
    return came


@pytest.mark.parametrize("seed", SEEDS)
def test_every_frame_finds_what_the_one_before_it_left(seed):
    assert run(seed) == remembered(FRAMES)


def test_control_on_two_compute_streams_frames_overtake_each_other():
    assert sum(run(seed, scattered=True) != remembered(FRAMES) for seed in SEEDS) > len(SEEDS) // 2


def test_control_a_memory_for_each_slot_forgets():
    assert all(run(seed, shared=False) != remembered(FRAMES) for seed in SEEDS)
