"""Several sources through one engine: who leaves together, and that nobody waits for a slow one."""

from __future__ import annotations

import threading

import pytest

from rtseg.errors import ConfigError, InferenceError
from rtseg.pipeline.device_batch import Batcher, BatchWindow


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


def window_of(sources, *, most=4, wait_seconds=0.01):
    clock = Clock()
    window = BatchWindow(most=most, wait_seconds=wait_seconds, clock=clock)
    for source in range(sources):
        window.join(source)
    return window, clock


def test_a_full_batch_leaves_at_once():
    window, _ = window_of(9)
    for source in range(4):
        assert window.take() == []
        window.add(source, source)
    assert window.due_in() == 0
    assert window.take() == [0, 1, 2, 3]
    assert window.due_in() is None


def test_a_batch_with_a_picture_of_every_source_leaves_at_once():
    window, _ = window_of(2)
    window.add(0, "a")
    assert window.take() == []
    window.add(1, "b")
    assert window.take() == ["a", "b"]


def test_nobody_waits_longer_than_the_window_for_a_slow_source():
    window, clock = window_of(3)
    window.add(0, "a")
    clock.seconds += 0.006
    window.add(1, "b")
    assert window.due_in() == pytest.approx(0.004)
    assert window.take() == []
    clock.seconds += 0.0041
    assert window.take() == ["a", "b"]


def test_control_without_a_window_the_slow_source_would_be_waited_for():
    window, clock = window_of(2, wait_seconds=1e9)
    window.add(0, "a")
    clock.seconds += 60
    assert window.take() == []


def test_a_source_that_has_left_is_not_waited_for():
    window, _ = window_of(2)
    window.add(0, "a")
    assert window.leave(1) == []
    assert window.take() == ["a"]


def test_a_fast_source_does_not_crowd_out_the_others():
    window, clock = window_of(3)
    for number in range(8):
        window.add(0, f"fast {number}")
    clock.seconds += 0.001
    window.add(1, "slow")
    window.add(2, "slower")
    assert window.take() == ["fast 0", "slow", "slower", "fast 1"]
    assert window.take() == ["fast 2", "fast 3", "fast 4", "fast 5"]


def test_limits_that_cannot_be_right_are_refused():
    for options in ({"most": 0}, {"most": 1, "wait_seconds": -1}):
        with pytest.raises(ConfigError, match="batch window"):
            BatchWindow(**options)


class FakeEngine:
    """Doubles numbers; waits for a gate; refuses some pictures."""

    def __init__(self, *, refused=(), gate=None):
        self.refused = refused
        self.gate = gate
        self.ran = []
        self.entered = threading.Event()

    def run(self, pictures):
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        self.ran.append(list(pictures))
        if bad := [picture for picture in pictures if picture in self.refused]:
            raise InferenceError(f"fake: got {bad[0]}")
        return [2 * picture for picture in pictures]


@pytest.fixture
def batcher_of():
    made = []

    def make(engine, **limits):
        made.append(Batcher(engine, BatchWindow(**({"most": 4, "wait_seconds": 0.05} | limits))))
        return made[-1]

    yield make
    for batcher in made:
        batcher.close()


def test_every_source_gets_its_own_results_in_its_own_order(batcher_of):
    batcher = batcher_of(FakeEngine())
    found = {}

    def serve(source, number):
        entries = [source.submit(100 * number + index) for index in range(50)]
        found[number] = [entry.result() for entry in entries]
        source.leave()

    threads = [threading.Thread(target=serve, args=(batcher.join(), number)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == {number: [2 * (100 * number + index) for index in range(50)] for number in range(3)}
    assert sum(size * count for size, count in enumerate(batcher.batches)) == 150
    assert sum(batcher.batches) < 150


def test_a_source_that_never_gives_a_picture_delays_the_other_by_the_window_only(batcher_of):
    batcher = batcher_of(FakeEngine(), wait_seconds=0.01)
    batcher.join()
    busy = batcher.join()
    assert [busy.submit(number).result() for number in range(5)] == [0, 2, 4, 6, 8]


def test_pictures_that_come_while_the_engine_works_leave_together(batcher_of):
    gate = threading.Event()
    engine = FakeEngine(gate=gate)
    batcher = batcher_of(engine, wait_seconds=10)
    one, two = batcher.join(), batcher.join()
    first = [one.submit(1), two.submit(2)]
    assert engine.entered.wait(10)
    later = [source.submit(number) for number, source in ((3, one), (4, one), (5, two))]
    gate.set()
    assert [entry.result() for entry in first + later] == [2, 4, 6, 8, 10]
    assert engine.ran == [[1, 2], [3, 5, 4]]


def test_a_picture_that_fails_fails_its_own_source_only(batcher_of):
    gate = threading.Event()
    batcher = batcher_of(FakeEngine(refused=(7,), gate=gate))
    sources = [batcher.join() for _ in range(3)]
    entries = [source.submit(picture) for source, picture in zip(sources, (6, 7, 8), strict=True)]
    gate.set()
    assert (entries[0].result(), entries[2].result()) == (12, 16)
    with pytest.raises(InferenceError, match="got 7"):
        entries[1].result()


def test_closing_lets_nobody_wait_for_ever():
    batcher = Batcher(FakeEngine(), BatchWindow(most=4, wait_seconds=1e6))
    source = batcher.join()
    batcher.join()
    entry = source.submit(1)
    batcher.close()
    with pytest.raises(InferenceError, match="closed"):
        entry.result()
    with pytest.raises(InferenceError, match="after close"):
        source.submit(2)
    assert not [thread for thread in threading.enumerate() if thread.name == "rtseg-batch"]
