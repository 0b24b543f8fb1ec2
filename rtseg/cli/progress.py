"""The progress bar of a run on a terminal, and the lines said at its end."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Protocol, Self

from rtseg.pipeline.report import Progress
from rtseg.stats import Stats


class ProgressDisplay(Protocol):
    """Somewhere to show progress; a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def update(self, progress: Progress) -> None:
        """Show how far the run is."""


class NoProgress:
    """Nothing is shown: the output is not a terminal, or the user asked for quiet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, progress: Progress) -> None:
        """Do nothing."""


class BarProgress:
    """One bar a source, with fps, frame age, drops and time left, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, object] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def update(self, progress: Progress) -> None:
        """Move the bar of the progress' source. Threading: any thread; several sources may run at once."""
        with self._lock:
            self._move(progress)

    def _move(self, progress: Progress) -> None:
        from rich.progress import TaskID

        task = self._tasks.get(progress.source_id)
        if not isinstance(task, int):
            task = self._bars.add_task(progress.source_id, total=progress.frames_expected, rate="")
            self._tasks[progress.source_id] = task
        total = progress.frames_expected
        if total is not None and progress.frames_done > total:
            total = progress.frames_done  # the header had promised too little
        self._bars.update(TaskID(task), completed=progress.frames_done, total=total, rate=rate_text(progress))


def rate_text(progress: Progress) -> str:
    """Return fps, frame age and drops in one short text."""
    fps = "–" if progress.fps is None else f"{progress.fps:.1f}"
    age = "–" if progress.frame_age_ms is None else f"{progress.frame_age_ms:.0f}"
    if progress.state not in ("live", "ended"):
        return f"{progress.state}  drops {progress.dropped}"
    more = [word for word in (progress.outputs, progress.hardware) if word]
    return "  ".join([f"{fps} fps", f"age {age} ms", f"drops {progress.dropped}", *more])


def make_progress(*, quiet: bool) -> ProgressDisplay:
    """Return a bar on a terminal, else nothing."""
    return NoProgress() if quiet or not sys.stderr.isatty() else BarProgress()


def summary(stats: Stats) -> str:
    """Return the closing line of a run: what came out, how fast, and where it is."""
    fps = "" if stats.fps is None else f", {stats.fps:.1f} fps"
    # What was on its way when the run was ended is in the stats; "dropped" here means that the run was too slow.
    dropped = sum(count for cause, count in stats.frames.dropped.items() if cause not in ("stopped", "failed"))
    drops = f", {dropped} dropped" if dropped else ""
    places = ", ".join(str(path) for path in stats.output_paths)
    frames = f"{stats.frames.written} frame{'' if stats.frames.written == 1 else 's'}"
    return f"{stats.source_id}: {frames}{fps}{drops}" + (f" -> {places}" if places else "")
