"""How a training run shows itself: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from rtseg.train.progress import Listener, TrainingProgress

LINE_SECONDS: Final = 30.0
"""Between two plain lines."""


class Quiet:
    """Shows nothing."""

    def on_progress(self, progress: TrainingProgress) -> None:
        """Show nothing."""

    def on_scores(self, step: int, scores: Mapping[str, float], *, best: bool) -> None:
        """Show nothing."""

    def on_note(self, text: str) -> None:
        """Show nothing."""


class Lines:
    """A line on standard error every now and then."""

    def __init__(self) -> None:
        self._shown = -LINE_SECONDS

    def on_progress(self, progress: TrainingProgress) -> None:
        """Show a line when the last one is some time ago, and at the end."""
        now = time.monotonic()
        if now - self._shown >= LINE_SECONDS or progress.share >= 1:
            self._shown = now
            self.on_note(f"step {progress.step}  {progress.share:.0%}  {facts_text(progress)}  {left_text(progress)}")

    def on_scores(self, step: int, scores: Mapping[str, float], *, best: bool) -> None:
        """Show the scores."""
        self.on_note(scores_text(step, scores, best=best))

    def on_note(self, text: str) -> None:
        """Show one line."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class Bar:
    """A bar with the loss, the pace and the time left; scores and notes stay above it."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def on_progress(self, progress: TrainingProgress) -> None:
        """Move the bar."""
        self._bars.update(
            self._task, completed=progress.share, facts=facts_text(progress), left=left_text(progress), visible=True
        )

    def on_scores(self, step: int, scores: Mapping[str, float], *, best: bool) -> None:
        """Print the scores above the bar."""
        self.on_note(scores_text(step, scores, best=best))

    def on_note(self, text: str) -> None:
        """Print one line above the bar."""
        self._bars.console.print(text, highlight=False, markup=False)


@contextmanager
def make_listener(*, quiet: bool) -> Iterator[Listener]:
    """Give something that shows a run: nothing, a bar on a terminal, or lines."""
    if quiet:
        yield Quiet()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (
            TextColumn("training"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
            TextColumn("{task.fields[left]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            yield Bar(bars, bars.add_task("training", total=1.0, visible=False, facts="", left=""))


def facts_text(progress: TrainingProgress) -> str:
    """Return loss, rate and pace in one short text."""
    return f"loss {progress.loss:.3f}  rate {progress.rate:.1e}  {progress.samples_a_second:.1f} pictures/s"


def left_text(progress: TrainingProgress) -> str:
    """Return the time left, such as "left 1:05:09"."""
    if progress.left_seconds is None:
        return "left –"
    whole = round(progress.left_seconds)
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    return f"left {hours}:{minutes:02}:{seconds:02}" if hours else f"left {minutes}:{seconds:02}"


def scores_text(step: int, scores: Mapping[str, float], *, best: bool) -> str:
    """Return the scores of a validation in one line."""
    parts = [f"{name} {value:.4f}" for name, value in scores.items() if name != "mean" or len(scores) > 3]
    return f"validation at step {step}: {'  '.join(parts)}{'  (best)' if best else ''}"
