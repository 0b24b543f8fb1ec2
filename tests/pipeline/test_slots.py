"""Several frames on a device: order, overlap, failures, and that every event is needed."""

from __future__ import annotations

import pytest

from rtseg.errors import ConfigError, InferenceError
from rtseg.pipeline.slots import SlotScheduler
from tests.pipeline.fake_streams import FakeBuffer, FakeDevice, FakeEvent, Stuck, answer, feed, make_parts

SEEDS = range(12)
FRAMES = 40


def scheduler_on(device, *, slots=3, kind=SlotScheduler):
    parts, streams, ring = make_parts(device, slots=slots)
    return kind(parts, streams, ring, feed)


def run_all(scheduler, frames=FRAMES):
    """(item, value) of every frame in the order they came, and the errors; as the pipeline drives it."""
    came, errors = [], []

    def take():
        try:
            finished = scheduler.collect()
        except InferenceError as error:
            errors.append(error)
        else:
            came.append((finished.item, set(finished.lease.array(0).tolist())))

    for item in range(frames):
        while scheduler.in_flight and not scheduler.has_room:
            take()
        scheduler.submit(item)
    while scheduler.in_flight:
        take()
    return came, errors


def expected(items):
    return [(item, {answer(item)}) for item in items]


@pytest.mark.parametrize("slots", [3, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_frame_comes_out_once_in_order_with_its_own_result(seed, slots):
    came, errors = run_all(scheduler_on(FakeDevice(seed), slots=slots))
    assert came == expected(range(FRAMES))
    assert errors == []


@pytest.mark.parametrize("deaf", ["compute", "copy_out"])
def test_control_without_an_event_between_the_streams_somebody_elses_pixels_are_seen(deaf):
    wrong = 0
    for seed in SEEDS:
        came, _ = run_all(scheduler_on(FakeDevice(seed, deaf={deaf})))
        assert [item for item, _ in came] == list(range(FRAMES))
        wrong += came != expected(range(FRAMES))
    assert wrong == len(SEEDS)


class TooEarly(SlotScheduler):
    """Uses slots again although their copy out has not been seen."""

    def _wait_for_a_slot(self):
        if not self._idle:
            self._idle.append(self._flights[-self._slot_count].slot)
        return True


def test_control_a_slot_that_is_used_again_too_early_mixes_frames():
    wrong = 0
    for seed in SEEDS:
        device = FakeDevice(seed)
        scheduler = scheduler_on(device, kind=TooEarly)
        for item in range(6):
            scheduler.submit(item)
        device.run_until_idle()
        values = [set(flight.lease.buffers[0].array.tolist()) for flight in scheduler._flights]
        wrong += values != [{answer(item)} for item in range(6)]
    assert wrong == len(SEEDS)


def test_frames_overlap_on_all_slots():
    scheduler = scheduler_on(FakeDevice(), slots=4)
    for item in range(4):
        scheduler.submit(item)
    assert scheduler.in_flight == 4
    assert not scheduler._idle


@pytest.mark.parametrize("kind", ["enqueue", "late"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_failing_slot_loses_nobodys_frame(seed, kind):
    scheduler = scheduler_on(FakeDevice(seed, faults={7: kind, 20: kind, 30: kind}))
    came, errors = run_all(scheduler)
    assert came == expected(range(FRAMES))
    assert errors == []
    assert scheduler.retried >= 3  # a late error is seen by all that was queued behind it
    assert scheduler.retired == []


@pytest.mark.parametrize("kind", ["enqueue", "late"])
def test_a_frame_that_fails_on_every_slot_is_named_and_the_others_come(kind):
    device = FakeDevice(3)
    original, fed = device.streams[1].launch, []

    def launch(work):
        if fed[-1] == 5:
            device.faults[device.launches] = kind
        original(work)

    device.streams[1].launch = launch

    def feeding(item, slot):
        fed.append(item)
        return feed(item, slot)

    slots, streams, ring = make_parts(device)
    came, errors = run_all(SlotScheduler(slots, streams, ring, feeding))
    assert came == expected(item for item in range(FRAMES) if item != 5)
    assert len(errors) == 1
    assert "2 tries" in str(errors[0])


def test_a_lost_device_ends_every_frame_with_its_reason_and_nobody_waits():
    device = FakeDevice(1, faults={4: "lost"})
    scheduler = scheduler_on(device)
    came, errors = [], []

    def attempt(action):
        try:
            return action()
        except InferenceError as error:
            errors.append(str(error))
            return None

    for item in range(20):
        while scheduler.in_flight and not scheduler.has_room:
            came.append(attempt(scheduler.collect))
        attempt(lambda item=item: scheduler.submit(item))
    while scheduler.in_flight:
        came.append(attempt(scheduler.collect))
    items = [finished.item for finished in came if finished is not None]
    assert items == list(range(len(items)))
    assert len(items) < 5
    assert all("the device is lost" in error for error in errors)
    assert len(scheduler.retired) == 3
    assert len(errors) == 20 - len(items)
    scheduler.drain()


def test_a_frame_that_cannot_be_fed_is_its_own_fault_and_costs_no_slot():
    def refusing(item, slot):
        if item == 2:
            raise ConfigError("frame: got another size")
        return feed(item, slot)

    slots, streams, ring = make_parts(FakeDevice())
    scheduler = SlotScheduler(slots, streams, ring, refusing)
    scheduler.submit(1)
    with pytest.raises(ConfigError):
        scheduler.submit(2)
    scheduler.submit(3)
    assert [scheduler.collect().item for _ in range(2)] == [1, 3]
    assert ring.free == ring.size


@pytest.mark.parametrize("seed", SEEDS)
def test_the_newest_frame_is_given_and_older_ones_are_counted(seed):
    device = FakeDevice(seed)
    scheduler = scheduler_on(device)
    came, given_up, submitted = [], 0, 0
    while submitted < FRAMES:
        for _ in range(2):
            scheduler.submit(submitted)
            submitted += 1
        finished, older = scheduler.collect_newest()
        given_up += older
        if finished is not None:
            came.append((finished.item, set(finished.lease.array(0).tolist())))
    device.run_until_idle()
    finished, older = scheduler.collect_newest()
    assert finished is not None
    assert finished.item == FRAMES - 1
    came.append((finished.item, set(finished.lease.array(0).tolist())))
    assert came == expected(item for item, _ in came)
    assert [item for item, _ in came] == sorted({item for item, _ in came})
    assert len(came) + given_up + older == FRAMES
    assert scheduler.collect(wait=True) is None
    assert len(scheduler._idle) == 3


def test_when_all_three_are_done_the_newest_comes_first_and_two_are_given_up():
    device = FakeDevice()
    scheduler = scheduler_on(device)
    for item in range(3):
        scheduler.submit(item)
    device.run_until_idle()
    finished, given_up = scheduler.collect_newest()
    assert (finished.item, given_up, scheduler.in_flight) == (2, 2, 0)


def test_nothing_that_is_not_done_is_waited_for_unless_asked():
    scheduler = scheduler_on(FakeDevice())
    assert scheduler.collect() is None
    scheduler.submit(0)
    assert scheduler.collect(wait=False) is None
    assert scheduler.collect_newest(wait=False) == (None, 0)
    assert scheduler.collect().item == 0


def test_no_buffer_and_no_event_is_made_while_frames_run():
    scheduler = scheduler_on(FakeDevice(2))
    before = FakeBuffer.made, FakeEvent.made
    run_all(scheduler, frames=200)
    assert (FakeBuffer.made, FakeEvent.made) == before


def test_the_times_of_a_frame_are_those_of_its_events():
    scheduler = scheduler_on(FakeDevice())
    scheduler.submit(0)
    finished = scheduler.collect()
    assert min(finished.copy_in_ns, finished.compute_ns, finished.copy_out_ns) > 0
    assert finished.attempts == 1


def test_too_few_slots_or_host_buffers_are_refused():
    slots, streams, ring = make_parts(FakeDevice(), slots=2)
    with pytest.raises(InferenceError, match="at least 3"):
        SlotScheduler(slots, streams, ring, feed)
    slots, streams, ring = make_parts(FakeDevice(), slots=4, sets=3)
    with pytest.raises(InferenceError, match="a set for each"):
        SlotScheduler(slots, streams, ring, feed)


def test_the_fake_itself_says_when_an_event_never_comes():
    device = FakeDevice()
    slots, streams, _ = make_parts(device)
    streams.copy_in.record(slots[0].started)
    device.streams[0].queue.clear()
    with pytest.raises(Stuck):
        slots[0].started.wait()
