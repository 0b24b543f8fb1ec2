"""A benchmark, start to end: every setting prepared, measured in rounds with all others, and put into one document."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from rtseg.api import effects_for
from rtseg.bench.capacity import CapacitySearch, Trial, capacity_json, trial_of
from rtseg.bench.engines import EngineKey, Engines, bundle_of
from rtseg.bench.footage import Footage, footage_of
from rtseg.bench.glass import WARM_UP_FRAMES, GlassMeasurement, glass_pair, measure_glass
from rtseg.bench.gpu import GpuMeter
from rtseg.bench.machine import measured_machine
from rtseg.bench.parts import (
    DecodingAlone,
    EncodingAlone,
    Job,
    measure_bare,
    measure_pipeline,
    prepared_pictures,
)
from rtseg.bench.places import sink_in, writes_video
from rtseg.bench.processor import memory_peak_mib, restart_memory_peak, usable_cores
from rtseg.bench.results import error_json, result_json
from rtseg.bench.settings import BenchOptions, Setting
from rtseg.bench.summary import Repetition
from rtseg.bench.window import Usage
from rtseg.bench.wording import not_timed, timed
from rtseg.errors import RtsegError
from rtseg.models.bundle import Bundle
from rtseg.types import UInt8Array

FORMAT = 1
"""Number of the document's format."""
MOST_ALONE_SECONDS = 1.5
"""Decoding and encoding are fast: so long is enough for hundreds of frames."""


Alone = tuple[Usage, Usage | None, Usage | None]
"""The bare engine, decoding and encoding, each measured alone."""


class Ran(NamedTuple):
    """What was measured of a pipeline in one window."""

    usage: Usage
    gpu: dict[str, float] | None
    memory_peak_mib: float | None
    memory_restarted: bool

    def repetition(self, alone: Alone) -> Repetition:
        """Return it with what was measured alone in the same round."""
        return Repetition(self.usage, *alone, self.gpu, self.memory_peak_mib, self.memory_restarted)


@dataclass(slots=True)
class Prepared:
    """A setting that is ready to run, and what was measured of it so far."""

    setting: Setting
    engine_key: EngineKey
    job: Job
    pictures: list[UInt8Array]
    decoding: DecodingAlone | None
    encoding: EncodingAlone | None
    repetitions: list[Repetition] = field(default_factory=list)
    capacity: dict[str, Any] | None = None
    glass: GlassMeasurement | None = None
    sources: int = 1
    error: RtsegError | None = None


class Bench:
    """All settings of one benchmark. A context manager; `document()` gives what there is at any time.

    Args:
        settings: what is compared.
        options: how it is measured.
        say: told in a few words what is being done.
    """

    def __init__(
        self, settings: Sequence[Setting], options: BenchOptions, *, say: Callable[[str], None] = lambda _words: None
    ) -> None:
        self._settings = list(settings)
        self._options = options
        self._say = say
        self._stack = ExitStack()
        self._engines = Engines(options)
        self._footage: dict[str, Footage] = {}
        self._decodings: dict[str, DecodingAlone] = {}
        self._encodings: dict[tuple[object, ...], EncodingAlone] = {}
        self._prepared: dict[Setting, Prepared | RtsegError] = {}
        self._machine = measured_machine()
        self._folder = Path()

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rtseg-bench-")))
        self._stack.enter_context(self._engines)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self) -> None:
        """Measure everything; a setting that cannot run keeps its error, and the others go on."""
        for setting in self._settings:
            self._say(f"preparing {setting}")
            try:
                self._prepared[setting] = self._prepare(setting)
            except RtsegError as error:
                self._prepared[setting] = error
        if self._options.find_capacity:
            for prepared in self._running():
                self._guarded(prepared, self._search_capacity)
        else:
            for number in range(self._options.repeats):
                self._round(number)
        for prepared in self._running() if self._options.glass else ():
            self._say(f"glass to glass: {prepared.setting}")
            self._guarded(prepared, self._measure_glass)

    @property
    def first_error(self) -> RtsegError | None:
        """The first setting's error where not one could run; None where one could."""
        errors = [found if isinstance(found, RtsegError) else found.error for found in self._prepared.values()]
        return errors[0] if errors and all(error is not None for error in errors) else None

    def document(self, *, command: str = "", interrupted: bool = False) -> dict[str, Any]:
        """Return machine, protocol and the results so far, as plain values."""
        return {
            "format": FORMAT,
            "machine": self._machine,
            "date": datetime.date.today().isoformat(),
            "command": command,
            "timed": timed(self._options),
            "not_timed": not_timed(),
            "interrupted": interrupted,
            "results": [result for setting in self._settings if (result := self._result(setting)) is not None],
        }

    # ---- preparing --------------------------------------------------------------------------------------------

    def _prepare(self, setting: Setting) -> Prepared:
        options = self._options
        bundle = bundle_of(setting.model, options)
        effects = effects_for(bundle, None if setting.effect is None else [setting.effect], None)
        sink = sink_in(self._folder, setting.sink, 0, options)  # says at once where it is none
        footage = self._footage_for(setting, bundle)
        if options.glass:
            glass_pair(footage.open_as(), sink)  # says at once where it has no picture to read
        live = options.pace_hz is not None or footage.info.live
        policy = options.policy or ("freshest" if live else "every")
        key = self._engines.key_of(setting, live=policy == "freshest")
        job = Job(footage, self._engines.get(key), effects, setting.sink, policy, options)
        decoding = encoding = None
        if not live:
            decoding = self._decodings.setdefault(str(footage.spec), DecodingAlone(footage))
            if writes_video(setting.sink):
                names = (footage.spec, key, setting.effect, setting.sink)
                encoding = self._encodings.setdefault(names, EncodingAlone(job))
        pictures = prepared_pictures(footage, job.segmenter)
        return Prepared(setting, key, job, pictures, decoding, encoding, sources=options.sources)

    def _footage_for(self, setting: Setting, bundle: Bundle) -> Footage:
        default = "synthetic:desk" if bundle.task == "matte" else "synthetic:street"
        spec = setting.source or default
        if spec not in self._footage:
            self._footage[spec] = footage_of(spec, self._folder)
        return self._footage[spec]

    # ---- measuring --------------------------------------------------------------------------------------------

    # Note [Interleaving]
    # A machine changes while it is measured: clocks fall, neighbours come and go. So nothing is measured to its end
    # before the next begins. Each round measures every setting once; rounds begin at another setting and go through
    # them forwards and backwards in turn, and what is measured alone stands before the pipeline in one round and
    # behind it in the next. Ratios are taken within a round.

    def _round(self, number: int) -> None:
        running = self._running()
        start = number % len(running) if running else 0
        order = running[start:] + running[:start]
        shared: dict[object, Usage] = {}
        for prepared in order if number % 2 == 0 else reversed(order):
            self._say(f"repetition {number + 1} of {self._options.repeats}: {prepared.setting}")
            self._guarded(prepared, lambda one: self._repeat(one, shared, alone_first=number % 2 == 0))

    def _running(self) -> list[Prepared]:
        found = [self._prepared[setting] for setting in self._settings]
        return [one for one in found if isinstance(one, Prepared) and one.error is None]

    def _guarded(self, prepared: Prepared, measure: Callable[[Prepared], None]) -> None:
        try:
            measure(prepared)
        except RtsegError as error:
            prepared.error = error

    def _repeat(self, prepared: Prepared, shared: dict[object, Usage], *, alone_first: bool) -> None:
        """Measure one setting once; what another setting of this round has measured alone is taken from there."""
        if alone_first:
            alone = self._alone(prepared, shared)
            ran = self._pipeline(prepared, self._options.sources)
        else:
            ran = self._pipeline(prepared, self._options.sources)
            alone = self._alone(prepared, shared)
        prepared.repetitions.append(ran.repetition(alone))

    def _alone(self, prepared: Prepared, shared: dict[object, Usage]) -> Alone:
        """Return the bare engine, decoding alone and encoding alone."""
        seconds = self._options.seconds
        short = min(seconds, MOST_ALONE_SECONDS)
        decoding, encoding = prepared.decoding, prepared.encoding
        decode = encode = None
        if decoding is not None:
            decode = _once(shared, decoding, lambda: decoding.measure(short))
        bare = _once(
            shared,
            prepared.engine_key,
            lambda: measure_bare(prepared.job.segmenter, prepared.pictures, seconds=seconds),
        )
        if encoding is not None:
            encode = _once(shared, encoding, lambda: encoding.measure(short))
        return bare, decode, encode

    def _pipeline(self, prepared: Prepared, sources: int) -> Ran:
        restarted = restart_memory_peak()
        with GpuMeter() as gpu:
            usage = measure_pipeline(prepared.job, sources=sources, seconds=self._options.seconds)
        return Ran(usage, gpu.summary(), memory_peak_mib(), restarted)

    def _search_capacity(self, prepared: Prepared) -> None:
        options = self._options
        pace_hz, limit_ms = options.pace_hz or 0.0, options.p99_limit_ms
        pipelines: dict[int, Ran] = {}

        def attempt(cameras: int) -> Trial:
            self._say(f"{cameras} at {pace_hz:g} frames a second: {prepared.setting}")
            pipelines[cameras] = self._pipeline(prepared, cameras)
            return trial_of(pipelines[cameras].usage, cameras=cameras, pace_hz=pace_hz, p99_limit_ms=limit_ms)

        search = CapacitySearch(attempt)
        try:
            cameras = search.run()
        finally:  # what was tried stays, whatever ended the search
            held = [trial.cameras for trial in search.tried if trial.held]
            prepared.capacity = capacity_json(
                max(held, default=0), search.tried, pace_hz=pace_hz, p99_limit_ms=limit_ms
            )
        prepared.capacity["cameras"] = cameras
        prepared.sources = max(1, cameras)
        bare, _, _ = self._alone(prepared, {})
        prepared.repetitions.append(pipelines[prepared.sources].repetition((bare, None, None)))

    def _measure_glass(self, prepared: Prepared) -> None:
        """Run one pipeline whose pictures carry the time; apart from the rounds, because drawing it costs time."""
        options, job = self._options, prepared.job
        fps = prepared.repetitions[-1].pipeline.fps / prepared.sources
        wanted = WARM_UP_FRAMES + max(2, fps * options.seconds)
        decoded = wanted * max(1.0, (options.pace_hz or fps) / fps)  # some of them may be dropped
        with tempfile.TemporaryDirectory(prefix="rtseg-bench-") as folder:
            prepared.glass = measure_glass(
                job.footage.open_as(pace_hz=options.pace_hz),
                model=job.segmenter,
                effect=job.effects,
                sink=sink_in(Path(folder), job.sink, 0, options),
                policy=job.policy,
                max_frames=round(decoded),
            )

    def _result(self, setting: Setting) -> dict[str, Any] | None:
        """Return the result of one setting; None where nothing was measured before an interruption."""
        prepared = self._prepared.get(setting)
        if isinstance(prepared, RtsegError):
            return error_json(setting, prepared)
        if prepared is None:
            return None
        if prepared.error is not None:
            return error_json(setting, prepared.error)
        if not prepared.repetitions:
            return None
        return result_json(
            prepared.job,
            prepared.repetitions,
            sources=prepared.sources,
            capacity=prepared.capacity,
            glass=prepared.glass,
            cores=usable_cores(),
            effect=setting.effect,
        )


def _once(shared: dict[object, Usage], key: object, measure: Callable[[], Usage]) -> Usage:
    """Return what this round has measured under a key, measuring it at the first call."""
    if key not in shared:
        shared[key] = measure()
    return shared[key]
