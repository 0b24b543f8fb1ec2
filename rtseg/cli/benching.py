"""What `rtseg bench` does with its options."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rtseg.bench.document import check_place, read_document, write_document
from rtseg.bench.run import Bench
from rtseg.bench.settings import BenchOptions, Setting, combinations
from rtseg.bench.table import document_lines
from rtseg.cli.model_options import read_model_options
from rtseg.cli.running import key_values
from rtseg.errors import ConfigError
from rtseg.geometry import parse_size_wh

SUFFIXES: Final = {"--html": ".html", "--png": ".png", "--markdown": ".md"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """The words of the command line, as typed."""

    models: tuple[str, ...]
    sources: tuple[str, ...]
    backends: tuple[str, ...]
    precisions: tuple[str, ...]
    sizes: tuple[str, ...]
    effects: tuple[str, ...]
    sinks: tuple[str, ...]
    seconds: float
    repeats: int
    pipelines: int
    pace_hz: float | None
    policy: str | None
    find_capacity: bool
    p99_ms: float
    glass: bool
    codec: str | None
    quality: int | None
    outputs: Mapping[str, Path | None]
    model_options: tuple[str, ...]
    quiet: bool


def execute(request: BenchRequest) -> int:
    """Measure, print the table, write the outputs, and return the exit code: 0, or 130 after Ctrl-C.

    Raises:
        RtsegError: options that cannot be right, or not one setting could run.
    """
    outputs = checked_outputs(request.outputs)
    options = bench_options(request)
    with _progress(quiet=request.quiet) as say, Bench(settings_of(request), options, say=say) as bench:
        interrupted: BaseException | None = None
        try:
            bench.run()
        except (KeyboardInterrupt, SystemExit) as error:
            interrupted = error
        document = bench.document(command=_command(), interrupted=interrupted is not None)
    _write(document, outputs)
    if interrupted is not None:
        sys.stderr.write("rtseg: interrupted; what was measured is kept\n")
        _print(document)
        if isinstance(interrupted, SystemExit):
            raise interrupted
        return 130
    if bench.first_error is not None:
        raise bench.first_error
    _print(document)
    return 0


def compare_files(names: Sequence[str], *, fail_on_worse: bool) -> int:
    """Print what is better, worse or not distinguishable in the second of two documents, and return the exit code.

    It is 1 where something is worse and `fail_on_worse` is given, else 0.

    Raises:
        ConfigError: not two files, or not documents of `rtseg bench --json`.
    """
    if len(names) != 2:
        raise ConfigError(f"bench compare: got {len(names)} files; expected two, A.json B.json. Name both.")
    from rtseg.bench.compare import compare_documents

    before, after = (read_document(Path(name)) for name in names)
    comparison = compare_documents(before, after)
    sys.stdout.write("\n".join(comparison.lines()) + "\n")
    return int(fail_on_worse and comparison.worse)


def settings_of(request: BenchRequest) -> list[Setting]:
    """Return every combination that was asked for. Raises ConfigError for a size that cannot be read."""
    return combinations(
        split_words(request.models),
        sources=split_words(request.sources),
        backends=split_words(request.backends),
        precisions=split_words(request.precisions),
        sizes=[parse_size_wh(word) for word in split_words(request.sizes)],
        effects=split_words(request.effects),
        sinks=split_words(request.sinks),
    )


def split_words(texts: Sequence[str]) -> list[str]:
    """Return the words of "A,B" lists; a text that has options of its own (a colon), or is a file, stays whole."""
    words: list[str] = []
    for text in texts:
        whole = ":" in text or Path(text).exists()
        words += [text] if whole else [word.strip() for word in text.split(",") if word.strip()]
    return words


def bench_options(request: BenchRequest) -> BenchOptions:
    """Return how to measure. Raises ConfigError for a value that cannot be right."""
    return BenchOptions(
        seconds=request.seconds,
        repeats=request.repeats,
        sources=request.pipelines,
        pace_hz=request.pace_hz,
        policy=request.policy,
        codec=request.codec,
        quality=request.quality,
        find_capacity=request.find_capacity,
        p99_limit_ms=request.p99_ms,
        glass=request.glass,
        model_options=read_model_options(key_values(request.model_options, what="--model-option")),
    )


def checked_outputs(outputs: Mapping[str, Path | None]) -> dict[str, Path]:
    """Return the files to write by option. Raises ConfigError for a folder or a suffix that cannot be right."""
    asked = {option: path for option, path in outputs.items() if path is not None}
    for option, path in asked.items():
        check_place(path, option)
        suffix = SUFFIXES.get(option)
        if suffix is not None and path.suffix.lower() != suffix:
            raise ConfigError(f"{option}: got {path}; expected a name that ends with {suffix}. Change the name.")
    return asked


def _write(document: dict[str, Any], outputs: Mapping[str, Path]) -> None:
    for option, path in outputs.items():
        if option == "--json":
            write_document(document, path)
            continue
        from rtseg.bench.report import write_report

        write_report(document, path)


def _print(document: Mapping[str, Any]) -> None:
    if document["results"]:
        sys.stdout.write("\n".join(document_lines(document)) + "\n")


def _command() -> str:
    return shlex.join(["rtseg", *sys.argv[1:]])


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Give something to call with what is being done: a line on a terminal that is written over, else nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda _words: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda words: status.update(words)
