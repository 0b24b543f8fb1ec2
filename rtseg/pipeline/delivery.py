"""The sinks of a run: opened, written to one after the other, closed or aborted together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rtseg.errors import RtsegError
from rtseg.pipeline.report import stage_names
from rtseg.pipeline.stage import Place, Stopwatch
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.stats import Stats
from rtseg.types import Frame, Segmentation


class Delivery:
    """The sinks of one run.

    Args:
        sinks: in the order in which they are written to.
        stats: of the run.
        obey: called with each command that a sink's user gave.

    Threading: the delivering thread; `interrupt` and `wants_stop` from any.
    """

    def __init__(self, sinks: Sequence[Sink], stats: Stats, obey: Callable[[str], None] | None) -> None:
        self.sinks = tuple(sinks)
        self._stats = stats
        self._obey = obey
        self._stages = stage_names([sink.name for sink in sinks])

    @property
    def wants_stop(self) -> bool:
        """True once a user has asked through a sink to end the run."""
        return any(sink.wants_stop for sink in self.sinks)

    @property
    def trouble(self) -> str:
        """Live sinks that are not connected, in a few words; empty where all are."""
        states = [(sink.name, sink.live_facts.get("state", "live")) for sink in self.sinks if sink.live_facts]
        return ", ".join(f"{name} {state}" for name, state in states if state not in ("live", "ended"))

    def interrupt(self) -> None:
        """Let no sink wait for its user any more."""
        for sink in self.sinks:
            sink.interrupt()

    def open(self, stream: StreamFormat, place: Place) -> None:
        """Open every sink."""
        for sink in self.sinks:
            with place.at(f"open {sink.name}", None):
                sink.open(stream)

    def write(self, frame: Frame, result: Segmentation | None, place: Place) -> None:
        """Write a composited frame to every sink and carry out the commands that they have."""
        for sink, stage in zip(self.sinks, self._stages, strict=True):
            with place.at(stage, frame.frame_index):
                watch = Stopwatch()
                sink.write(frame, result)
                self._stats.stage(stage).add(watch.lap())
                self._take_commands(sink)

    def write_held(self, frame: Frame, result: Segmentation, place: Place) -> None:
        """Write a frame that is shown again to the sinks that want it; it counts in no stage."""
        for sink, stage in zip(self.sinks, self._stages, strict=True):
            with place.at(stage, frame.frame_index):
                if sink.takes_held:
                    sink.write(frame, result)
                self._take_commands(sink)

    def close(self, place: Place) -> None:
        """Finish every sink."""
        for sink in self.sinks:
            with place.at(f"close {sink.name}", None):
                sink.close()

    def abort(self) -> None:
        """End every sink after a failure; what one of them lost on the way is noted."""
        for sink in self.sinks:
            try:
                sink.abort()
            except RtsegError as error:  # the run has failed already
                self._stats.notes.append(str(error))

    def note(self) -> None:
        """Add notes and outputs of the sinks to the stats."""
        stats = self._stats
        for sink, stage in zip(self.sinks, self._stages, strict=True):
            if sink.live_facts:
                stats.facts.setdefault("live_sinks", {})[stage] = dict(sink.live_facts)
            stats.notes += [note for note in sink.notes if note not in stats.notes]
            stats.output_paths += [path for path in sink.outputs if path not in stats.output_paths]

    def _take_commands(self, sink: Sink) -> None:
        if self._obey is not None:
            for command in sink.take_commands():
                self._obey(command)
