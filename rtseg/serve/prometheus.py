"""What is measured, as Prometheus reads it.

Source: Prometheus exposition formats, text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from rtseg.serve.live_sink import AGE_BOUNDS_MS, FrameAges
from rtseg.serve.runner import Runner
from rtseg.serve.tally import Tally, stage_buckets

if TYPE_CHECKING:
    from rtseg.serve.room import Room

_HELP: Final[dict[str, tuple[str, str]]] = {
    "rtseg_up": ("gauge", "1 while a pipeline runs for the source."),
    "rtseg_frames_per_second": ("gauge", "Frames shown a second."),
    "rtseg_frame_age_seconds": ("gauge", "Age of the last frame when it was handed to the viewers."),
    "rtseg_frame_age": ("histogram", "Age of frames when they were handed to the viewers, in seconds."),
    "rtseg_frames_decoded_total": ("counter", "Frames that came out of the decoder."),
    "rtseg_frames_shown_total": ("counter", "Frames that were handed to the viewers."),
    "rtseg_frames_dropped_total": ("counter", "Frames that were dropped, by cause."),
    "rtseg_reconnects_total": ("counter", "Times that a source was lost and found again."),
    "rtseg_stage_seconds": ("histogram", "Time of a frame in a stage, in seconds."),
    "rtseg_queue_frames": ("gauge", "Frames that wait between two stages."),
    "rtseg_viewers": ("gauge", "Who watches."),
    "rtseg_jobs": ("gauge", "Videos, by state."),
    "rtseg_threads": ("gauge", "Python threads of the server."),
    "rtseg_tasks": ("gauge", "Tasks of the server's event loop."),
    "rtseg_uptime_seconds": ("gauge", "Time since the server began."),
}


class _Seen(NamedTuple):
    """One source as it is measured at the moment."""

    name: str
    tally: Tally
    ages: FrameAges | None
    runner: Runner | None
    viewers: int


def metrics_text(room: Room) -> str:
    """Return all metrics of a room."""
    stats = room.stats()
    lines = _Lines()
    for seen in _sources(room):
        _add_source(lines, seen)
    for name in ("uptime_seconds", "threads", "tasks"):
        lines.add(f"rtseg_{name}", {}, stats[name])
    for state, count in room.jobs.states().items():
        lines.add("rtseg_jobs", {"state": state}, count)
    return lines.text()


class _Lines:
    """Samples, kept together by metric as the format wants them."""

    def __init__(self) -> None:
        self._samples: dict[str, list[str]] = {name: [] for name in _HELP}

    def add(self, metric: str, labels: Mapping[str, str], value: float, *, suffix: str = "") -> None:
        """Add one sample."""
        shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        self._samples[metric].append(f"{metric}{suffix}{{{shown}}} {_number(value)}")

    def add_histogram(
        self, metric: str, labels: Mapping[str, str], buckets: Iterable[tuple[float, int]], total: float, count: int
    ) -> None:
        """Add a histogram: (upper bound, how many up to it), their sum and number."""
        for bound, below in buckets:
            self.add(metric, {**labels, "le": _number(bound)}, below, suffix="_bucket")
        self.add(metric, {**labels, "le": "+Inf"}, count, suffix="_bucket")
        self.add(metric, labels, total, suffix="_sum")
        self.add(metric, labels, count, suffix="_count")

    def text(self) -> str:
        """Return all of them with their help."""
        lines: list[str] = []
        for metric, samples in self._samples.items():
            if samples:
                kind, text = _HELP[metric]
                lines += [f"# HELP {metric} {text}", f"# TYPE {metric} {kind}", *samples]
        return "\n".join(lines) + "\n"


def _sources(room: Room) -> Iterator[_Seen]:
    for name, stream in room.streams.items():
        yield _Seen(name, stream.tally.with_run(stream.runner), stream.sink.ages, stream.runner, stream.viewers)
    cameras = room.past_cameras
    for camera in room.cameras.values():
        cameras = cameras.with_run(camera.runner)
    first = next(iter(room.cameras.values()), None)
    runner = None if first is None else first.runner
    yield _Seen("camera", cameras, None if runner is None else runner.sink.ages, runner, len(room.cameras))


def _add_source(lines: _Lines, seen: _Seen) -> None:
    source = {"source": seen.name}
    lines.add("rtseg_up", source, int(seen.runner is not None))
    lines.add("rtseg_viewers", source, seen.viewers)
    lines.add("rtseg_frames_decoded_total", source, seen.tally.decoded)
    lines.add("rtseg_reconnects_total", source, seen.tally.reconnects)
    for cause, count in {"newer_frame": 0, **seen.tally.dropped}.items():
        lines.add("rtseg_frames_dropped_total", {**source, "cause": cause}, count)
    for stage, stage_stats in seen.tally.stats.stages.items():
        durations = stage_stats.durations
        buckets = ((bound / 1000, below) for bound, below in stage_buckets(durations))
        labels = {**source, "stage": stage}
        lines.add_histogram("rtseg_stage_seconds", labels, buckets, durations.total_ns / 1e9, durations.count)
    if seen.runner is not None:
        for queue, waiting in seen.runner.waiting.items():
            lines.add("rtseg_queue_frames", {**source, "queue": queue}, waiting)
    if seen.ages is not None:
        _add_ages(lines, source, seen.ages)


def _add_ages(lines: _Lines, source: Mapping[str, str], ages: FrameAges) -> None:
    lines.add("rtseg_frames_per_second", source, round(ages.fps, 3))
    lines.add("rtseg_frames_shown_total", source, ages.count)
    if ages.recent_ms:
        lines.add("rtseg_frame_age_seconds", source, ages.recent_ms[-1] / 1000)
    below, buckets = 0, []
    for bound, count in zip(AGE_BOUNDS_MS, list(ages.bucket_counts), strict=False):
        below += count
        buckets.append((bound / 1000, below))
    lines.add_histogram("rtseg_frame_age", source, buckets, ages.total_ms / 1000, ages.count)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"
