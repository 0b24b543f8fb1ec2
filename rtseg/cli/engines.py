"""What `rtseg build --backend` does with its options."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rtseg.cli.model_options import read_model_options
from rtseg.cli.running import key_values
from rtseg.engine_files.key import FORMS, PRECISIONS, EngineForm, EnginePrecision
from rtseg.errors import ConfigError
from rtseg.geometry import parse_size_wh
from rtseg.models.bundle import Bundle, load_bundle
from rtseg.models.checks import nearest
from rtseg.models.options import CardOptions

if TYPE_CHECKING:  # building needs packages that running does not
    from rtseg.builder.engine_build import EngineBuild, EngineOrder
    from rtseg.builder.tensorrt_engine import BuildStep, OnBuildStep

BACKENDS: Final = ("tensorrt",)
"""Backends whose engines are built before they are loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequestWords:
    """The words of the command line, as typed."""

    model: str
    backend: str | None
    precision: str | None
    size: str | None
    batch: int | None
    form: str | None
    again: bool
    model_options: tuple[str, ...]
    quiet: bool


def refuse_engine_words(words: EngineRequestWords) -> None:
    """Raise ConfigError where words were typed that are about an engine, and no backend was."""
    typed = {
        "--size": words.size is not None,
        "--batch": words.batch is not None,
        "--form": words.form is not None,
        "--again": words.again,
    }
    if given := [word for word, is_there in typed.items() if is_there]:
        raise ConfigError(f"{given[0]}: got no --backend; expected it with {', '.join(given)}. Add --backend tensorrt.")


def build_engine_for(words: EngineRequestWords) -> None:
    """Build an engine into the cache, or find it there, and say what it is.

    Raises:
        ConfigError: options that cannot be right; nothing has been built then.
        RtsegError: it cannot be built.
    """
    if words.backend not in BACKENDS:
        raise ConfigError(
            f"--backend: got {words.backend!r}; expected {', '.join(BACKENDS)}: the others compile a model when it is "
            "loaded. Leave the build out for them."
        )
    options = read_model_options(key_values(words.model_options, what="--model-option"))
    bundle = load_bundle(words.model, options=CardOptions(**options))
    order = _order(words, bundle)

    from rtseg.builder.engine_build import build_engine

    with _progress(quiet=words.quiet) as (note, step):
        build = build_engine(bundle, order, again=words.again, on_note=note, on_step=step)
    if not words.quiet:
        for line in summary(build):
            sys.stderr.write(f"{line}\n")
        sys.stdout.write(f"{build.engine.folder}\n")


def _order(words: EngineRequestWords, bundle: Bundle) -> EngineOrder:
    from rtseg.builder.engine_build import EngineOrder

    precisions: dict[str, EnginePrecision] = {name: name for name in PRECISIONS}
    forms: dict[str, EngineForm] = {name: name for name in FORMS}
    precision = words.precision
    if precision in (None, "auto"):
        precision = bundle.default_precision
    if precision not in precisions:
        raise ConfigError(f"--precision: got {precision!r}; {nearest(str(precision), PRECISIONS)}")
    form = words.form or FORMS[0]
    if form not in forms:
        raise ConfigError(f"--form: got {form!r}; {nearest(form, FORMS)}")
    return EngineOrder(
        precision=precisions[precision],
        size_wh=None if words.size is None else parse_size_wh(words.size),
        batch=words.batch or 1,
        form=forms[form],
    )


def summary(build: EngineBuild) -> Iterator[str]:
    """Yield what an engine is, in a few lines."""
    from rtseg.cuda_device import current_device

    manifest = build.engine.manifest
    key = manifest.key
    width, height = key.size_wh
    how = f"built in {manifest.build_seconds:.1f} s" if build.built else f"in the cache: {build.reason}"
    what = f"{key.model} {width}x{height} batch {key.batch} {key.precision}"
    yield f"{what} for {key.flavour} {key.flavour_version}: {how}"
    for tensor in (*manifest.inputs, *manifest.outputs):
        yield f"  {tensor.name}: {tensor.role} {tensor.dtype} {list(tensor.shape)} {tensor.layout}"
    yield f"  {manifest.plan_bytes / 1e6:.1f} MB; {len(manifest.kept_fp32)} nodes kept in fp32"
    for warning in manifest.warnings:
        yield f"  TensorRT: {warning}"
    device = current_device()
    state = manifest.state_on(device)
    if not device.present:
        yield "  unproved: no GPU here; the parity gate runs when it is first loaded on one"
    elif state == "unproved":
        yield f"  unproved on {device}: the parity gate runs when it is first loaded"
    else:
        yield f"  {state} on {device}"


@contextmanager
def _progress(*, quiet: bool) -> Iterator[tuple[Any, OnBuildStep | None]]:
    """Give something to call with notes and with the compiler's steps: bars on a terminal, lines elsewhere."""
    if quiet:
        yield None, None
        return
    if not sys.stderr.isatty():
        yield (lambda note: sys.stderr.write(f"rtseg: {note}\n")), None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        shown = _Phases(bars)
        yield bars.console.print, shown.step


class _Phases:
    """The compiler's phases as bars, each indented under the one that it is part of."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._open: dict[str, tuple[Any, int]] = {}

    def step(self, step: BuildStep) -> None:
        """Show where the compiler is; a phase that ends goes away."""
        if step.done < 0:
            task, _ = self._open.pop(step.phase, (None, 0))
            if task is not None:
                self._bars.remove_task(task)
            return
        if step.phase not in self._open:
            depth = self._open[step.parent][1] + 1 if step.parent in self._open else 0
            task = self._bars.add_task(f"{'  ' * depth}{step.phase}", total=step.total)
            self._open[step.phase] = (task, depth)
        self._bars.update(self._open[step.phase][0], completed=step.done)
