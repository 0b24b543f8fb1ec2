"""What is measured, each in a window of its own: the pipeline, the bare engine, decoding alone, encoding alone."""

from __future__ import annotations

import itertools
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from rtseg.backends.base import Pending
from rtseg.bench.footage import Footage
from rtseg.bench.meter import KeepingSink, MeterSink
from rtseg.bench.places import sink_in
from rtseg.bench.processor import usable_cores
from rtseg.bench.settings import BenchOptions
from rtseg.bench.together import run_together
from rtseg.bench.window import Usage, Window
from rtseg.errors import SourceError
from rtseg.pipeline.opencv_threads import give_back_threads, take_one_thread
from rtseg.pipeline.pipeline import Pipeline
from rtseg.preprocess import to_network
from rtseg.render.effects import Effect
from rtseg.segmenter import Segmenter
from rtseg.sinks.base import StreamFormat
from rtseg.types import Frame, Segmentation, UInt8Array

MOST_KEPT_BYTES: Final = 96 * 2**20
"""Memory for composited frames that are encoded alone."""
MOST_KEPT_FRAMES: Final = 90
BARE_PICTURES: Final = 8
"""How many prepared pictures a bare engine is fed in turn."""
BUSY: Final = 0.9
"""One decoder or encoder that keeps fewer than this share of the cores busy is measured with one a core instead."""
GOLDEN: Final = 0.6180339887
"""Multiples of this, modulo 1, spread the phases of any number of cameras without making them tick in step."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that one combination needs to run."""

    footage: Footage
    segmenter: Segmenter
    effects: tuple[Effect, ...]
    sink: str
    policy: str | None
    options: BenchOptions


def measure_pipeline(job: Job, *, sources: int, seconds: float) -> Usage:
    """Run so many pipelines side by side through one engine.

    Raises:
        RtsegError: the first failure of any pipeline.
    """
    with tempfile.TemporaryDirectory(prefix="rtseg-bench-") as folder:
        window = Window(seconds)
        pipelines = [_pipeline(job, index, Path(folder), window) for index in range(sources)]

        def end() -> None:
            window.end()
            for pipeline in pipelines:
                pipeline.stop()

        run_together([pipeline.run for pipeline in pipelines], end=end)
    return window.usage()


def _pipeline(job: Job, index: int, folder: Path, window: Window) -> Pipeline:
    """Return one pipeline with a source of its own, whose frames and stages the window counts."""
    source = job.footage.open_as(pace_hz=job.options.pace_hz, phase=index * GOLDEN % 1)
    pipeline = Pipeline(
        source,
        job.segmenter,
        effects=job.effects,
        sinks=(sink_in(folder, job.sink, index, job.options), MeterSink(window)),
        policy=job.policy,
    )
    window.watch(pipeline.stats, source.decode)
    return pipeline


def measure_bare(segmenter: Segmenter, pictures: Sequence[UInt8Array], *, seconds: float) -> Usage:
    """Feed the engine prepared pictures, as many in flight as it takes, and do nothing else."""
    backend, window = segmenter.backend, Window(seconds)
    in_flight: deque[Pending] = deque()
    with _one_opencv_thread():
        for picture in itertools.cycle(pictures):
            if len(in_flight) >= backend.info.in_flight:
                in_flight.popleft().result()
                window.frame()
            if window.closed:
                break
            in_flight.append(backend.submit(picture))
        for pending in in_flight:
            pending.result()
    return window.usage()


def prepared_pictures(footage: Footage, segmenter: Segmenter) -> list[UInt8Array]:
    """Return the first frames of the footage as the engine takes them."""
    with footage.open_as() as source:
        frames = itertools.islice(source.frames(), BARE_PICTURES)
        return [to_network(frame.picture, segmenter.size_wh).rgb.copy() for frame in frames]


class DecodingAlone:
    """The source iterated without anything else; one decoder, or one a core where one leaves the cores idle."""

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._streams = 1

    def measure(self, seconds: float) -> Usage:
        """Decode for so long. Raises what the source raises."""
        usage = self._measure(seconds)
        if self._streams == 1 and usage.cpu_cores < BUSY * usable_cores():
            self._streams = usable_cores()
            usage = self._measure(seconds)
        return usage

    def _measure(self, seconds: float) -> Usage:
        window = Window(seconds)

        def decode() -> None:
            with self._footage.open_as() as source:
                for _ in source.frames():
                    window.frame()
                    if window.closed:
                        return

        with _one_opencv_thread():
            run_together([decode] * self._streams, end=window.end)
        return window.usage()


class EncodingAlone:
    """A sink given frames that were composited before; one sink, or one a core where one leaves the cores idle."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._streams = 1
        self._kept: list[tuple[Frame, Segmentation | None]] = []
        self._stream: StreamFormat | None = None

    def measure(self, seconds: float) -> Usage:
        """Write for so long. Raises what the sink raises."""
        if not self._kept:
            self._composite()
        usage = self._measure(seconds)
        if self._streams == 1 and usage.cpu_cores < BUSY * usable_cores():
            self._streams = usable_cores()
            usage = self._measure(seconds)
        return usage

    def _composite(self) -> None:
        """Keep the first frames of the footage as the pipeline gives them to a sink."""
        width, height = self._job.footage.info.size_wh
        count = max(2, min(MOST_KEPT_FRAMES, MOST_KEPT_BYTES // (width * height * 3 // 2)))
        keeper = KeepingSink()
        Pipeline(
            self._job.footage.open_as(),
            self._job.segmenter,
            effects=self._job.effects,
            sinks=(keeper,),
            policy="every",
            max_frames=count,
        ).run()
        if keeper.stream is None or len(keeper.kept) < 2:
            raise SourceError("bench: got less than two frames to encode; expected two or more. Give a longer source.")
        self._kept, self._stream = keeper.kept, keeper.stream

    def _measure(self, seconds: float) -> Usage:
        window = Window(seconds)
        with tempfile.TemporaryDirectory(prefix="rtseg-bench-") as folder, _one_opencv_thread():
            bodies = [partial(self._write, window, Path(folder), index) for index in range(self._streams)]
            run_together(bodies, end=window.end)
        return window.usage()

    def _write(self, window: Window, folder: Path, index: int) -> None:
        if self._stream is None:
            return
        with sink_in(folder, self._job.sink, index, self._job.options) as sink:
            sink.open(self._stream)
            for frame, result in to_and_fro(self._kept):
                sink.write(frame, result)
                window.frame()
                if window.closed:
                    return


def to_and_fro(kept: Sequence[tuple[Frame, Segmentation | None]]) -> Iterator[tuple[Frame, Segmentation | None]]:
    """Yield the frames forwards and backwards without end, numbered through: no cut that an encoder would pay for."""
    step = max(1, kept[1][0].pts - kept[0][0].pts)
    order = [*range(len(kept)), *range(len(kept) - 2, 0, -1)]
    for number, index in enumerate(itertools.cycle(order)):
        frame, result = kept[index]
        yield replace(frame, frame_index=number, pts=number * step), result


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Hold OpenCV to the one thread a stage that it has inside a pipeline."""
    take_one_thread()
    try:
        yield
    finally:
        give_back_threads()
