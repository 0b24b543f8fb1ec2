"""What `rtseg run` does with its options."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rtseg.api import (
    RunOptions,
    class_names,
    describe,
    effects_for,
    mosaic_for,
    pipelines_for,
    runs_together,
)
from rtseg.cli.controls import KeyControls
from rtseg.cli.progress import make_progress, summary
from rtseg.cli.request import RunRequest
from rtseg.cli.request import key_values as key_values
from rtseg.errors import ConfigError, RtsegError, SinkError, SourcesFailed
from rtseg.pipeline.ahead import Ahead
from rtseg.pipeline.mosaic import Mosaic
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.together import run_mosaic, run_together
from rtseg.render.effects import has_alpha
from rtseg.segmenter import Segmenter
from rtseg.sinks.display import display_available
from rtseg.stats import Stats, merged


def execute(request: RunRequest, loading: Ahead[Segmenter]) -> int:
    """Run every source through the model that is being loaded and return the exit code: 0, or 130 after Ctrl-C.

    Raises:
        RtsegError: the first failure; the stats of what ran before are written all the same.
    """
    runs: list[Stats] = []
    with ExitStack() as stack:
        options = run_options(request)
        _check_stats_path(request.stats_path)
        described = [describe(source, options) for source in request.sources]
        segmenter = loading.result()
        controls = stack.enter_context(KeyControls(segmenter, options))
        display = stack.enter_context(make_progress(quiet=request.quiet))
        stack.callback(_write_stats, request.stats_path, runs)
        outs = request.outs if request.outs is not None else default_outs(segmenter, options)
        at_once = runs_together(request.sources, outs, options)
        mosaic = mosaic_for(request.sources, outs, options)
        pipelines = pipelines_for(
            request.sources,
            segmenter,
            outs,
            options,
            described=described,
            mosaic=mosaic,
            on_progress=display.update,
            on_command=controls.obey,
        )
        failed = _run_all(pipelines, runs, mosaic=mosaic, at_once=at_once)
    for run in runs:
        _say(run, quiet=request.quiet)
    for name, error in failed:
        sys.stderr.write(f"rtseg: {name or 'source'}: {error}\n")
    if any(run.facts.get("interrupted") for run in runs):
        return 130
    return 1 if failed else 0


def _run_all(
    pipelines: Sequence[Pipeline], runs: list[Stats], *, mosaic: Mosaic | None, at_once: bool
) -> Sequence[tuple[str, RtsegError]]:
    """Run every source, at once or one after the other; return the failures of those that ran at once."""
    if mosaic is None and not at_once:
        for pipeline in pipelines:
            if not _run_one(pipeline, runs):
                break
        return ()
    runs.extend(pipeline.stats for pipeline in pipelines)
    if mosaic is not None:
        runs.append(mosaic.stats)
    try:
        run_together(pipelines) if mosaic is None else run_mosaic(pipelines, mosaic)
    except KeyboardInterrupt:
        return ()
    except SourcesFailed as failed:
        return failed.errors
    return ()


def _run_one(pipeline: Pipeline, runs: list[Stats]) -> bool:
    """Run one source; return False when the user has interrupted."""
    runs.append(pipeline.stats)
    try:
        pipeline.run()
    except KeyboardInterrupt:
        pipeline.stats.facts["interrupted"] = True
        return False
    return True


def run_options(request: RunRequest) -> RunOptions:
    """Return the options with their texts parsed. Raises ConfigError for what cannot be right."""
    return RunOptions(
        effects=request.effects,
        classes=None if request.classes is None else class_names(request.classes),
        policy=request.policy,
        together=request.together,
        mosaic=request.mosaic,
        reconnect_max_seconds=request.reconnect_max_seconds,
        staleness_ms=request.staleness_ms,
        start_seconds=0.0 if request.start is None else parse_seconds(request.start, what="--start"),
        duration_seconds=None if request.duration is None else parse_seconds(request.duration, what="--duration"),
        max_frames=request.max_frames,
        codec=request.codec,
        quality=request.quality,
        overwrite=request.overwrite,
        source_options=key_values(request.source_options, what="--source-option"),
    )


def default_outs(segmenter: Segmenter, options: RunOptions) -> tuple[str, ...]:
    """Return where to without `-o`: a window if there is a display, else a file in the current folder."""
    if display_available()[0]:
        return ("window",)
    alpha = has_alpha(effects_for(segmenter.bundle, options.effects, options.classes))
    return (f"{{name}}.rtseg.{'mov' if alpha else 'mp4'}",)


def parse_seconds(text: str, *, what: str) -> float:
    """Return seconds from "12.5", "1:02.5" or "1:02:03"."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or any(not 0 <= part < float("inf") for part in parts):
        raise ConfigError(f"{what}: got {text!r}; expected seconds or H:MM:SS such as 90, 1:30 or 0:01:30.5.")
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + part
    return seconds


def _check_stats_path(path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"--stats: got {path}; expected a file in a folder that exists. Make the folder first.")


def _write_stats(path: Path | None, runs: list[Stats]) -> None:
    if path is None or not runs:
        return
    report: Mapping[str, Any] = merged(runs).to_json()
    try:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"--stats: got {error.strerror} for {path}; expected a file that can be written.") from error


def _say(run: Stats, *, quiet: bool) -> None:
    for note in run.notes:
        sys.stderr.write(f"rtseg: {run.source_id}: {note}\n")
    if not quiet:
        word = "interrupted: " if run.facts.get("interrupted") else ""
        sys.stdout.write(f"{word}{summary(run)}\n")
