"""One pipeline in a thread of its own, changed while it runs and watched from outside."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from rtseg.errors import RtsegError
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.watching import LiveOptions
from rtseg.redaction import redact
from rtseg.render.effects import Effect
from rtseg.segmenter import Segmenter
from rtseg.serve.live_sink import LiveSink
from rtseg.serve.push import PushSource
from rtseg.sources.base import Source
from rtseg.stats import Stats

JOIN_SECONDS: Final = 2.5
"""How long the end of a run is waited for; the pipeline itself gives its own threads 2 s."""


class Runner:
    """Runs one source through a model into a live sink until it ends or is stopped. Used once.

    Threading: every method may be called from any thread; only `join` waits.
    """

    def __init__(
        self,
        source: Source,
        segmenter: Segmenter,
        effects: Sequence[Effect],
        make_sink: Callable[[Callable[[], bool]], LiveSink],
        *,
        name: str,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Get ready; `start` begins.

        Args:
            source: opened, iterated and closed by the pipeline.
            segmenter: stays open.
            effects: what to draw.
            make_sink: makes the sink, given what tells whether there is something to change.
            name: of the thread, behind "rtseg-".
            on_end: called in the pipeline's thread when it has ended.
        """
        self.source = source
        self.sink = make_sink(lambda: self._wanted is not None)
        self.error: str | None = None
        """Why the run ended, where it failed."""
        self._wanted: tuple[Segmenter, tuple[Effect, ...]] | None = None
        self._lock = threading.Lock()
        self._on_end = on_end
        self._infer_seen = (0, 0)
        self._frames_before = self.sink.ages.count
        self._pipeline = Pipeline(
            source,
            segmenter,
            effects=effects,
            sinks=[self.sink],
            policy="freshest",
            on_command=self._change,
            live=LiveOptions(waits_for_source=True),
        )
        self._thread = threading.Thread(target=self._run, name=f"rtseg-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def switch(self, segmenter: Segmenter, effects: Sequence[Effect]) -> None:
        """Draw something else, by another model maybe, from the next frame on."""
        with self._lock:
            self._wanted = (segmenter, tuple(effects))

    def stop(self) -> None:
        """Ask the run to end; returns at once. Idempotent."""
        if isinstance(self.source, PushSource):
            self.source.finish()
        self._pipeline.stop()

    def join(self, timeout_seconds: float = JOIN_SECONDS) -> bool:
        """Wait for the end; return False when it is still running after that time."""
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    @property
    def stats(self) -> Stats:
        """What the pipeline measures; for display only while it runs."""
        return self._pipeline.stats

    @property
    def state(self) -> str:
        """What it is doing, in one word."""
        if self.error is not None:
            return "failed"
        if not self._thread.is_alive():
            return "ended" if self._thread.ident is not None else "idle"
        shown = self._pipeline.source_state
        return "connecting" if shown == "live" and self.sink.ages.count == self._frames_before else shown

    @property
    def detail(self) -> str:
        """One line about that, without credentials; empty where there is nothing to say."""
        return self.error or redact(self._pipeline.source_detail)

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were dropped so far, by cause."""
        causes = Counter(dict(self._pipeline.stats.frames.dropped))  # dict() copies in one go
        if isinstance(self.source, PushSource):
            causes["newer_frame"] += self.source.overtaken
        causes["decode"] = max(causes["decode"], self.source.counters.dropped_decode)
        return {cause: count for cause, count in causes.items() if count}

    @property
    def waiting(self) -> dict[str, int]:
        """Frames that wait between two stages."""
        return self._pipeline.queue_depths()

    def to_json(self) -> dict[str, Any]:
        """Return what a page shows of a run."""
        return {
            **self.sink.to_json(),
            "infer_ms": self._recent_infer_ms(),
            "dropped": self.dropped,
            "state": self.state,
            "detail": self.detail,
        }

    def _recent_infer_ms(self) -> float | None:
        """The mean time of inference since the last call that saw some; None before the first."""
        stage = self._pipeline.stats.stages.get("infer")
        if stage is None or stage.durations.count == 0:
            return None
        count, total_ns = stage.durations.count, stage.durations.total_ns
        seen_count, seen_ns = self._infer_seen
        if count - seen_count >= 15:
            self._infer_seen = (count, total_ns)
        if count == seen_count:
            return None
        return round((total_ns - seen_ns) / (count - seen_count) / 1e6, 2)

    def _change(self, pipeline: Pipeline, command: str) -> None:
        """Carry out what was asked for. In the pipeline's thread, between two frames."""
        del command
        with self._lock:
            wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        segmenter, effects = wanted
        if segmenter is not pipeline.segmenter:
            pipeline.switch_segmenter(segmenter, effects)
        pipeline.switch_effects(effects)

    def _run(self) -> None:
        try:
            self._pipeline.run()
        except RtsegError as error:
            self.error = redact(str(error))
        finally:
            self._on_end()


def wait_until_ended(runners: Sequence[Runner], seconds: float) -> bool:
    """Wait for all of them, together no longer than that; return whether all have ended."""
    deadline = time.monotonic() + seconds
    ended = [runner.join(max(0.01, deadline - time.monotonic())) for runner in runners]
    return all(ended)
