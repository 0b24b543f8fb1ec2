"""What `rtseg build --backend` does with its options."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rtseg.backends.base import EngineRequest
from rtseg.cli.model_options import read_model_options
from rtseg.cli.running import key_values
from rtseg.cuda_device import current_device
from rtseg.engine_files.cache import CachedEngine
from rtseg.engine_files.key import FORMS, PRECISIONS, EngineForm, EnginePrecision
from rtseg.errors import BackendUnavailable, ConfigError, EngineError
from rtseg.geometry import parse_size_wh
from rtseg.models.bundle import Bundle, load_bundle
from rtseg.models.checks import nearest
from rtseg.models.options import CardOptions

if TYPE_CHECKING:  # building needs packages that running does not
    from rtseg.builder.engine_build import EngineBuild, EngineOrder, OnNote
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
    report_path: Path | None
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
    """Build an engine into the cache, or find it there, prove it where there is a GPU, and say what it is.

    Raises:
        ConfigError: options that cannot be right; nothing has been built then.
        EngineError: it cannot be built, or the parity gate refused it; the report stays with it.
        RtsegError: what else went wrong.
    """
    if words.report_path is not None and not words.report_path.parent.is_dir():
        raise ConfigError(f"--report: got {words.report_path}; expected a file in a folder that exists. Make it first.")
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
        build = replace(build, engine=_proved(words, bundle, order, build.engine, note))
    if words.report_path is not None:
        _write_report(words.report_path, build.engine)
    _refuse(build.engine)
    if not words.quiet:
        for line in summary(build):
            sys.stderr.write(f"{line}\n")
        sys.stdout.write(f"{build.engine.folder}\n")


def _proved(
    words: EngineRequestWords, bundle: Bundle, order: EngineOrder, engine: CachedEngine, note: OnNote | None
) -> CachedEngine:
    """Return the engine with what the parity gate says of it here; unproved where there is nothing to run it."""
    device = current_device()
    if not device.present or engine.manifest.proof_on(device) is not None:
        return engine
    from rtseg.builder.engine_supply import CacheSupply

    request = EngineRequest(order.network_of(bundle), order.precision, "latency", batch=order.batch, model=words.model)
    try:
        return CacheSupply(on_note=note).prove(request, engine)
    except BackendUnavailable as error:
        if note is not None:
            note(f"left unproved: {error}")
        return engine


def _refuse(engine: CachedEngine) -> None:
    """Raise EngineError for an engine that the parity gate refused on the GPU at hand."""
    proof = engine.manifest.proof_on(current_device())
    if proof is not None and not proof.accepted:
        raise EngineError(
            f"build {engine.manifest.key.model}: {proof.verdict}. Use another --precision; the report is in "
            f"{engine.folder}, or give --report FILE."
        )


def _write_report(path: Path, engine: CachedEngine) -> None:
    """Write what the parity gate found on the GPU at hand, where it has run."""
    from rtseg.builder.bundle_files import write_report

    proof = engine.manifest.proof_on(current_device())
    write_report(path, {"verdict": "unproved: no GPU has run it here"} if proof is None else proof.report)


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
    manifest = build.engine.manifest
    key = manifest.key
    width, height = key.size_wh
    how = f"built in {manifest.build_seconds:.1f} s" if build.built else f"in the cache: {build.reason}"
    what = f"{key.model} {width}x{height} batch {key.batch} {key.precision}"
    yield f"{what} for {key.flavour} {key.flavour_version}: {how}"
    for tensor in (*manifest.inputs, *manifest.outputs):
        yield f"  {tensor.name}: {tensor.role} {tensor.dtype} {list(tensor.shape)} {tensor.layout}"
    yield f"  {manifest.plan_bytes / 1e6:.1f} MB; {len(manifest.kept_fp32)} nodes kept in fp32"
    yield f"  for {manifest.target.partition(' (')[0]}"  # the manifest has TensorRT's own words too
    if manifest.ranges:
        yield f"  {ranges_line(manifest.ranges)}"
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


def ranges_line(ranges: Mapping[str, Any]) -> str:
    """Return in one line what was measured of a network's values."""
    name, most = next(iter(ranges["largest"].items()), ("none", 0.0))
    kept = len(ranges["kept_for_range"]) + len(ranges["kept_for_agreement"])
    agreement = ranges["agreement"]
    agreed = "labels not compared (no onnxruntime)" if agreement is None else f"{agreement:.2%} of labels as in fp32"
    return f"values up to {most:g} of 65504 ({name}), {agreed}, {kept} nodes kept for that"


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
