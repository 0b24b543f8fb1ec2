"""The life of a frame, top to bottom.

    1 capture   source -> decode ->                      [decoded]     thread rtseg-capture; live sources: live.py
    2 segment   preprocess -> infer -> postprocess ->    [segmented]   thread rtseg-segment, engine's own threads
    3 deliver   composite -> sinks                                     the caller's thread

Stages are passive; the threads are put round them here and nowhere else. A window has to be served by the main thread
on some systems, so delivery stays with the caller.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from rtseg.errors import ConfigError
from rtseg.pipeline.channel import Channel
from rtseg.pipeline.delivery import Delivery
from rtseg.pipeline.device import DeviceChoice, DeviceRun, DeviceStage, choose_device
from rtseg.pipeline.device_ends import on_device, path_facts, takes_surfaces
from rtseg.pipeline.drawing import Drawing
from rtseg.pipeline.holding import HeldFrames, arrivals
from rtseg.pipeline.live import LiveCapture, open_live
from rtseg.pipeline.memory import release_freed_memory
from rtseg.pipeline.opencv_threads import give_back_threads, take_one_thread
from rtseg.pipeline.policy import CHANNEL_CAPACITY, check_policy, choose_policy, drop_cause
from rtseg.pipeline.report import Progress, Reporter, run_facts, settle, stream_format
from rtseg.pipeline.segmenting import Segmented, SegmentStage
from rtseg.pipeline.stage import JOIN_SECONDS, Failure, Place, Stopwatch, Worker
from rtseg.pipeline.watching import LiveOptions, SourceWatch
from rtseg.render.effects import Effect
from rtseg.render.hud import HudState
from rtseg.segmenter import Segmenter
from rtseg.sinks.base import Sink
from rtseg.sources.base import Source, SourceInfo, SourceState
from rtseg.stats import Stats
from rtseg.types import Frame, Segmentation


class Pipeline:
    """One source through one segmenter into any number of sinks. Used once: `run()` or `results()`.

    Args:
        source: where frames come from; opened and closed by the pipeline.
        segmenter: loaded model; stays open, so that several pipelines can share it.
        effects: what to draw, in order; none: the frame goes on as it is.
        sinks: where composited frames go to; opened, closed or aborted by the pipeline.
        policy: "every", "freshest", or None to choose by the kind of source.
        max_frames: stop after that many decoded frames.
        on_progress: called in the caller's thread, at most ten times a second.
        on_command: called in the caller's thread with each command that a sink's keys gave ("effect", "model" …).
        live: how a live source is treated: reconnection, staleness.
        label: how the source is called until it is open and says so itself.

    Threading: `stop()`, `source_state`, `source_detail`, `dropped` and `queue_depths()` may be used from any thread;
        everything else belongs to the caller's.
    """

    def __init__(
        self,
        source: Source,
        segmenter: Segmenter,
        *,
        effects: Sequence[Effect] = (),
        sinks: Sequence[Sink] = (),
        policy: str | None = None,
        max_frames: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_command: Callable[[Pipeline, str], None] | None = None,
        live: LiveOptions | None = None,
        label: str = "",
    ) -> None:
        check_policy(policy)
        self.stats = Stats(source_id=label)
        self._live = live or LiveOptions()
        self._watch = SourceWatch(source)
        self._capturing: LiveCapture | None = None
        self._held = HeldFrames()
        self._stopping = threading.Event()
        self._decoded: Channel[Frame] = Channel(1)
        self._segmented: Channel[Segmented] = Channel(1)
        self._source = source
        self._segmenter = segmenter
        self._delivery = Delivery(sinks, self.stats, self._obey)
        self._asked_policy = policy
        self._max_frames = max_frames
        self._on_command = on_command
        self._failure = Failure()
        self._workers: list[Worker] = []
        self._drawing = Drawing()
        self._drawing.use(segmenter, effects)
        self._reporter = Reporter(self.stats, on_progress)
        self._started_ns = 0
        self._stopped = False
        self._device = DeviceChoice(False, "host: results are given to the caller to keep")

    # ---- what callers use -------------------------------------------------------------------------------------

    def run(self) -> Stats:
        """Run to the end of the source, a stop or the first failure, and return what was measured.

        Raises:
            RtsegError: the first failure of any stage, with stage and frame index. The sinks have kept what they had.
        """
        self._begin()
        place = Place("open")
        take_one_thread()
        try:
            self._choose_device(place)
            opened = self._open(place)
            for item in arrivals(self._segmented, self._watch) if opened and not self._stopped else ():
                self._deliver(item, place) if item is not None else self._hold(place)
                if self._stopped or self._delivery.wants_stop:
                    self.stop()
            self._end_threads()
            self._failure.raise_first()
            if opened:
                self._delivery.close(place)
        except BaseException as error:
            self._failure.record(error, stage=place.stage, frame_index=place.frame_index)
            self._end_threads()
            self._delivery.abort()
            self._failure.raise_first()
            raise
        finally:
            self._end_threads()
            self._finish_stats()
        self._report(force=True)
        return self.stats

    def results(self) -> Iterator[tuple[Frame, Segmentation]]:
        """Yield every frame with its segmentation, uncomposited; closing the iterator ends the threads.

        Raises:
            RtsegError: the first failure of any stage, with stage and frame index.
        """
        self._begin()
        place = Place("open")
        take_one_thread()
        try:
            for frame, result, *_ in self._segmented if self._open(place) else ():
                self.stats.frames.written += 1
                self._reporter.count_output(frame)
                yield frame, result
            self._end_threads()
            self._failure.raise_first()
        finally:
            self._end_threads()
            self._finish_stats()

    def stop(self) -> None:
        """End the run early; what is written so far is finished normally. Idempotent, returns at once."""
        self._stopped = True
        self._stopping.set()
        self._source.interrupt()
        self._delivery.interrupt()
        for channel in (self._decoded, self._segmented) if self._workers else ():
            channel.abandon()

    def switch_segmenter(self, segmenter: Segmenter, effects: Sequence[Effect]) -> None:
        """Use another loaded model, with its effects, from the next captured frame on. Caller's thread.

        Raises:
            ConfigError: frames stay on a device in this run, and with that model they cannot.
        """
        if self._device.taken and not (choice := choose_device(segmenter, effects)).taken:
            raise ConfigError(f"switching the model: got {choice.reason}; expected one for the device in use. Restart.")
        self._drawing.use(segmenter, effects)
        self._segmenter = segmenter

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What is drawn with the model in use."""
        return self._drawing.effects_of(self._segmenter)

    def switch_effects(self, effects: Sequence[Effect]) -> None:
        """Draw something else from the next frame on. Caller's thread."""
        self._drawing.use(self._segmenter, effects)

    @property
    def segmenter(self) -> Segmenter:
        """The model in use."""
        return self._segmenter

    @property
    def info(self) -> SourceInfo:
        """What is known of the source, once it is open."""
        return self._source.info

    @property
    def source_state(self) -> SourceState:
        """What the source is doing: connecting, live, stalled, reconnecting, frozen or ended."""
        return self._watch.state

    @property
    def source_detail(self) -> str:
        """One line about that state, without credentials; empty where there is nothing to say."""
        return self._watch.detail

    def queue_depths(self) -> dict[str, int]:
        """Return how much waits in front of each stage: coded packets, decoded frames, segmented frames."""
        packets = 0 if self._capturing is None else self._capturing.waiting_packets
        return {"packets": packets, "decoded": len(self._decoded), "segmented": len(self._segmented)}

    @property
    def dropped(self) -> int:
        """Frames dropped so far, those that were never decoded among them. From any thread."""
        return self.stats.frames.dropped_decoded + self._source.counters.dropped_decode

    # ---- opening ----------------------------------------------------------------------------------------------

    def _choose_device(self, place: Place) -> None:
        """Let frames stay on the device where they can, decoded and encoded there too; see pipeline/device.py."""
        with place.at("choose device", None):
            self._device = choose_device(self._segmenter, self.effects)
            if self._device.taken:
                self._source, sinks = on_device(self._source, self._delivery.sinks)
                self._delivery = Delivery(sinks, self.stats, self._obey)
                self._watch = SourceWatch(self._source)

    def _begin(self) -> None:
        if self._started_ns:
            raise ConfigError("pipeline: got a second run; expected one a pipeline. Make a new pipeline.")
        self._started_ns = time.monotonic_ns()

    def _open(self, place: Place) -> bool:
        """Open source and sinks and start the threads; return False when the run was stopped meanwhile."""
        with place.at("open source", None):
            if not open_live(self._source, options=self._live, watch=self._watch, stopping=self._stopping):
                return False
        self._watch.now("live")
        info = self._source.info
        self.policy, self.policy_reason = choose_policy(self._asked_policy, info)
        self.stats.source_id = info.source_id
        self.stats.facts = run_facts(
            info,
            self._segmenter,
            policy={"name": self.policy, "reason": self.policy_reason},
            effects=[repr(effect) for effect in self.effects],
            sinks=[sink.name for sink in self._delivery.sinks],
        )
        stream = stream_format(info, self._segmenter, self.effects, audio_feed=self._source.audio)
        self._delivery.open(stream, place)
        self.stats.facts["path"] = path_facts(self._device, self._source, self._delivery.sinks)
        capacity = CHANNEL_CAPACITY[self.policy]
        self._decoded, self._segmented = Channel(capacity), Channel(capacity)
        self._workers = [
            Worker(
                self._capture,
                stage="decode",
                failure=self._failure,
                on_end=self._capture_ended,
            ),
            Worker(self._segment, stage="infer", failure=self._failure, on_end=self._segment_ended),
        ]
        for worker in self._workers:
            worker.start()
        place.stage = "deliver"
        return True

    # ---- 1 capture --------------------------------------------------------------------------------------------

    def _capture(self, place: Place) -> None:
        place.frame_index = 0
        self._capturing = LiveCapture(
            self._source,
            options=self._live,
            watch=self._watch,
            hand_over=self._hand_over,
            stats=self.stats,
            stopping=self._stopping,
            catches_up=self.policy == "freshest",
        )
        self._capturing.run(place)

    def _hand_over(self, frame: Frame) -> bool:
        """Give a frame to the segment stage; return True when it was the last one that is wanted."""
        self.stats.frames.decoded += 1
        is_last = self._max_frames is not None and self.stats.frames.decoded >= self._max_frames
        if self.policy == "every":
            self._decoded.put(frame)
            return is_last
        for dropped in self._decoded.displace(frame):
            waited_ns = time.monotonic_ns() - dropped.captured_ns
            self.stats.frames.dropped[drop_cause(waited_ns, self._live.staleness_seconds)] += 1
        return is_last

    def _capture_ended(self, failed: bool) -> None:
        if failed:
            self._abandon_all()
        self._decoded.finish()

    # ---- 2 segment --------------------------------------------------------------------------------------------

    def _segment(self, place: Place) -> None:
        if self._device.taken:
            DeviceStage(self._device_run(), policy=self.policy, stats=self.stats).run(place)
            return
        stage = SegmentStage(
            lambda: self._segmenter,
            self._decoded,
            self._segmented,
            policy=self.policy,
            stats=self.stats,
            failure=self._failure,
        )
        stage.run(place)

    def _device_run(self) -> DeviceRun:
        return DeviceRun(
            decoded=self._decoded,
            deliver=lambda done: self._segmented.put(Segmented(done.frame, done.result, self._segmenter, done.shown)),
            what=lambda: (self._segmenter, self.effects),
            hud=self._hud,
            stays_on_device=lambda: takes_surfaces(self._delivery.sinks),
        )

    def _segment_ended(self, failed: bool) -> None:
        if failed:
            self._abandon_all()
        self._decoded.abandon()
        self._segmented.finish()

    def _abandon_all(self) -> None:
        self._decoded.abandon()
        self._segmented.abandon()

    # ---- 3 deliver --------------------------------------------------------------------------------------------

    def _hold(self, place: Place) -> None:
        """Show the last frame again, with a mark, so that outputs go on while the source is silent."""
        again = self._held.again()
        if again is None:
            return
        self._delivery.write_held(*again, place)
        self.stats.frames.held = self._held.count
        self._report()

    def _deliver(self, item: Segmented, place: Place) -> None:
        frame = item.frame
        watch = Stopwatch()
        with place.at("render", frame.frame_index):
            composited = self._drawing.composite(item, self._hud())
            if self._source.info.live:
                composited = self._held.keep(composited, item.result)
        self.stats.stage("render").add(watch.lap())
        self.stats.latency.add(time.monotonic_ns() - frame.captured_ns)
        self._delivery.write(composited, item.result, place)
        self.stats.frames.written += 1
        self._reporter.count_output(frame)
        self._report()

    def _report(self, *, force: bool = False) -> None:
        self._reporter.report(
            self._frames_expected(),
            dropped=self.dropped,
            state=self._watch.state,
            outputs=self._delivery.trouble,
            force=force,
        )

    def _hud(self) -> HudState:
        reporter = self._reporter
        return HudState(fps=reporter.rate.hz, frame_age_ms=reporter.frame_age_ms, dropped=self.dropped)

    def _obey(self, command: str) -> None:
        if self._on_command is not None:
            self._on_command(self, command)

    def _frames_expected(self) -> int | None:
        expected = self._source.info.frame_count
        if expected is None or self._max_frames is None:
            return expected if expected is not None else self._max_frames
        return min(expected, self._max_frames)

    # ---- ending -----------------------------------------------------------------------------------------------

    def _end_threads(self) -> None:
        """Close channels both ways, join the threads, close the source. Idempotent."""
        self._stopping.set()
        if self._workers:
            self._abandon_all()
        deadline = time.monotonic() + JOIN_SECONDS
        while (alive := [w for w in self._workers if not w.join(0.05)]) and time.monotonic() < deadline:
            self._source.interrupt()
        if alive or (self._capturing is not None and self._capturing.is_stuck):
            self.stats.notes.append("a source did not answer within 2 s and was left behind")
        else:
            self._source.close()
        self._drawing.close()

    def _finish_stats(self) -> None:
        stats = self.stats
        self._watch.now("ended")
        stats.wall_seconds = (time.monotonic_ns() - self._started_ns) / 1e9
        settle(stats, self._source.counters, failed=bool(self._failure))
        self._delivery.note()
        give_back_threads()
        release_freed_memory()
