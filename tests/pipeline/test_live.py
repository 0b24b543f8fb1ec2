"""Live capture: silence is noticed, a lost source is found again, the last frame is held, lag is caught up with."""

from __future__ import annotations

import threading
import time

import pytest

from rtseg.errors import ConfigError, SourceError
from rtseg.pipeline import live, watching
from rtseg.pipeline.live import next_wait_seconds
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.watching import LiveOptions
from rtseg.sinks.base import Sink
from tests.pipeline.live_parts import ScriptedSource, until
from tests.pipeline.parts import CountingSource, StubSegmenter, our_threads


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert our_threads() == []


@pytest.fixture
def quick(monkeypatch):
    """Half a second of silence is a stall, and waits are short."""
    monkeypatch.setattr(watching, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(watching, "KEYFRAME_SECONDS", 0.5)
    monkeypatch.setattr(live, "KEYFRAME_SECONDS", 0.5)
    monkeypatch.setattr(live, "FIRST_WAIT_SECONDS", 0.1)


class KeepingSink(Sink):
    """Keeps every frame, held ones among them."""

    name = "keeping"

    def __init__(self):
        self.frames = []

    def open(self, stream):
        pass

    def write(self, frame, result):
        self.frames.append((frame, result))

    def close(self):
        pass

    @property
    def fresh(self):
        return [frame for frame, _ in self.frames if not frame.held]

    @property
    def held(self):
        return [frame for frame, _ in self.frames if frame.held]


def running(source, **options):
    sink = KeepingSink()
    pipeline = Pipeline(source, StubSegmenter(), sinks=[sink], **options)
    thread = threading.Thread(target=pipeline.run, name="test-run")
    thread.start()
    return pipeline, sink, thread


def test_a_source_that_breaks_off_is_found_again_and_frames_go_on(quick):
    source = ScriptedSource("kppppppp", "kppppppp")
    pipeline, sink, thread = running(source)
    thread.join(20)
    assert len(source.opens) == 2
    assert source.closes >= 1
    indices = [frame.frame_index for frame in sink.fresh]
    assert indices == sorted(set(indices))
    assert indices[-1] == 15
    assert pipeline.stats.to_json()["source_health"]["reconnects"] == 1
    assert any("found again once" in note for note in pipeline.stats.notes)


def test_a_silent_source_is_stalled_held_with_a_mark_and_left(quick):
    source = ScriptedSource("kppp~", "kppp", fails_open=3)
    pipeline, sink, thread = running(source)
    states = set()
    until(lambda: states.add(pipeline.source_state) or not thread.is_alive())
    thread.join(20)
    assert "live" in states
    assert "stalled" in states or "reconnecting" in states
    assert sink.held
    assert {frame.held for frame in sink.held} == {"reconnecting"}
    times = [frame.pts_seconds for frame, _ in sink.frames]
    assert times == sorted(set(times))
    shown = sink.held[0].picture
    assert shown.mean() != pytest.approx(sink.fresh[3].picture.mean())  # dimmed: it cannot be taken for a live picture
    assert pipeline.stats.frames.held == len(sink.held)
    assert pipeline.stats.frames.written == len(sink.fresh)


def test_a_source_that_is_not_silent_is_never_held(quick):
    """The control: the same source without the silence."""
    source = ScriptedSource("kppp" + "-" * 8 + "ppp")
    pipeline, sink, thread = running(source)
    thread.join(20)
    assert len(source.opens) == 1
    assert not sink.held
    assert pipeline.source_state == "ended"


def test_packets_without_pictures_do_not_count_as_a_picture(quick, monkeypatch):
    source = ScriptedSource("k" + "b" * 1000, "kpp", interval_seconds=0.01, fails_open=3)
    original = source.decode
    monkeypatch.setattr(source, "decode", lambda packet: [] if packet.payload == "b" else original(packet))
    _, sink, thread = running(source)
    thread.join(20)
    assert len(source.opens) == 5
    assert sink.held


def test_a_stream_that_can_no_longer_be_decoded_is_opened_anew_without_waiting_for_a_key_frame(quick, monkeypatch):
    monkeypatch.setattr(live, "KEYFRAME_SECONDS", 30.0)
    source = ScriptedSource("kpp" + "x" * 1000, "kpp", fails_open=3)
    started = time.monotonic()
    _, sink, thread = running(source)
    thread.join(20)
    assert time.monotonic() - started < 15
    assert len(source.opens) == 5
    assert sink.held


def test_it_is_tried_again_and_again_with_growing_waits(quick):
    source = ScriptedSource("kpp", "kpp", fails_open=3)
    pipeline, sink, thread = running(source)
    details = set()
    until(lambda: details.add(pipeline.source_detail) or not thread.is_alive())
    thread.join(20)
    assert len(source.opens) == 5
    gaps = [after - before for before, after in zip(source.opens[1:], source.opens[2:], strict=False)]
    assert gaps[0] >= 0.1
    assert gaps[2] >= 0.4 > 0.1
    assert any("refused" in detail for detail in details)
    assert sink.fresh[-1].frame_index == 5


def test_waits_double_up_to_the_cap():
    waits = [0.0]
    for _ in range(7):
        waits.append(next_wait_seconds(waits[-1], 30))
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("reopens", [True, False])
def test_without_reconnection_a_lost_source_is_the_end(quick, reopens):
    source = ScriptedSource("kpp!", "kpp", can_reopen=reopens)
    options = LiveOptions(reconnect_max_seconds=0 if reopens else 30)
    pipeline = Pipeline(source, StubSegmenter(), sinks=[KeepingSink()], live=options)
    with pytest.raises(SourceError, match="its end"):
        pipeline.run()
    assert len(source.opens) == 1


def test_a_stop_gets_through_while_a_lost_source_is_waited_for(quick):
    source = ScriptedSource("kpp", fails_open=1000)
    source.scripts.append("k")
    pipeline, _, thread = running(source)
    until(lambda: pipeline.source_state == "reconnecting")
    started = time.monotonic()
    pipeline.stop()
    thread.join(10)
    assert time.monotonic() - started < 2


def test_a_stop_gets_through_to_a_source_that_is_silent():
    pipeline, sink, thread = running(ScriptedSource("kpp~"))
    until(lambda: bool(sink.fresh))
    started = time.monotonic()
    pipeline.stop()
    thread.join(10)
    assert time.monotonic() - started < 2


class HangingOpen(ScriptedSource):
    def open(self):
        self._interrupted.wait(30)
        raise SourceError("opening x: got a stop")


def test_a_stop_gets_through_to_a_connect_that_hangs():
    pipeline, sink, thread = running(HangingOpen("k"))
    time.sleep(0.2)
    assert pipeline.source_state == "connecting"
    started = time.monotonic()
    pipeline.stop()
    thread.join(10)
    assert time.monotonic() - started < 2
    assert (pipeline.stats.frames.written, sink.frames) == (0, [])


def test_a_source_that_is_not_there_yet_can_be_waited_for(quick):
    class Late(ScriptedSource):
        def open(self):
            self.opens.append(time.monotonic())
            if len(self.opens) < 3:
                raise SourceError("opening x: got refused")

    source = Late("kpp")
    with pytest.raises(SourceError, match="refused"):
        Pipeline(Late("kpp"), StubSegmenter()).run()  # the control: without the wish it is an error
    stats = Pipeline(source, StubSegmenter(), live=LiveOptions(waits_for_source=True)).run()
    assert len(source.opens) == 3
    assert stats.frames.decoded == 3


def test_decoding_that_keeps_up_decodes_everything():
    source = ScriptedSource("k" + "pb" * 20, interval_seconds=0.005)
    pipeline, _, thread = running(source)
    thread.join(20)
    assert "".join(source.decoded) == "k" + "pb" * 20
    assert pipeline.stats.frames.dropped["decode"] == 0


def test_decoding_that_falls_behind_leaves_out_what_nobody_refers_to_and_then_jumps(monkeypatch):
    monkeypatch.setattr("rtseg.pipeline.packets.SKIP_SECONDS", 0.05)
    monkeypatch.setattr("rtseg.pipeline.packets.JUMP_SECONDS", 0.3)
    source = ScriptedSource(("k" + "pb" * 30) * 4, interval_seconds=0.002, decode_seconds=0.02)
    pipeline, _, thread = running(source)
    thread.join(30)
    dropped = pipeline.stats.frames.dropped["decode"]
    assert dropped > 30
    assert source.restarts >= 1
    assert source.decoded.count("b") < source.decoded.count("p")
    jumps = [after for before, after in zip(source.decoded, source.decoded[1:], strict=False) if after == "k"]
    assert jumps
    assert pipeline.stats.frames.decoded + dropped <= 244
    assert pipeline.stats.to_json()["frames"]["dropped"]["decode"] == dropped


def test_every_on_a_live_source_leaves_nothing_out(monkeypatch):
    """The control of the test above."""
    monkeypatch.setattr("rtseg.pipeline.packets.SKIP_SECONDS", 0.01)
    monkeypatch.setattr("rtseg.pipeline.packets.JUMP_SECONDS", 0.05)
    source = ScriptedSource("k" + "pb" * 20, interval_seconds=0.001, decode_seconds=0.005)
    pipeline, sink, thread = running(source, policy="every")
    thread.join(20)
    assert len(sink.fresh) == 41
    assert pipeline.stats.frames.dropped.total() == 0


def test_a_picture_that_repeats_is_noticed(monkeypatch):
    monkeypatch.setattr(watching, "FROZEN_SECONDS", 0.3)
    source = ScriptedSource("k" + "p" * 300, interval_seconds=0.01)
    source.same_picture = True
    pipeline, _, thread = running(source)
    until(lambda: pipeline.source_state == "frozen")
    until(lambda: bool(source.counters.notes))
    source.same_picture = False
    until(lambda: pipeline.source_state in ("live", "ended"))
    thread.join(20)
    assert source.counters.repeated > 5
    assert any("same picture" in note for note in pipeline.stats.notes)


def test_how_much_waits_can_be_asked_at_any_time():
    source = ScriptedSource("k" + "p" * 40, interval_seconds=0.001, decode_seconds=0.02)
    pipeline, _, thread = running(source)
    seen = []
    until(lambda: seen.append(pipeline.queue_depths()) or not thread.is_alive())
    thread.join(10)
    assert max(depths["packets"] for depths in seen) > 5
    assert all(depths["decoded"] <= 2 and depths["segmented"] <= 2 for depths in seen)


def test_results_of_a_slow_sink_are_dropped_rather_than_queued():
    sink = KeepingSink()
    original = sink.write

    def write(frame, result):
        time.sleep(0.05)
        original(frame, result)

    sink.write = write
    source = CountingSource(100, live=True, interval_seconds=0.005)
    stats = Pipeline(source, StubSegmenter(), sinks=[sink]).run()
    assert stats.frames.dropped["newer_result"] > 10
    assert stats.frames.decoded == stats.frames.written + stats.frames.dropped.total()


@pytest.mark.parametrize("wrong", [{"reconnect_max_seconds": -1}, {"staleness_seconds": 100}])
def test_options_that_cannot_be_right_are_refused(wrong):
    with pytest.raises(ConfigError):
        LiveOptions(**wrong)


def test_a_frame_that_waited_beyond_the_budget_is_counted_as_stale():
    source = CountingSource(20, live=True, interval_seconds=0.03)
    stats = Pipeline(
        source, StubSegmenter(sleep_seconds=0.15), sinks=[KeepingSink()], live=LiveOptions(staleness_seconds=0.01)
    ).run()
    assert stats.frames.dropped["stale"] > 3
    assert stats.frames.dropped["newer_frame"] == 0
