"""The life of a frame, top to bottom.

    1 capture   source -> decode ->                      [decoded]     thread rtseg-capture
    2 segment   preprocess -> infer -> postprocess ->    [segmented]   thread rtseg-segment, engine's own threads
    3 deliver   composite -> sinks                                     the caller's thread

Stages are passive; the threads are put round them here and nowhere else. A window has to be served by the main thread
on some systems, so delivery stays with the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from rtseg.errors import ConfigError, RtsegError
from rtseg.pipeline.channel import Channel
from rtseg.pipeline.device import Composited, DeviceChoice, DeviceRun, DeviceStage, choose_device
from rtseg.pipeline.device_ends import on_device, path_facts, takes_surfaces
from rtseg.pipeline.memory import release_freed_memory
from rtseg.pipeline.opencv_threads import give_back_threads, take_one_thread
from rtseg.pipeline.policy import CHANNEL_CAPACITY, DROP_CAUSE, check_policy, choose_policy
from rtseg.pipeline.report import Progress, Reporter, run_facts, stage_names, stream_format
from rtseg.pipeline.segmenting import Segmented, SegmentStage
from rtseg.pipeline.stage import Failure, Place, Stopwatch, Worker
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.render.effects import Effect
from rtseg.render.hud import HudState
from rtseg.segmenter import Segmenter
from rtseg.sinks.base import Sink
from rtseg.sources.base import Source, SourceInfo
from rtseg.stats import Stats, machine_facts
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

    Threading: `stop()` may be called from any thread; everything else belongs to the caller's.
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
    ) -> None:
        check_policy(policy)
        self.stats = Stats()
        self._source = source
        self._segmenter = segmenter
        self._sinks = tuple(sinks)
        self._sink_stages = stage_names([sink.name for sink in self._sinks])
        self._asked_policy = policy
        self._max_frames = max_frames
        self._on_command = on_command
        self._failure = Failure()
        self._workers: list[Worker] = []
        self._effects: dict[int, tuple[Effect, ...]] = {id(segmenter): tuple(effects)}
        self._compositors: dict[int, CpuCompositor] = {}
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
            self._open(place)
            for item in self._segmented if not self._stopped else ():
                self._deliver(item, place)
                if self._stopped or any(sink.wants_stop for sink in self._sinks):
                    self.stop()
            self._end_threads()
            self._failure.raise_first()
            self._close_sinks(place)
        except BaseException as error:
            self._failure.record(error, stage=place.stage, frame_index=place.frame_index)
            self._end_threads()
            self._abort_sinks()
            self._failure.raise_first()
            raise
        finally:
            self._end_threads()
            self._finish_stats()
        self._reporter.report(self._frames_expected(), force=True)
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
            self._open(place)
            for frame, result, *_ in self._segmented:
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
        for sink in self._sinks:
            sink.interrupt()
        for channel in (self._decoded, self._segmented) if self._workers else ():
            channel.abandon()

    def switch_segmenter(self, segmenter: Segmenter, effects: Sequence[Effect]) -> None:
        """Use another loaded model, with its effects, from the next captured frame on. Caller's thread.

        Raises:
            ConfigError: frames stay on a device in this run, and with that model they cannot.
        """
        if self._device.taken and not (choice := choose_device(segmenter, effects)).taken:
            raise ConfigError(f"switching the model: got {choice.reason}; expected one for the device in use. Restart.")
        self._effects[id(segmenter)] = tuple(effects)
        self._segmenter = segmenter

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What is drawn with the model in use."""
        return self._effects[id(self._segmenter)]

    def switch_effects(self, effects: Sequence[Effect]) -> None:
        """Draw something else from the next frame on. Caller's thread."""
        self._effects[id(self._segmenter)] = tuple(effects)
        self._close_compositors()

    @property
    def segmenter(self) -> Segmenter:
        """The model in use."""
        return self._segmenter

    @property
    def info(self) -> SourceInfo:
        """What is known of the source, once it is open."""
        return self._source.info

    # ---- opening ----------------------------------------------------------------------------------------------

    def _choose_device(self, place: Place) -> None:
        """Let frames stay on the device where they can, decoded and encoded there too; see pipeline/device.py."""
        with place.at("choose device", None):
            self._device = choose_device(self._segmenter, self.effects)
            if self._device.taken:
                self._source, self._sinks = on_device(self._source, self._sinks)

    def _begin(self) -> None:
        if self._started_ns:
            raise ConfigError("pipeline: got a second run; expected one a pipeline. Make a new pipeline.")
        self._started_ns = time.monotonic_ns()

    def _open(self, place: Place) -> None:
        with place.at("open source", None):
            self._source.open()
        info = self._source.info
        self.policy, self.policy_reason = choose_policy(self._asked_policy, info)
        self.stats.source_id = info.source_id
        self.stats.facts = run_facts(
            info,
            self._segmenter,
            policy={"name": self.policy, "reason": self.policy_reason},
            effects=[repr(effect) for effect in self.effects],
            sinks=[sink.name for sink in self._sinks],
        )
        stream = stream_format(info, self._segmenter, self.effects)
        for sink in self._sinks:
            with place.at(f"open {sink.name}", None):
                sink.open(stream)
        self.stats.facts["path"] = path_facts(self._device, self._source, self._sinks)
        capacity = CHANNEL_CAPACITY[self.policy]
        self._decoded: Channel[Frame] = Channel(capacity)
        self._segmented: Channel[Segmented] = Channel(capacity)
        self._workers = [
            Worker(self._capture, stage="decode", failure=self._failure, on_end=self._capture_ended),
            Worker(self._segment, stage="infer", failure=self._failure, on_end=self._segment_ended),
        ]
        for worker in self._workers:
            worker.start()
        place.stage = "deliver"

    # ---- 1 capture --------------------------------------------------------------------------------------------

    def _capture(self, place: Place) -> None:
        frames = self._source.frames()
        stage = self.stats.stage("decode")
        watch = Stopwatch()
        place.frame_index = 0
        for frame in frames:
            stage.add(watch.lap())
            self.stats.frames.decoded += 1
            self._hand_over(frame)
            place.frame_index = frame.frame_index + 1
            if self._max_frames is not None and self.stats.frames.decoded >= self._max_frames:
                return
            watch.lap()

    def _hand_over(self, frame: Frame) -> None:
        if self.policy == "every":
            self._decoded.put(frame)
        elif dropped := self._decoded.put_freshest(frame):
            self.stats.frames.dropped[DROP_CAUSE] += dropped

    def _capture_ended(self, failed: bool) -> None:
        if failed:
            self._abandon_all()
        self._decoded.finish()

    # ---- 2 segment --------------------------------------------------------------------------------------------

    def _segment(self, place: Place) -> None:
        if self._device.taken:
            DeviceStage(self._device_run(), policy=self.policy, stats=self.stats).run(place)
            return
        if self._device.taken:
            self._segment_on_device(place)
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

    def _segment_on_device(self, place: Place) -> None:
        run = DeviceRun(
            self._decoded,
            self._hand_on,
            lambda: (self._segmenter, self.effects),
            self._hud,
            lambda: takes_surfaces(self._sinks),
        )
        DeviceStage(run, policy=self.policy, stats=self.stats).run(place)

    def _hand_on(self, done: Composited) -> None:
        self._segmented.put(Segmented(done.frame, done.result, self._segmenter, done.shown))

    def _device_run(self) -> DeviceRun:
        def deliver(done: Composited) -> None:
            self._segmented.put(Segmented(done.frame, done.result, self._segmenter, done.shown))

        return DeviceRun(
            decoded=self._decoded,
            deliver=deliver,
            what=lambda: (self._segmenter, self.effects),
            hud=self._hud,
            stays_on_device=lambda: takes_surfaces(self._sinks),
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

    def _deliver(self, item: Segmented, place: Place) -> None:
        frame = item.frame
        watch = Stopwatch()
        with place.at("render", frame.frame_index):
            composited = self._composite(item)
        self.stats.stage("render").add(watch.lap())
        self.stats.latency.add(time.monotonic_ns() - frame.captured_ns)
        for sink, stage in zip(self._sinks, self._sink_stages, strict=True):
            with place.at(stage, frame.frame_index):
                watch.lap()
                sink.write(composited, item.result)
                self.stats.stage(stage).add(watch.lap())
                self._obey(sink)
        self.stats.frames.written += 1
        self._reporter.count_output(frame)
        self._reporter.report(self._frames_expected())

    def _composite(self, item: Segmented) -> Frame:
        if item.shown is not None:
            return item.shown
        key = id(item.segmenter)
        effects = self._effects[key]
        if not effects:
            return item.frame
        compositor = self._compositors.get(key)
        if compositor is None:
            compositor = CpuCompositor(effects, classes=item.segmenter.classes, palette=item.segmenter.palette)
            self._compositors[key] = compositor
        return item.frame.with_picture(compositor.composite(item.frame, item.result, hud=self._hud()))

    def _hud(self) -> HudState:
        reporter = self._reporter
        return HudState(
            fps=reporter.rate.hz, frame_age_ms=reporter.frame_age_ms, dropped=self.stats.frames.dropped.total()
        )

    def _obey(self, sink: Sink) -> None:
        if self._on_command is not None:
            for command in sink.take_commands():
                self._on_command(self, command)

    def _frames_expected(self) -> int | None:
        expected = self._source.info.frame_count
        if expected is None or self._max_frames is None:
            return expected if expected is not None else self._max_frames
        return min(expected, self._max_frames)

    # ---- ending -----------------------------------------------------------------------------------------------

    def _end_threads(self) -> None:
        """Close channels both ways, join the threads, close the source. Idempotent."""
        if self._workers:
            self._abandon_all()
        stuck = [worker for worker in self._workers if not worker.join()]
        if stuck:
            self.stats.notes.append("a source did not answer within 2 s and was left behind")
        else:
            self._source.close()
        self._close_compositors()

    def _close_compositors(self) -> None:
        for compositor in self._compositors.values():
            compositor.close()
        self._compositors.clear()

    def _close_sinks(self, place: Place) -> None:
        for sink in self._sinks:
            with place.at(f"close {sink.name}", None):
                sink.close()

    def _abort_sinks(self) -> None:
        for sink in self._sinks:
            try:
                sink.abort()
            except RtsegError as error:  # the run has failed already; what this sink lost is said in the notes
                self.stats.notes.append(str(error))

    def _finish_stats(self) -> None:
        stats = self.stats
        stats.wall_seconds = (time.monotonic_ns() - self._started_ns) / 1e9
        if stats.facts:
            stats.facts["machine"] = machine_facts()  # asked for last: looking up versions would delay the first frame
        lost = stats.frames.decoded - stats.frames.written - stats.frames.dropped.total()
        if lost > 0:
            stats.frames.dropped["failed" if self._failure else "stopped"] += lost
        stats.notes += [note for note in self._source.counters.notes if note not in stats.notes]
        for sink in self._sinks:
            stats.notes += [note for note in sink.notes if note not in stats.notes]
            stats.output_paths += [path for path in sink.outputs if path not in stats.output_paths]
        give_back_threads()
        release_freed_memory()
