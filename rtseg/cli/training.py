"""What `rtseg train` does with its options."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtseg.cli.model_options import read_model_options
from rtseg.cli.training_display import make_listener
from rtseg.errors import BackendUnavailable, ConfigError
from rtseg.models.bundle import load_bundle
from rtseg.models.options import CardOptions

if TYPE_CHECKING:
    from rtseg.train.finetune import FineTune
    from rtseg.train.loop import Outcome
    from rtseg.train.progress import Listener
    from rtseg.train.pseudo import Teacher
    from rtseg.train.recipe import Recipe
    from rtseg.train.settings import TeacherSettings

RUN_FOLDER = "run"
"""Folder of the run inside a fine-tuned bundle's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """The words of the command line, as typed."""

    recipe: Path | None
    base: str | None
    data: Path | None
    classes: str | None
    out: Path | None
    changes: tuple[str, ...]
    minutes: float | None
    steps: int | None
    device: str
    threads: int
    replicas: int
    loader_threads: int
    resume: bool
    quiet: bool


def train(request: TrainRequest) -> int:
    """Train, write the bundle, say where it is, and return the exit code: 0, or 128 + the signal that ended it.

    Raises:
        RtsegError: what was asked for cannot be trained.
    """
    if missing := [name for name in ("torch", "onnx", "safetensors") if util.find_spec(name) is None]:
        raise BackendUnavailable(
            f"rtseg train: got no {', '.join(missing)}; expected the extra train. Run pip install 'rtseg[train]'."
        )
    _check(request)
    from rtseg.train.memory import keep_freed_memory

    keep_freed_memory()
    with ExitStack() as stack:
        listener = stack.enter_context(make_listener(quiet=request.quiet))
        return _fine_tune(request, listener) if request.base is not None else _train_recipe(request, listener)


def _check(request: TrainRequest) -> None:
    """Raise ConfigError where the options do not go together."""
    if request.base is not None and (request.recipe is not None or request.data is None):
        raise ConfigError(
            "rtseg train --from: got a recipe, or no --data; expected --from BUNDLE --data FOLDER. Drop or add it."
        )
    if request.base is None and (request.data is not None or request.classes is not None):
        raise ConfigError("rtseg train: got --data or --classes without --from; expected --from BUNDLE. Add it.")
    if request.base is None and request.recipe is None and not (request.resume and request.out):
        raise ConfigError(
            "rtseg train: got no recipe; expected RECIPE.toml, or --from BUNDLE --data FOLDER, or --resume --out RUN."
        )
    if request.minutes is not None and request.steps is not None:
        raise ConfigError("rtseg train: got --minutes and --steps; expected one budget. Drop one.")


def _train_recipe(request: TrainRequest, listener: Listener) -> int:
    from rtseg.train.finish import card_scores
    from rtseg.train.prepare import prepare
    from rtseg.train.recipe import load_recipe
    from rtseg.train.run_folder import RECIPE_NAME, RunFolder

    path = request.recipe or (request.out or Path()) / RECIPE_NAME
    recipe = load_recipe(path, _changes(request))
    folder = RunFolder(request.out or Path("runs") / path.stem)
    folder.begin(recipe, resume=request.resume)
    materials = prepare(recipe, folder.path, listener, make_teacher=_make_teacher)
    outcome, scores, device = _run(request, recipe, folder, materials, listener)
    if outcome.signal is not None:
        return _interrupted(outcome, folder.path)
    _say(_ended(outcome, folder.path))
    if recipe.export is not None:
        known = card_scores(scores, recipe.export.size_wh)
        _export(recipe, folder, folder.bundle, outcome, device, known)
    return 0


def _fine_tune(request: TrainRequest, listener: Listener) -> int:
    from rtseg.train.finetune import before_and_after, held_out_scores, plan_finetune
    from rtseg.train.prepare import prepare
    from rtseg.train.run_folder import RunFolder

    base, data = str(request.base), request.data or Path()
    bundle_folder = request.out or Path(f"{Path(base).name}-{data.resolve().name}")
    folder = RunFolder(bundle_folder / RUN_FOLDER)
    plan = plan_finetune(
        base,
        data,
        folder.path,
        name=bundle_folder.resolve().name,
        classes=request.classes,
        minutes=request.minutes,
        steps=request.steps,
        changes=request.changes,
    )
    folder.begin(plan.recipe, resume=request.resume)
    _say(_plan_text(plan))
    before = held_out_scores(base, plan.data)
    materials = prepare(plan.recipe, folder.path, listener, start=plan.start, members=plan.members)
    outcome, _, device = _run(request, plan.recipe, folder, materials, listener)
    if outcome.signal is not None:
        return _interrupted(outcome, bundle_folder)
    _say(_ended(outcome, folder.path))
    _export(plan.recipe, folder, bundle_folder, outcome, device, {})
    after = held_out_scores(str(bundle_folder), plan.data)
    _export_scores(bundle_folder, after or {}, len(plan.data.held_out))
    _say(f"scores on the {len(plan.data.held_out)} held-out pictures, through rtseg at its defaults:")
    _say(before_and_after(before, after or {}))
    return 0


def _run(
    request: TrainRequest, recipe: Recipe, folder: Any, materials: Any, listener: Listener
) -> tuple[Outcome, dict[str, float], str]:
    """Train, and return how it ended, the best validation's scores and where it ran."""
    from rtseg.stats import machine_facts
    from rtseg.train.checkpoint import has_checkpoint
    from rtseg.train.device import choose_device
    from rtseg.train.loop import Trainer

    device = choose_device(request.device, threads=request.threads)
    trainer = Trainer(
        recipe,
        materials,
        folder,
        device,
        listener,
        replicas=request.replicas,
        loader_threads=request.loader_threads or _loader_threads(),
    )
    if request.resume and has_checkpoint(folder.path):
        trainer.resume()
        listener.on_note(f"resumed at step {trainer.counters.step}")
    outcome = trainer.run()
    rows = [row for row in folder.rows() if "scores" in row and row["step"] == outcome.counters.best_step]
    scores = {key: value for key, value in (rows[-1]["scores"] if rows else {}).items() if value is not None}
    folder.write_facts(
        {
            "device": device.text,
            "machine": machine_facts(),
            "signal": outcome.signal,
            "stopped_early": outcome.stopped_early,
            "steps": outcome.counters.step,
            "samples": outcome.counters.samples,
            "seconds": outcome.counters.seconds,
            "best_step": outcome.counters.best_step,
            "best_scores": scores,
        }
    )
    return outcome, scores, device.text


def _export(
    recipe: Recipe, folder: Any, bundle_folder: Path, outcome: Outcome, device: str, scores: Mapping[str, Any]
) -> None:
    from rtseg.train.finish import export_run

    exported = export_run(
        recipe, folder.best, bundle_folder, counters=outcome.counters, device_text=device, scores=scores
    )
    agreement = ", ".join(f"{name} {value:.1e}" for name, value in exported.differences.items())
    _say(f"bundle: {bundle_folder} ({exported.onnx_bytes / 1e6:.1f} MB; differs from torch by {agreement})")
    _say(f"try it: rtseg run CLIP.mp4 -m {bundle_folder}")


def _export_scores(bundle_folder: Path, scores: Mapping[str, float], pictures: int) -> None:
    """Write the scores of a fine-tuned bundle into its card."""
    from rtseg.builder.cards import read_tables, write_card

    tables = read_tables(bundle_folder)
    flat: dict[str, Any] = {f"held_out_{name}": round(value, 4) for name, value in scores.items()}
    flat["protocol"] = f"through rtseg at its defaults on {pictures} held-out pictures of its own set, pixels pooled"
    write_card(bundle_folder, tables | {"scores": flat})


def _changes(request: TrainRequest) -> tuple[str, ...]:
    """Return the changes of the recipe, with the budget that was asked for in place of the recipe's own."""
    found = request.changes
    if request.minutes is not None:
        found = (*found, "schedule.steps=", f"schedule.minutes={request.minutes}")
    if request.steps is not None:
        found = (*found, "schedule.minutes=", f"schedule.steps={request.steps}")
    return found


def _make_teacher(settings: TeacherSettings) -> Teacher:
    """Return the teacher of a recipe: the average of its bundles."""
    from rtseg.evaluate.ensemble import Ensemble
    from rtseg.train.pseudo import Teacher

    options = CardOptions(**read_model_options(settings.options))
    bundles = [
        load_bundle(name, options=options if name.endswith(".onnx") else None)
        for name in (os.path.expandvars(bundle) for bundle in settings.bundles)
    ]
    ensemble = Ensemble(bundles, tta=settings.tta)
    views = "".join(f" {view}" for view in settings.tta)
    name = "+".join(f"{bundle.name} {bundle.sha256[:12]}" for bundle in bundles) + views
    return Teacher(name, ensemble.classes, ensemble.probabilities)


def _loader_threads() -> int:
    """Return how many threads build batches: one for every four cores, the rest computes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // 4))


def _plan_text(plan: FineTune) -> str:
    kept, names = plan.kept_classes, plan.recipe.class_names
    begins = "all with its weights" if kept == names else f"with its weights: {', '.join(kept) or 'none'}"
    return (
        f"fine-tuning {plan.bundle.name} to {', '.join(names)} ({begins}); {len(plan.data.training)} pictures to train "
        f"on, {len(plan.data.held_out)} held out"
    )


def _ended(outcome: Outcome, folder: Path) -> str:
    counters = outcome.counters
    best = "" if counters.best is None else f", best score {counters.best:.4f} at step {counters.best_step}"
    why = "the scores stood still" if outcome.stopped_early else "done"
    return (
        f"{why}: {counters.step} steps, {counters.samples} pictures in {counters.seconds / 60:.1f} min{best}: {folder}"
    )


def _interrupted(outcome: Outcome, folder: Path) -> int:
    """Say how to go on, and return the exit code of the signal."""
    _say(f"interrupted at step {outcome.counters.step}; the same command with --out {folder} --resume goes on")
    return 128 + (outcome.signal or 0)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
