"""From glass to glass: how long from the moment a source hands a frame out until a sink shows it, read off the picture.

The source draws a time code into every frame (see Note [The code] in rtseg/bench/timecode.py) and the sink's end reads
it back from what came out. So the number contains everything between: waiting in channels, the network, compositing,
encoding; and it cannot be flattered by stamps that travel beside the picture.

    source -> StampedSource: draws the code -> pipeline, as it is -> GlassSink: the sink, then the code is read

Note [The far glass]
    null      the moment the sink had taken the frame.
    window    the moment `imshow` and the window's event loop returned: the picture is with the window system. What its
              compositor and the panel add is not in it.
    file      the moment the file had grown over the last byte of the picture, so that another reader could decode it.
              The file is decoded again after the run and the code is read from the decoded pictures, which is why it
              survives a real codec. The encoder's own delay and the muxer's buffer are in it; what is still inside
              them at the end counts from when the file was closed.
    udp       the moment a receiver on this machine had decoded it; see rtseg/bench/glass_network.py.
    A page's end can read the code with `timecode.read_code` and `timecode.age_seconds` on the same
    machine, since the monotonic clock is one for all its processes.

What is drawn is part of what is measured: the strip costs a copy of the frame at the source (about 0.4 ms at 720p), and
the network and the effects see it.

Note [A code that an effect covers]
    A blurred or replaced background takes the lower edge of the picture, and the code in it, away. Then the code of
    this very frame, known by its index, is drawn again on what the compositor made, before the sink gets it: the
    encoder and everything behind it still carry it in the picture. How often that was done is counted and said.
"""

from __future__ import annotations

import bisect
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from rtseg.api import EffectSpec, SinkSpec, SourceSpec, run
from rtseg.bench.timecode import TICKS, draw_code, read_code, strip_place, tick_of
from rtseg.errors import ConfigError, SinkError
from rtseg.segmenter import Segmenter
from rtseg.sinks import open_sink
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.file import FileSink
from rtseg.sources import open_source
from rtseg.sources.base import Source, SourceInfo
from rtseg.sources.file import FileSource
from rtseg.sources.packets import picture_ends
from rtseg.stats import DurationHistogram, Stats
from rtseg.types import Frame, Segmentation

MOST_STAMPS: Final = 200_000
"""Stamps that are remembered: over an hour at 50 fps, more than the code takes to start over."""
WARM_UP_FRAMES: Final = 20
UNMEASURED_SINKS: Final = ("masks",)
"""Sinks that put no picture out, so that there is no code to read."""


class StampLog:
    """The exact moment of every stamp, by its tick; what was never stamped is not believed, whatever its CRC says.

    Threading: one thread adds, another looks up.
    """

    def __init__(self) -> None:
        self._moments_ns: OrderedDict[int, int] = OrderedDict()
        self._ticks: OrderedDict[int, int] = OrderedDict()
        self._last_tick = -1

    def stamp(self, frame_index: int) -> int:
        """Return a tick for this moment, different from the last one, and remember the moment and whose it is."""
        now_ns = time.monotonic_ns()
        tick = tick_of(now_ns)
        if tick == self._last_tick:  # two frames within 0.1 ms: the code must tell them apart
            tick = (tick + 1) % TICKS
        self._last_tick = tick
        self._moments_ns[tick] = now_ns
        self._moments_ns.move_to_end(tick)
        self._ticks[frame_index] = tick
        for kept in (self._moments_ns, self._ticks):
            while len(kept) > MOST_STAMPS:
                kept.popitem(last=False)
        return tick

    def tick_of_frame(self, frame_index: int) -> int | None:
        """Return the tick that a frame was stamped with; None where it was not."""
        return self._ticks.get(frame_index)

    def moment_ns(self, tick: int | None) -> int | None:
        """Return when a tick was stamped, in monotonic ns; None where it never was, or for no tick."""
        return None if tick is None else self._moments_ns.get(tick)


class StampedSource(Source):
    """A source whose frames carry the moment at which it hands them out.

    Wrap it round everything else, a pacing source included: what lies inside is before the near glass.
    """

    def __init__(self, inner: Source, log: StampLog) -> None:
        """Take the source to stamp, and where the moments are kept."""
        super().__init__()
        self._inner = inner
        self._log = log
        self.counters = inner.counters

    @property
    def info(self) -> SourceInfo:
        """What is known of the source. Raises SourceError before `open()`."""
        return self._inner.info

    def files(self) -> Sequence[Path]:
        """Return the files that it reads."""
        return self._inner.files()

    def open(self) -> None:
        """Open the source.

        Raises:
            SourceError: it cannot be opened.
            ConfigError: its pictures are too small to hold the code.
        """
        self._inner.open()
        try:
            strip_place(self._inner.info.size_wh)
        except ConfigError:
            self._inner.close()
            raise

    def frames(self) -> Iterator[Frame]:
        """Yield the frames with the code drawn, their pts and `captured_ns` kept."""
        for frame in self._inner.frames():
            yield frame.with_picture(draw_code(frame.picture, self._log.stamp(frame.frame_index)))

    def close(self) -> None:
        """Close the source."""
        self._inner.close()


@dataclass(slots=True)
class GlassTimes:
    """What was read at the far glass."""

    until: str
    """Where the far glass is, to follow "from the moment the source hands a frame out ..."."""
    durations: DurationHistogram = field(default_factory=DurationHistogram)
    unreadable: int = 0
    """Pictures that came out and whose code could not be read, or was never stamped."""
    warm_up: int = 0
    """Pictures at the beginning that were not counted."""
    redrawn: int = 0
    """Pictures whose code an effect had covered; see Note [A code that an effect covers]."""

    def add(self, stamped_ns: int | None, seen_ns: int) -> None:
        """Count a picture that was seen at a moment; None: its code could not be read."""
        if stamped_ns is None or seen_ns < stamped_ns:
            self.unreadable += 1
        else:
            self.durations.add(seen_ns - stamped_ns)

    def to_json(self) -> dict[str, float | int | None]:
        """Return count, p50, p95, p99 and max in ms (None without a reading), and the number of unreadable pictures."""
        summary = self.durations.summary_ms() if self.durations.count else dict.fromkeys(("p50", "p95", "p99", "max"))
        return {"count": self.durations.count, **summary, "unreadable": self.unreadable}

    def notes(self) -> list[str]:
        """Return plain sentences about what was measured and what could not be."""
        notes = [f"glass to glass: from the moment the source hands a frame out {self.until}"]
        if self.unreadable:
            total = self.unreadable + self.durations.count
            notes.append(f"the time code could not be read in {self.unreadable} of {total} pictures")
        if self.redrawn:
            notes.append(
                f"the effect had covered the time code in {self.redrawn} pictures; it was drawn again before the sink"
            )
        return notes


class GlassSink(Sink):
    """A sink whose pictures are read when it has taken them; see Note [The far glass].

    Everything else is passed on to the sink inside, keys and stops included.
    """

    until: str = "until the sink has taken it"

    def __init__(self, inner: Sink, log: StampLog, *, warm_up_frames: int = WARM_UP_FRAMES) -> None:
        """Take the sink to watch, the log of the source, and how many pictures at the start are not counted."""
        self.name = inner.name
        self._inner = inner
        self._log = log
        self._warm_up_left = warm_up_frames
        self.times = GlassTimes(self.until)

    def open(self, stream: StreamFormat) -> None:
        """Open the sink."""
        self._inner.open(stream)

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Pass the frame on, and read its code afterwards."""
        frame = self._with_code(frame)
        self._inner.write(frame, result)
        seen_ns = time.monotonic_ns()
        if not self._is_warming_up():
            self.times.add(self._log.moment_ns(read_code(frame.picture)), seen_ns)

    def close(self) -> None:
        """Close the sink."""
        self._inner.close()

    def abort(self) -> None:
        """Abort the sink."""
        self._inner.abort()

    @property
    def notes(self) -> Sequence[str]:
        """What the sink has to say, and what was measured."""
        return (*self._inner.notes, *self.times.notes())

    @property
    def outputs(self) -> Sequence[Path]:
        """The files of the sink."""
        return self._inner.outputs

    @property
    def target(self) -> Path | None:
        """What the sink will write."""
        return self._inner.target

    def would_replace(self, path: Path) -> bool:
        """Find out whether the sink would write over a file."""
        return self._inner.would_replace(path)

    @property
    def wants_stop(self) -> bool:
        """True once the user has asked the sink to end the run."""
        return self._inner.wants_stop

    def interrupt(self) -> None:
        """Pass an interruption on."""
        self._inner.interrupt()

    def take_commands(self) -> Sequence[str]:
        """Return the commands given through the sink."""
        return self._inner.take_commands()

    def _with_code(self, frame: Frame) -> Frame:
        """Return the frame with its code readable; see Note [A code that an effect covers]."""
        tick = self._log.tick_of_frame(frame.frame_index)
        if tick is None or read_code(frame.picture) is not None:  # another's code is a mistake to be seen, not mended
            return frame
        self.times.redrawn += 1
        return frame.with_picture(draw_code(frame.picture, tick))

    def _is_warming_up(self) -> bool:
        if self._warm_up_left <= 0:
            return False
        self._warm_up_left -= 1
        self.times.warm_up += 1
        return True


class WindowGlassSink(GlassSink):
    """A window whose pictures are read when they are with the window system."""

    until = "until imshow and the window's event loop have returned (compositor and panel are not in it)"


class FileGlassSink(GlassSink):
    """A video file that is decoded again at the end; each picture counts from when its bytes were in the file."""

    until = "until its coded bytes are in the file (read back from the finished file)"

    def __init__(self, inner: FileSink, log: StampLog, *, warm_up_frames: int = WARM_UP_FRAMES) -> None:
        """Take the file sink to watch, the log of the source, and how many pictures at the start are not counted."""
        super().__init__(inner, log, warm_up_frames=warm_up_frames)
        self._growing = inner.growing_path
        self._growth: list[tuple[int, int]] = []

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Encode the frame, and note how far the file has grown."""
        self._inner.write(self._with_code(frame), result)
        self._growth.append((self._size_bytes(), time.monotonic_ns()))

    def close(self) -> None:
        """Finish the file, then decode it and read the codes; idempotent.

        Raises:
            SinkError: the end could not be written.
            DecodeError: the finished file cannot be read back.
        """
        self._inner.close()
        growth, self._growth = self._growth, []
        if growth and self._inner.outputs:
            path = self._inner.outputs[0]
            growth.append((path.stat().st_size, time.monotonic_ns()))
            self._read_back(path, growth)

    def _size_bytes(self) -> int:
        try:
            return self._growing.stat().st_size
        except OSError as error:
            raise SinkError(
                f"glass to glass: got no file {self._growing.name} ({error.strerror}); expected the one being "
                "written. Let nobody touch it during the run."
            ) from error

    def _read_back(self, path: Path, growth: Sequence[tuple[int, int]]) -> None:
        ends = picture_ends(path)
        with FileSource(path) as source:
            for frame in source.frames():
                if self._is_warming_up():
                    continue
                seconds = Fraction(frame.pts) * frame.time_base
                stamped_ns = self._log.moment_ns(read_code(frame.picture))
                self.times.add(stamped_ns, _moment_of(ends.get(seconds), growth))


def _moment_of(end_byte: int | None, growth: Sequence[tuple[int, int]]) -> int:
    """Return when the file was first seen to be that long; its closing where that is unknown."""
    if end_byte is None:
        return growth[-1][1]
    return growth[min(bisect.bisect_left(growth, (end_byte, 0)), len(growth) - 1)][1]


def glass_pair(source: Source, sink: Sink, *, warm_up_frames: int = WARM_UP_FRAMES) -> tuple[StampedSource, GlassSink]:
    """Return a source and a sink that, in one pipeline, measure from glass to glass; the result is `sink.times`.

    Args:
        source: where frames come from, not yet open; pacing included.
        sink: null, window, a video file, a folder of pictures or a UDP stream to this machine, not yet open.
        warm_up_frames: pictures at the beginning that are not counted.

    Raises:
        ConfigError: the sink puts no picture out.
    """
    if sink.name in UNMEASURED_SINKS:
        raise ConfigError(
            f"glass to glass: got the sink {sink.name}, which puts no picture out; expected null, window or a video "
            "file. Choose one of them."
        )
    log = StampLog()
    stamped = StampedSource(source, log)
    if sink.name == "udp":
        from rtseg.bench.glass_network import NetworkGlassSink

        return stamped, NetworkGlassSink(sink, log, warm_up_frames=warm_up_frames)
    if isinstance(sink, FileSink):
        return stamped, FileGlassSink(sink, log, warm_up_frames=warm_up_frames)
    kind = WindowGlassSink if sink.name == "window" else GlassSink
    return stamped, kind(sink, log, warm_up_frames=warm_up_frames)


@dataclass(frozen=True, slots=True)
class GlassMeasurement:
    """The result of one run from glass to glass."""

    times: GlassTimes
    stats: Stats
    """What the pipeline measured in the same run."""

    @property
    def glass_ms(self) -> dict[str, float | int | None]:
        """Return count, p50, p95, p99, max (ms; None without a reading) and unreadable: `glass_ms` of the results."""
        return self.times.to_json()

    def notes(self) -> list[str]:
        """Return plain sentences about where the far glass was and what could not be read."""
        return self.times.notes()


def measure_glass(
    source: SourceSpec,
    *,
    model: str | Path | Segmenter = "street",
    effect: EffectSpec | Sequence[EffectSpec] | None = None,
    sink: SinkSpec = "null",
    warm_up_frames: int = WARM_UP_FRAMES,
    source_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> GlassMeasurement:
    """Run a source once through the real pipeline and return how long frames took from glass to glass.

    A file that is read as fast as it goes fills the pipeline, and its frames wait; for the delay of a live picture,
    give a live or a paced source (`Source` object or `synthetic:…?live=1`).

    Args:
        source: what `rtseg.run` takes, or a `Source` object that is not open yet (pacing inside).
        model: bundle name, bundle folder, .onnx file, or a loaded segmenter, which stays open.
        effect: what to draw; None: the bundle's default.
        sink: "null", "window", a video file, a folder of pictures, "udp://127.0.0.1:PORT", or a `Sink` object that is
            not open yet.
        warm_up_frames: pictures at the beginning that are not counted.
        source_options: options of `open_source`, where `source` is no `Source` object.
        options: what else `rtseg.run` takes: backend, precision, policy, max_frames, smoothing …

    Raises:
        RtsegError: the run failed, the source is too small for the code, or the sink puts no picture out.
    """
    opened = open_source(source, **(source_options or {}))
    far = open_sink(sink, overwrite=options.pop("overwrite", False), codec=options.pop("codec", None))
    stamped, watched = glass_pair(opened, far, warm_up_frames=warm_up_frames)
    stats = run(stamped, model=model, effect=effect, out=watched, **options)
    return GlassMeasurement(watched.times, stats)
