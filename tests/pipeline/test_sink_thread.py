"""A live sink behind its queue: it never slows the run, comes back when its peer does, and ends in time."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest

from rtseg.cli.progress import rate_text
from rtseg.errors import SinkError, StageError
from rtseg.pipeline import sink_thread
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.sink_thread import IsolatedSink, isolate
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import Frame, Yuv420
from tests.pipeline.parts import Boom, CountingSink, CountingSource, StubSegmenter, our_threads

STREAM = StreamFormat("x", (16, 8), Fraction(1, 30), Fraction(30), ("a",), ((0, 0, 0),))


class PeerSink(Sink):
    """A live sink whose peer is slow, stuck, or gone on demand."""

    live: ClassVar[bool] = True
    name = "peer"

    def __init__(self, *, sleep_seconds=0.0, stuck_at=None, lost_at=(), fail_opens=(), boom_at=None):
        self.sleep_seconds = sleep_seconds
        self.stuck_at = stuck_at
        self.lost_at = set(lost_at)
        self.fail_opens = set(fail_opens)
        self.boom_at = boom_at
        self.opened = self.closed = self.aborted = 0
        self.frames: list[tuple[int, int]] = []
        self.freed = threading.Event()

    def open(self, stream):
        self.opened += 1
        if self.opened in self.fail_opens:
            raise SinkError("peer: got no peer; expected one. Start it.")

    def write(self, frame, result):
        if frame.frame_index == self.boom_at:
            raise Boom("bug")
        if self.stuck_at is not None and frame.frame_index >= self.stuck_at:
            self.freed.wait(20)
            raise SinkError("peer: got cut; expected to go on. Nothing.")
        if frame.frame_index in self.lost_at:
            self.lost_at.discard(frame.frame_index)
            raise SinkError("peer: got a lost connection; expected a peer. Check it.")
        time.sleep(self.sleep_seconds)
        picture = frame.picture.y if isinstance(frame.picture, Yuv420) else frame.picture
        self.frames.append((frame.frame_index, int(picture.flat[0])))

    def close(self):
        self.closed += 1

    def abort(self):
        self.aborted += 1

    def cut(self):
        self.freed.set()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert our_threads() == []


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(sink_thread, "FIRST_PAUSE_SECONDS", 0.05)


def frame_of(index: int, picture=None) -> Frame:
    picture = np.full((8, 16, 3), index % 256, np.uint8) if picture is None else picture
    return Frame(picture, index, index, Fraction(1, 30), time.monotonic_ns(), "x")


def wait_until(true, seconds=5.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_only_live_sinks_are_isolated_and_only_once():
    plain, live = CountingSink(), PeerSink()
    sinks = isolate([plain, live])
    assert sinks[0] is plain
    assert isinstance(sinks[1], IsolatedSink)
    assert isolate(sinks) == sinks


def test_a_quick_peer_gets_everything_in_order():
    peer = PeerSink()
    sink = IsolatedSink(peer, queue_frames=100)
    sink.open(STREAM)
    for index in range(50):
        sink.write(frame_of(index), None)
    sink.close()
    assert peer.frames == [(index, index) for index in range(50)]
    assert (peer.closed, peer.aborted, sink.sent, sink.dropped.total()) == (1, 0, 50, 0)
    assert sink.notes == ()


def test_a_slow_peer_loses_the_oldest_and_the_caller_no_time():
    peer = PeerSink(sleep_seconds=0.03)
    sink = IsolatedSink(peer, queue_frames=4)
    sink.open(STREAM)
    began = time.monotonic()
    for index in range(200):
        sink.write(frame_of(index), None)
    assert time.monotonic() - began < 0.5  # waiting for the peer would be 6 s
    sink.close()
    got = [index for index, _ in peer.frames]
    assert got == sorted(got)
    assert got[-1] == 199  # the newest is there
    assert sink.dropped == {"sink peer": 200 - len(got)}
    assert "frames were not sent" in sink.notes[0]


def test_pixels_may_be_drawn_on_again_after_write():
    peer = PeerSink(sleep_seconds=0.01)
    sink = IsolatedSink(peer, queue_frames=50)
    sink.open(STREAM)
    rgb = np.zeros((8, 16, 3), np.uint8)
    planes = Yuv420(np.zeros((8, 16), np.uint8), np.zeros((4, 8), np.uint8), np.zeros((4, 8), np.uint8))
    for index in range(20):
        picture = planes if index % 2 else rgb
        (planes.y if index % 2 else rgb)[:] = index
        sink.write(frame_of(index, picture), None)
    sink.close()
    assert peer.frames == [(index, index) for index in range(20)]


def test_a_peer_that_is_lost_is_found_again():
    peer = PeerSink(lost_at=[5], fail_opens=[2, 3])
    sink = IsolatedSink(peer)
    sink.open(STREAM)
    states = set()
    index = 0
    while sink.reconnects == 0 or index < 400:
        sink.write(frame_of(index), None)
        states.add(sink.state)
        index += 1
        time.sleep(0.002)
        assert index < 5000
    sink.close()
    assert states == {"live", "reconnecting"}
    assert (peer.opened, peer.aborted, sink.reconnects) == (4, 1, 1)
    assert sink.sent + sink.dropped.total() == index  # every frame is accounted for
    assert any("lost once" in note for note in sink.notes)
    assert sink.state == "ended"


def test_pauses_double(monkeypatch):
    pauses = []
    monkeypatch.setattr(IsolatedSink, "_pause", lambda self, seconds: pauses.append(seconds) or len(pauses) == 8)
    monkeypatch.setattr(sink_thread, "FIRST_PAUSE_SECONDS", 1.0)
    sink = IsolatedSink(PeerSink(lost_at=[0], fail_opens=range(2, 20)))
    sink.open(STREAM)
    sink.write(frame_of(0), None)
    wait_until(lambda: sink.state == "ended")
    sink.close()
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_first_connection_s_failure_is_the_run_s():
    peer = PeerSink(fail_opens=[1])
    sink = IsolatedSink(peer)
    with pytest.raises(SinkError, match="no peer"):
        sink.open(STREAM)
    sink.abort()
    assert peer.opened == 1


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_stuck_peer_holds_no_end_up(end):
    peer = PeerSink(stuck_at=3)
    sink = IsolatedSink(peer)
    sink.open(STREAM)
    for index in range(4):
        sink.write(frame_of(index), None)
        wait_until(lambda: sink.waiting == 0)
    for index in range(4, 20):
        sink.write(frame_of(index), None)
    assert len(peer.frames) == 3
    began = time.monotonic()
    getattr(sink, end)()
    assert time.monotonic() - began < 2.0
    assert sink.sent + sink.dropped.total() + sink.waiting <= 20


def test_an_end_during_a_pause_is_quick(monkeypatch):
    monkeypatch.setattr(sink_thread, "FIRST_PAUSE_SECONDS", 30.0)
    sink = IsolatedSink(PeerSink(lost_at=[0]))
    sink.open(STREAM)
    sink.write(frame_of(0), None)
    wait_until(lambda: sink.state == "reconnecting")
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 0.5


def test_a_bug_in_a_sink_ends_the_run():
    sink = IsolatedSink(PeerSink(boom_at=2))
    sink.open(STREAM)
    for index in range(3):
        sink.write(frame_of(index), None)
    wait_until(lambda: sink.state == "ended")
    with pytest.raises(StageError, match="bug"):
        sink.write(frame_of(3), None)
    sink.abort()


def test_frames_are_held_back_until_they_are_due():
    peer = PeerSink()
    sink = IsolatedSink(peer, paced=True)
    sink.open(STREAM)
    began = time.monotonic()
    for index in range(10):
        sink.write(frame_of(index), None)
    assert time.monotonic() - began == pytest.approx(9 / 30, abs=0.1)
    sink.close()
    assert len(peer.frames) == 10


def run_beside(peer: Sink) -> tuple[CountingSink, float, Pipeline]:
    beside = CountingSink()
    pipeline = Pipeline(CountingSource(150), StubSegmenter(), sinks=[beside, peer])
    began = time.monotonic()
    pipeline.run()
    return beside, time.monotonic() - began, pipeline


def test_a_stuck_peer_beside_another_sink_costs_it_nothing():
    (isolated,) = isolate([PeerSink(stuck_at=3)])
    beside, seconds, pipeline = run_beside(isolated)
    assert beside.indices == list(range(150))
    assert seconds < 4.0  # with the second that the stuck peer is given at the end
    assert any("not sent" in note for note in pipeline.stats.notes)
    facts = pipeline.stats.to_json()["live_sinks"]["sink peer"]
    assert facts["sent"] <= 3
    assert facts["sent"] + facts["dropped"]["sink peer"] == 150
    assert pipeline.stats.frames.dropped.total() == 0  # no frame of the run is lost


def test_progress_says_which_output_is_not_connected(monkeypatch):
    monkeypatch.setattr(sink_thread, "FIRST_PAUSE_SECONDS", 30.0)
    told = []
    (lost,) = isolate([PeerSink(lost_at=[0])])
    source = CountingSource(60, interval_seconds=0.02)
    Pipeline(source, StubSegmenter(), sinks=[CountingSink(), lost], on_progress=told.append).run()
    assert "peer reconnecting" in {progress.outputs for progress in told}
    said = next(progress for progress in told if progress.outputs)
    assert rate_text(said).endswith("drops 0  peer reconnecting")


def test_a_slow_peer_without_the_isolation_would_slow_the_run():
    _, alone, _ = run_beside(CountingSink())
    _, slowed, _ = run_beside(PeerSink(sleep_seconds=0.01))
    (isolated,) = isolate([PeerSink(sleep_seconds=0.01)])
    beside, kept, _ = run_beside(isolated)
    assert slowed >= 1.5
    assert kept < alone + 1.0
    assert beside.indices == list(range(150))
