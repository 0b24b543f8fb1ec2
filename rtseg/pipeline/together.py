"""Several pipelines at once, each in a thread, through one engine: what happens to one is nothing to the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rtseg.errors import RtsegError, SourcesFailed, StageError
from rtseg.pipeline.mosaic import Mosaic
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.stage import JOIN_SECONDS
from rtseg.stats import Stats, merged

POLL_SECONDS: Final = 0.1


@dataclass(slots=True)
class Outcome:
    """What became of one pipeline."""

    stats: Stats
    error: BaseException | None = None
    """Why it failed; None: it ended normally."""


class Together:
    """Runs pipelines at once. A context manager: leaving it stops those that still run, and waits for them.

    Threading: everything belongs to the caller's thread, but `stop`, which may be called from any.
    """

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        self._pipelines = tuple(pipelines)
        self.outcomes = [Outcome(pipeline.stats) for pipeline in pipelines]
        """One a pipeline, in their order."""
        self._ended = [threading.Event() for _ in self._pipelines]
        self._is_started = False
        self._threads = [
            threading.Thread(target=self._run, args=(index,), name=f"rtseg-run-{index}", daemon=True)
            for index in range(len(self._pipelines))
        ]

    @property
    def is_running(self) -> bool:
        """True while one of them runs."""
        return self._is_started and not all(ended.is_set() for ended in self._ended)

    def start(self) -> None:
        """Start every pipeline."""
        self._is_started = True
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End every pipeline early; what is written so far is finished normally. Idempotent, returns at once."""
        for pipeline in self._pipelines:
            pipeline.stop()

    def wait(self) -> None:
        """Wait until every pipeline has ended; Ctrl-C gets through."""
        for ended in self._ended:
            while self._is_started and not ended.wait(POLL_SECONDS):
                pass

    def __enter__(self) -> Together:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.is_running:
            self.stop()
        if kind is not None:
            for outcome in self.outcomes:
                outcome.stats.facts.setdefault("interrupted", issubclass(kind, KeyboardInterrupt))
        deadline = time.monotonic() + JOIN_SECONDS + 0.5
        for thread, ended in zip(self._threads, self._ended, strict=True):  # see Worker.join why by events
            if ended.wait(max(0.0, deadline - time.monotonic())):
                thread.join(JOIN_SECONDS)

    def _run(self, index: int) -> None:
        try:
            self._pipelines[index].run()
        except BaseException as error:  # noqa: BLE001  nothing may escape a thread unseen; `run_together` raises it
            self.outcomes[index].error = error
        finally:
            self._ended[index].set()


def run_mosaic(pipelines: Sequence[Pipeline], mosaic: Mosaic) -> list[Stats]:
    """Run pipelines, whose sinks are the mosaic's tiles, at once, and the mosaic in the caller's thread meanwhile.

    Returns:
        What each pipeline measured, and the mosaic last.

    Raises:
        SourcesFailed: one or more of the sources failed.
        SinkError: a sink of the mosaic failed; that ends everything.
    """
    stats = run_together(
        pipelines, meanwhile=lambda together: mosaic.run(pipelines[0].segmenter, lambda: together.is_running)
    )
    return [*stats, mosaic.stats]


def run_together(
    pipelines: Sequence[Pipeline], *, meanwhile: Callable[[Together], object] | None = None
) -> list[Stats]:
    """Run pipelines at once and return what each has measured, in their order.

    They may share one segmenter. A pipeline that fails does not end the others; Ctrl-C ends all of them.

    Args:
        pipelines: not run yet.
        meanwhile: called in the caller's thread while they run (to show something); when it returns or raises, all
            of them are stopped. None: wait for all.

    Raises:
        SourcesFailed: one or more failed; it has their errors, and the stats of all.
    """
    together = Together(pipelines)
    with together:
        together.wait() if meanwhile is None else meanwhile(together)
    raise_failures(together.outcomes)
    return [outcome.stats for outcome in together.outcomes]


def raise_failures(outcomes: Sequence[Outcome]) -> None:
    """Raise SourcesFailed where a pipeline has failed."""
    failed = [(outcome.stats.source_id, _as_rtseg(outcome.error)) for outcome in outcomes if outcome.error is not None]
    if failed:
        raise SourcesFailed(tuple(failed), stats=merged([outcome.stats for outcome in outcomes]), count=len(outcomes))


def _as_rtseg(error: BaseException) -> RtsegError:
    if isinstance(error, RtsegError):
        return error
    wrapped = StageError(f"run failed: got {type(error).__name__}: {error}. Run with --debug for the trace.")
    wrapped.__cause__ = error
    return wrapped
