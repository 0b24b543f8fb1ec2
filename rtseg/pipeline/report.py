"""What a running pipeline tells: progress while it runs, and the facts that go into its stats."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rtseg.audio_feed import AudioFeed
from rtseg.pipeline.policy import DECODE_CAUSE
from rtseg.render.effects import Effect, has_alpha
from rtseg.segmenter import Segmenter
from rtseg.sinks.base import StreamFormat
from rtseg.sources.base import SourceCounters, SourceInfo
from rtseg.stats import RateMeter, Stats, machine_facts
from rtseg.types import Frame

PROGRESS_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; given to `on_progress` at most ten times a second and once at the end."""

    source_id: str
    frames_done: int
    frames_expected: int | None
    """None where the source does not know; a promise of the header, not a fact."""
    fps: float | None
    """Rate of the last second."""
    frame_age_ms: float | None
    """Age of the newest frame when the sinks had taken it."""
    dropped: int
    state: str = "live"
    """What the source is doing: "connecting", "live", "stalled", "reconnecting", "frozen" or "ended"."""
    outputs: str = ""
    """Live outputs that are not connected, in a few words ("rtmp reconnecting"); empty where all are."""
    hardware: str = ""
    """Who decodes and encodes, in a few words, where a device was tried: "decode: cpu (no libnvcuvid)"."""


class Reporter:
    """Counts what leaves the pipeline and reports it. Threading: the caller's thread only."""

    def __init__(self, stats: Stats, on_progress: Callable[[Progress], None] | None) -> None:
        self.rate = RateMeter()
        self.frame_age_ms: float | None = None
        self._stats = stats
        self._on_progress = on_progress
        self._reported_ns = 0

    def count_output(self, frame: Frame) -> None:
        """Count a frame that the last sink has taken, and its age."""
        now_ns = time.monotonic_ns()
        age_ns = now_ns - frame.captured_ns
        self.frame_age_ms = age_ns / 1e6
        self.rate.tick(now_ns)
        self._stats.frame_age.add(age_ns)
        self._stats.count_output(now_ns)

    def report(
        self,
        frames_expected: int | None,
        *,
        dropped: int = 0,
        state: str = "live",
        outputs: str = "",
        force: bool = False,
    ) -> None:
        """Call `on_progress`, unless that was less than a tenth of a second ago."""
        now_ns = time.monotonic_ns()
        if self._on_progress is None or (not force and now_ns - self._reported_ns < PROGRESS_SECONDS * 1e9):
            return
        self._reported_ns = now_ns
        self._on_progress(
            Progress(
                source_id=self._stats.source_id,
                frames_done=self._stats.frames.written,
                frames_expected=frames_expected,
                fps=self.rate.hz,
                frame_age_ms=self.frame_age_ms,
                dropped=dropped,
                state=state,
                outputs=outputs,
                hardware=self._stats.facts.get("path", {}).get("line", ""),
            )
        )


def run_facts(
    info: SourceInfo, segmenter: Segmenter, *, policy: dict[str, str], effects: Sequence[str], sinks: Sequence[str]
) -> dict[str, Any]:
    """Return model, backend with the reasons for it, policy, effects, sinks and input, as plain values."""
    backend = segmenter.info
    return {
        "model": {"name": segmenter.bundle.name, "classes": len(segmenter.classes)},
        "backend": {
            "name": backend.name,
            "version": backend.version,
            "device": backend.device,
            "precision": backend.precision,
            "in_flight": backend.in_flight,
            "reasons": [*segmenter.backend_reasons, *backend.reasons],
            "settings": dict(backend.settings),
        },
        "policy": policy,
        "effects": list(effects),
        "sinks": list(sinks),
        "input": {
            "kind": info.kind,
            "live": info.live,
            "size_wh": list(info.size_wh),
            "frame_rate": None if info.frame_rate is None else round(float(info.frame_rate), 4),
            **info.details,
        },
    }


def settle(stats: Stats, counters: SourceCounters, *, failed: bool) -> None:
    """Account, at the end of a run, for every frame that was decoded, and for what the source had to mend and skip."""
    if counters.dropped_decode:
        stats.frames.dropped[DECODE_CAUSE] = counters.dropped_decode
    health = {
        "reconnects": counters.reconnects,
        "decode_errors": counters.decode_errors,
        "mended_pts": counters.mended_pts,
        "repeated": counters.repeated,
    }
    if stats.facts:
        stats.facts["source_health"] = health
        stats.facts["machine"] = machine_facts()  # asked for last: looking up versions would delay the first frame
    lost = stats.frames.decoded - stats.frames.written - stats.frames.dropped_decoded
    if lost > 0:
        stats.frames.dropped["failed" if failed else "stopped"] += lost
    stats.notes += [note for note in counters.notes if note not in stats.notes]
    if counters.reconnects:
        times = "once" if counters.reconnects == 1 else f"{counters.reconnects} times"
        stats.notes.append(f"the source was lost and found again {times}")


def stream_format(
    info: SourceInfo, segmenter: Segmenter, effects: Sequence[Effect], *, audio_feed: AudioFeed | None = None
) -> StreamFormat:
    """Return what sinks are told of the frames that will come."""
    return StreamFormat(
        source_id=info.source_id,
        size_wh=info.size_wh,
        time_base=info.time_base,
        frame_rate=info.frame_rate,
        classes=segmenter.classes,
        palette=segmenter.palette,
        has_alpha=has_alpha(effects),
        matrix=info.matrix,
        full_range=info.full_range,
        color_primaries=info.color_primaries,
        color_transfer=info.color_transfer,
        audio_path=info.path if info.has_audio else None,
        audio_feed=audio_feed,
        start_seconds=info.start_seconds,
        end_seconds=info.end_seconds,
    )


def stage_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return "sink NAME" for the name of each sink, numbered where two have the same name."""
    counts = dict.fromkeys(names, 0)
    found = []
    for name in names:
        counts[name] += 1
        found.append(f"sink {name}" if names.count(name) == 1 else f"sink {name} {counts[name]}")
    return tuple(found)
