"""What `rtseg eval` does with its options."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from rtseg.cli.model_options import read_model_options
from rtseg.cli.running import key_values
from rtseg.datasets import Dataset, Taxonomy, load_taxonomy, open_dataset
from rtseg.errors import ConfigError, SinkError
from rtseg.evaluate.ensemble import Ensemble
from rtseg.evaluate.pictures import PictureReport, check_mapping, score_pictures
from rtseg.evaluate.protocol import model_facts
from rtseg.evaluate.sequences import SequencesReport, sequence_folders
from rtseg.evaluate.text import picture_text, sequences_text, video_text
from rtseg.evaluate.video import VideoReport, score_video
from rtseg.models.bundle import load_bundle
from rtseg.models.options import CardOptions
from rtseg.segmenter import Segmenter, load
from rtseg.sources import open_source

Report: TypeAlias = PictureReport | SequencesReport | VideoReport
Step: TypeAlias = Callable[[int, int | None], None]
"""Told how many pictures are done, and of how many."""
NO_TAXONOMY = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRequest:
    """The words of the command line, as typed."""

    model: str
    source: str
    taxonomy: str
    layout: str
    split: str | None
    names: str | None
    limit: int | None
    sequences: bool
    size: str
    calibration: bool
    backend: str
    precision: str
    tta: tuple[str, ...]
    json_path: Path | None
    model_options: tuple[str, ...]
    quiet: bool


def evaluate(request: EvalRequest) -> str:
    """Score, write the JSON where asked for, and return the text to show.

    Raises:
        RtsegError: what was asked for cannot be scored.
    """
    path = request.json_path
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"--json: got {path}; expected a file in a folder that exists. Make the folder first.")
    taxonomy = None if request.taxonomy == NO_TAXONOMY else load_taxonomy(request.taxonomy)
    sets = {} if taxonomy is None else _datasets(request, taxonomy)
    with _loaded(request) as model, _progress(quiet=request.quiet) as step:
        report: Report
        if taxonomy is None:
            report = _video(request, model, step)
        else:
            check_mapping(model.classes, taxonomy)
            reports = {name: _pictures(request, model, one, step) for name, one in sets.items()}
            report = SequencesReport(reports) if request.sequences else next(iter(reports.values()))
    _write(path, report)
    return _text(report)


def _datasets(request: EvalRequest, taxonomy: Taxonomy) -> dict[str, Dataset]:
    """Return the sets to score by name: one, or one a sequence."""
    root = Path(request.source).expanduser()
    paths = sequence_folders(root) if request.sequences else [root]
    found: dict[str, Dataset] = {}
    for path in paths:
        dataset = open_dataset(path, taxonomy, layout=request.layout, split=request.split)
        if request.names is not None:
            dataset = dataset.only(read_names(request.names))
        found[path.name] = dataset if request.limit is None else dataset.evenly(request.limit)
    return found


def read_names(spec: str) -> list[str]:
    """Return the names in a text file, one a line, or in a list of a TOML file, FILE.toml:KEY.

    Raises:
        ConfigError: there is no such file or list.
    """
    place, mark, key = spec.rpartition(".toml:")
    path = Path(f"{place}.toml" if mark else spec)
    try:
        text = path.read_text(encoding="utf-8")
        names = tomllib.loads(text).get(key) if mark else text.split()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--list: got {error}; expected a file with a name a line, or FILE.toml:KEY.") from error
    if not isinstance(names, list) or not names:
        raise ConfigError(f"--list: got nothing at {spec}; expected names without suffix. Check file and key.")
    return [str(name) for name in names]


@contextmanager
def _loaded(request: EvalRequest) -> Iterator[Segmenter | Ensemble]:
    """Load the model at its defaults; scores only where they are asked for, because they cost time."""
    options = read_model_options(key_values(request.model_options, what="--model-option"))
    names = [request.model] if Path(request.model).exists() else request.model.split("+")
    if len(names) > 1 or request.tta:
        _check_plain(request)
        yield Ensemble([load_bundle(name, options=CardOptions(**options)) for name in names], tta=request.tta)
        return
    with load(
        request.model,
        backend=request.backend,
        precision=request.precision,
        with_scores=request.calibration,
        **options,
    ) as segmenter:
        yield segmenter


def _check_plain(request: EvalRequest) -> None:
    """Raise ConfigError for a backend or a precision that an average does not run in."""
    if request.backend not in ("auto", "openvino") or request.precision not in ("auto", "fp32"):
        raise ConfigError(
            f"average of models or views: got backend {request.backend}, precision {request.precision}; expected "
            "openvino and fp32. Leave both out."
        )


def _pictures(request: EvalRequest, model: Segmenter | Ensemble, dataset: Dataset, step: Step) -> PictureReport:
    facts = model.facts() if isinstance(model, Ensemble) else model_facts(model)
    return score_pictures(model, dataset, facts=facts, size=request.size, on_picture=step)


def _video(request: EvalRequest, segmenter: Segmenter | Ensemble, step: Step) -> VideoReport:
    if isinstance(segmenter, Ensemble):
        raise ConfigError("--taxonomy none: got an average of models or views; expected one model. Drop + and --tta.")
    if request.sequences or request.names or request.split or request.layout != "auto":
        raise ConfigError(
            "--taxonomy none: got options of labelled sets; expected a video alone. Drop --sequences, --list, --split "
            "and --layout."
        )
    with open_source(request.source) as source:
        frames = islice(source.frames(), request.limit)
        total = request.limit or source.info.frame_count
        name = source.info.source_id
        return score_video(segmenter, frames, name=name, on_frame=lambda done: step(done, total))


def _say_nothing(_done: int, _total: int | None) -> None:
    """Show no progress."""


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Step]:
    """Give something to call after each picture: a bar on a terminal, else nothing."""
    if quiet or not sys.stderr.isatty():
        yield _say_nothing
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("scoring", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _write(path: Path | None, report: Report) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"--json: got {error.strerror} for {path}; expected a file that can be written.") from error


def _text(report: Report) -> str:
    if isinstance(report, PictureReport):
        return picture_text(report)
    return sequences_text(report) if isinstance(report, SequencesReport) else video_text(report)
