"""Several sources through one engine on the device: right pixels in any order of events, nobody held up."""

from __future__ import annotations

import random
import threading
import time
from collections import deque

import numpy as np
import pytest

from tests.kernels.interpreter import kernel_device

pytestmark = pytest.mark.needs_torch
torch = pytest.importorskip("torch")
KIND = kernel_device()

from rtseg.backends.device_runtime import DeviceRuntime  # noqa: E402
from rtseg.cuda import batched  # noqa: E402
from rtseg.cuda.frame_work import FrameWork  # noqa: E402
from rtseg.errors import InferenceError  # noqa: E402
from rtseg.pipeline import device_batch  # noqa: E402
from rtseg.pipeline.channel import Channel  # noqa: E402
from rtseg.pipeline.device import DeviceRun, DeviceStage, engine_choice  # noqa: E402
from rtseg.pipeline.device_batch import join  # noqa: E402
from rtseg.pipeline.stage import Place  # noqa: E402
from rtseg.preprocess import to_network  # noqa: E402
from rtseg.stats import Stats  # noqa: E402
from tests.cuda.parts import NETWORK_WH, TinyEngine, TinySegmenter, rgb_frame  # noqa: E402

SOURCES = 3


class Mark:
    passed = False


class Event:
    def __init__(self):
        self.mark = Mark()
        self.mark.passed = True

    def record(self, stream):
        mark = self.mark = Mark()

        def reach():
            mark.passed = True

        stream.queue.append(reach)


class Stream:
    def __init__(self, *, deaf):
        self.queue = deque()
        self._deaf = deaf

    def wait_event(self, event):
        if not self._deaf:
            self.queue.append(event.mark)

    @property
    def ready(self):
        return bool(self.queue) and (not isinstance(self.queue[0], Mark) or self.queue[0].passed)


class Reordering(DeviceRuntime):
    """Streams that go on in any order that events allow; `deaf` ones ignore them, as if the wait had been forgotten."""

    device = torch.device("cpu")
    slots = 1
    has_graphs = False

    def __init__(self, seed, *, deaf):
        self._random, self._deaf = random.Random(seed), deaf
        self.streams = []

    def new_stream(self):
        self.streams.append(Stream(deaf=self._deaf))
        return self.streams[-1]

    def new_event(self, *, blocking):
        return Event()

    def launch(self, stream, work):
        stream.queue.append(work)

    def record(self, stream, work):
        return work

    def host_tensor(self, shape, dtype):
        return torch.zeros(shape, dtype=dtype)

    def memory_bytes(self):
        return None

    def synchronize(self):
        while ready := [stream for stream in self.streams if stream.ready]:
            head = self._random.choice(ready).queue.popleft()
            if not isinstance(head, Mark):
                head()


def value_of(source, index):
    return float(10 * source + index + 1)


def run_sources(monkeypatch, seed, *, deaf=False, frames=4):
    """What each source found in its outputs, frame after frame."""
    runtime = Reordering(seed, deaf=deaf)
    monkeypatch.setattr(batched, "runtime_for", lambda device: runtime)
    engine = TinyEngine("cpu", batch=SOURCES)
    lanes = [join(engine, wait_seconds=5.0) for _ in range(SOURCES)]
    found = [[] for _ in range(SOURCES)]

    def serve(source):
        stream = runtime.new_stream()
        for index in range(frames):
            context = lanes[source].engine.new_context()
            seen = torch.zeros(1)
            found[source].append(seen)
            value = value_of(source, index)
            runtime.launch(stream, lambda c=context, v=value: c.input.fill_(v))
            context.enqueue(stream)
            runtime.launch(stream, lambda c=context, s=seen: s.copy_(c.outputs["mask"].mean()))

    threads = [threading.Thread(target=serve, args=(source,)) for source in range(SOURCES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    sizes = lanes[0].sizes
    for lane in lanes:
        lane.leave()
    runtime.synchronize()
    return [[float(seen) for seen in series] for series in found], sizes


@pytest.mark.parametrize("seed", range(6))
def test_in_every_order_of_events_each_source_gets_its_own_pictures_and_batches_are_full(monkeypatch, seed):
    found, sizes = run_sources(monkeypatch, seed)
    assert found == [[value_of(source, index) for index in range(4)] for source in range(SOURCES)]
    assert sizes == {SOURCES: 4}


def test_control_without_the_events_pictures_would_be_mixed_up(monkeypatch):
    wanted = [[value_of(source, index) for index in range(4)] for source in range(SOURCES)]
    assert any(run_sources(monkeypatch, seed, deaf=True)[0] != wanted for seed in range(6))


@pytest.fixture
def one_at_a_time(monkeypatch):
    """Triton's interpreter runs one kernel at a time; a GPU needs no such thing."""
    lock = threading.Lock()

    def locked(plain):
        def run(self):
            with lock:
                plain(self)

        return run

    for name in ("_before", "_after") if KIND == "cpu" else ():
        monkeypatch.setattr(FrameWork, name, locked(getattr(FrameWork, name)))


def stage_of(segmenter, decoded, came):
    stats = Stats()
    run = DeviceRun(decoded, came.append, lambda: (segmenter, ()), lambda: None, lambda: False)
    return DeviceStage(run, policy="every", stats=stats), stats


def start(stage, errors):
    def run():
        try:
            stage.run(Place("infer"))
        except InferenceError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def check(came, indices):
    assert [done.frame.frame_index for done in came] == indices
    for done in came:
        small = to_network(done.frame.picture, NETWORK_WH).rgb
        np.testing.assert_array_equal(done.result.network_labels, small.argmax(2))


def filled(indices, size_wh=(48, 32)):
    channel: Channel = Channel(len(indices))
    for index in indices:
        channel.put(rgb_frame(index, size_wh))
    channel.finish()
    return channel


def test_sources_of_several_sizes_share_an_engine_each_in_its_order(one_at_a_time):
    segmenter = TinySegmenter(KIND, batch=2)
    assert engine_choice(segmenter, [], segmenter.engine).reason.startswith("device: up to 2 sources batched")
    came, errors = [[], []], []
    indices = [list(range(6)), list(range(50, 56))]
    stages = [
        stage_of(segmenter, filled(own, size_wh), found)
        for own, size_wh, found in zip(indices, [(48, 32), (64, 40)], came, strict=True)
    ]
    for thread in [start(stage, errors) for stage, _ in stages]:
        thread.join(60)
    assert not errors
    check(came[0], indices[0])
    check(came[1], indices[1])
    assert all(stats.facts["batches"]["most"] == 2 for _, stats in stages)
    assert not device_batch._SHARED
    assert not [thread for thread in threading.enumerate() if thread.name == "rtseg-batch"]


def test_a_source_that_stands_still_holds_nobody_up(one_at_a_time):
    segmenter = TinySegmenter(KIND, batch=2)
    slow: Channel = Channel(4)
    slow.put(rgb_frame(0))
    came, errors = [[], []], []
    stages = [stage_of(segmenter, slow, came[0])[0], stage_of(segmenter, filled(list(range(8))), came[1])[0]]
    threads = [start(stage, errors) for stage in stages]
    threads[1].join(60)
    assert threads[0].is_alive()  # it waits for its next frame
    check(came[1], list(range(8)))
    slow.put(rgb_frame(1))
    slow.finish()
    threads[0].join(60)
    assert not errors
    check(came[0], [0, 1])


def test_a_failing_batch_is_tried_again_picture_by_picture(one_at_a_time):
    if KIND == "cuda":
        pytest.skip("a recorded graph does not ask the engine again")
    segmenter = TinySegmenter(KIND, batch=2, fail_at=(1,))
    came, errors = [[], []], []
    stages = [stage_of(segmenter, filled(list(range(3))), found)[0] for found in came]
    for thread in [start(stage, errors) for stage in stages]:
        thread.join(60)
    assert not errors
    for found in came:
        check(found, [0, 1, 2])


def test_a_lane_that_was_left_takes_no_picture():
    lane = join(TinyEngine(KIND, batch=2))
    context = lane.engine.new_context()
    lane.leave()
    lane.leave()
    with pytest.raises(InferenceError, match="was left"):
        context.enqueue(None if KIND == "cpu" else torch.cuda.Stream())


def test_what_waits_is_bounded_by_the_window():
    lane, other = join(engine := TinyEngine("cpu", batch=2), wait_seconds=0.05), join(engine)
    started = time.monotonic()
    lane.engine.new_context().enqueue(None)
    assert 0.04 <= time.monotonic() - started < 2
    other.leave()
    lane.leave()
