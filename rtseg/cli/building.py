"""What `rtseg build` does with its options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rtseg.cli.model_options import read_model_options
from rtseg.cli.running import key_values
from rtseg.datasets import load_taxonomy, open_dataset
from rtseg.errors import BackendUnavailable, ConfigError, EngineError
from rtseg.models.bundle import Bundle, load_bundle
from rtseg.models.checks import DefaultPrecision, nearest
from rtseg.models.options import CardOptions

if TYPE_CHECKING:  # building needs packages that running does not
    from rtseg.builder.parity_frames import ParityFrames

PRECISIONS: Final = ("int8", "fp16")
DEFAULTS: Final = ("auto", "int8", "fp16")
WORTH_IT: Final = 1.05
"""How many times faster int8 must be to become the default by itself."""

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """The words of the command line, as typed."""

    model: str
    precision: str | None
    out: Path | None
    in_place: bool
    calibration: str | None
    frames: int | None
    data: str | None
    taxonomy: str | None
    layout: str
    split: str | None
    parity_frames: int | None
    default: str
    report_path: Path | None
    model_options: tuple[str, ...]
    quiet: bool

    def refuse_file_words(self) -> None:
        """Raise ConfigError where words were typed that are about a new file, not about an engine."""
        typed = {
            "-o": self.out is not None,
            "--in-place": self.in_place,
            "--calibration": self.calibration is not None,
            "--frames": self.frames is not None,
            "--data": self.data is not None,
            "--taxonomy": self.taxonomy is not None,
            "--parity-frames": self.parity_frames is not None,
        }
        if given := [word for word, is_there in typed.items() if is_there]:
            raise ConfigError(
                f"--backend: got it with {', '.join(given)}; expected only one of them, as an engine is made of a "
                "bundle's own file. Build the file first, then the engine of it."
            )


def build(request: BuildRequest) -> None:
    """Build, judge, write what passed, and show the report.

    Raises:
        ConfigError: options that cannot be right; nothing has been built then.
        EngineError: the result was refused; its report is kept, and the message says where.
        RtsegError: what else went wrong.
    """
    _check(request)
    options = read_model_options(key_values(request.model_options, what="--model-option"))
    bundle = load_bundle(request.model, options=CardOptions(**options))
    folder = _target(request, bundle)
    try:
        import onnx  # noqa: F401  # asked for here, so that its absence is one line
    except ImportError as error:
        raise BackendUnavailable(f"build: got {error}; expected onnx. Run: pip install 'rtseg[train]'.") from error
    if request.precision == "fp16":
        _build_half(request, bundle, folder)
    else:
        _build_int8(request, bundle, folder)


def _check(request: BuildRequest) -> None:
    if request.precision is None:
        raise ConfigError(
            "--precision: got none; expected int8 or fp16, or --backend tensorrt for an engine. Give one."
        )
    if request.precision not in PRECISIONS:
        raise ConfigError(f"--precision: got {request.precision!r}; {nearest(request.precision, PRECISIONS)}")
    if request.default not in DEFAULTS:
        raise ConfigError(f"--default: got {request.default!r}; {nearest(request.default, DEFAULTS)}")
    if request.in_place and (request.out is not None or request.precision != "int8"):
        raise ConfigError("--in-place: got it with -o or fp16; expected it alone, with int8. Drop one of them.")
    if request.taxonomy is not None and request.data is None:
        raise ConfigError("--taxonomy: got no --data; expected the labelled set that it is about. Give both.")
    path = request.report_path
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"--report: got {path}; expected a file in a folder that exists. Make the folder first.")


def _target(request: BuildRequest, bundle: Bundle) -> Path:
    """Return the folder that the result goes to."""
    from rtseg.builder.targets import check_new

    if request.in_place:
        if not bundle.has_card:
            raise ConfigError(f"--in-place: got {bundle.name}, a bare file; expected a bundle folder. Give -o FOLDER.")
        return bundle.folder
    folder = request.out or Path(f"{bundle.name}-{request.precision}")
    check_new(folder)
    return folder


def _build_int8(request: BuildRequest, bundle: Bundle, folder: Path) -> None:
    from rtseg.builder import calibration
    from rtseg.builder.bundle_files import add_int8, write_int8_bundle
    from rtseg.builder.int8 import build_int8
    from rtseg.builder.requirements import nncf_module

    nncf_module()
    with _progress(quiet=request.quiet) as step:
        step("rendering or reading frames")
        frames = _parity_frames(request, bundle)
        pictures = calibration.open_calibration(
            request.calibration, bundle.network, bundle.task, request.frames or calibration.DEFAULT_FRAMES
        )
        built = build_int8(bundle, pictures, frames, on_step=step)
    report = {**built.report(), "notes": [] if pictures.note is None else [pictures.note]}
    if not built.parity.accepted:
        _refuse(request, folder, report)
    ratio = 0.0 if built.speed is None else built.speed.ratio
    if request.in_place:
        add_int8(bundle, built.model, report, _default(request, ratio))
    else:
        write_int8_bundle(bundle, folder, built.model, report, _default(request, ratio))
    _finish(request, folder, report)


def _build_half(request: BuildRequest, bundle: Bundle, folder: Path) -> None:
    from rtseg.builder.bundle_files import write_half_bundle
    from rtseg.builder.half import build_half

    built = build_half(bundle, _parity_frames(request, bundle))
    if not built.accepted:
        _refuse(request, folder, built.report())
    write_half_bundle(bundle, folder, built.model)
    _finish(request, folder, built.report())


def _parity_frames(request: BuildRequest, bundle: Bundle) -> ParityFrames:
    from rtseg.builder import parity_frames as frames

    count = request.parity_frames or frames.DEFAULT_FRAMES
    size_wh = bundle.network.size_wh
    if request.data is None:
        return frames.scene_frames(bundle.task, bundle.classes, size_wh, count)
    if request.taxonomy is None:
        return frames.unlabelled_frames(request.data, bundle.classes, size_wh, count)
    taxonomy = load_taxonomy(request.taxonomy)
    dataset = open_dataset(Path(request.data).expanduser(), taxonomy, layout=request.layout, split=request.split)
    return frames.labelled_frames(dataset, bundle.classes, size_wh, count)


def _default(request: BuildRequest, speed_up: float) -> DefaultPrecision:
    """Return which file the card is to prefer: as asked, else int8 where it is clearly faster."""
    if request.default == "auto":
        return "int8" if speed_up >= WORTH_IT else "fp16"
    return "int8" if request.default == "int8" else "fp16"


def _refuse(request: BuildRequest, folder: Path, report: Mapping[str, Any]) -> None:
    """Keep the report and raise EngineError."""
    from rtseg.builder.bundle_files import write_report

    name = f"{folder.name}.refused.json"
    path = request.report_path or (folder / name if request.in_place else folder.with_name(name))
    write_report(path, report)
    if not request.quiet:
        _show(report)
    raise EngineError(
        f"build {request.precision}: {report['verdict']}. Calibrate on footage like yours (--calibration), or stay "
        f"with the float file; the report is in {path}."
    )


def _finish(request: BuildRequest, folder: Path, report: Mapping[str, Any]) -> None:
    from rtseg.builder.bundle_files import write_report

    if request.report_path is not None:
        write_report(request.report_path, report)
    if not request.quiet:
        _show(report)
        for note in report.get("notes", ()):
            sys.stderr.write(f"rtseg: {note}\n")
        sys.stdout.write(f"{folder}\n")


def _show(report: Mapping[str, Any]) -> None:
    """Print the report as tables."""
    from rich.console import Console

    from rtseg.cli.parity_text import parity_tables

    console = Console()
    for table in parity_tables(report):
        console.print(table)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Step]:
    """Give something to call at each step: a bar on a terminal, else nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda _doing: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def step(doing: str) -> None:
            if doing not in tasks:
                tasks[doing] = bars.add_task(doing, total=None)
            bars.advance(tasks[doing])

        yield step
