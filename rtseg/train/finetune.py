"""Fine-tuning of a bundle on a user's own folder: to a recipe, and to a bundle with scores before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from rtseg.builder.export import WEIGHTS_NAME, load_weights
from rtseg.builder.toml_text import toml_text
from rtseg.datasets.taxonomy import OTHER
from rtseg.errors import ConfigError, SinkError
from rtseg.models.bundle import Bundle, load_bundle
from rtseg.models.presets import generated_palette
from rtseg.segmenter import load
from rtseg.train.recipe import Recipe, apply_change, recipe_from
from rtseg.train.user_data import CLASSES_TOML, UserData, members_of, open_user_data, taxonomy_tables, trained_classes
from rtseg.train.validate import score

DEFAULT_MINUTES: Final = 6.0
RATE: Final = 5e-4
HEAD_RATE: Final = 6.0
"""Factor on the rate of outputs that begin fresh."""
SMALL_PX: Final = 100_000
"""Inputs of fewer pixels are trained at their own size from the beginning."""
SPLIT_NAME: Final = "split.toml"
SCORED_PICTURES: Final = 60
"""At most so many held-out pictures are scored while it trains."""


@dataclass(frozen=True, slots=True)
class FineTune:
    """What a fine-tuning works on."""

    bundle: Bundle
    data: UserData
    recipe: Recipe
    start: Mapping[str, Tensor]
    """The bundle's weights."""
    members: tuple[tuple[int, ...], ...] | None
    """For each new output the old ones it takes in; None: the outputs are the same."""

    @property
    def kept_classes(self) -> tuple[str, ...]:
        """Classes that begin with the bundle's weights."""
        names = self.recipe.class_names
        if self.members is None:
            return names
        return tuple(name for name, chosen in zip(names, self.members, strict=False) if chosen)


def plan_finetune(
    bundle_name: str,
    data_folder: Path,
    run_folder: Path,
    *,
    name: str,
    classes: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    changes: Sequence[str] = (),
) -> FineTune:
    """Look at a bundle and a folder, write the split into the run's folder, and return what to do.

    Args:
        bundle_name: a shipped bundle, or a folder that `rtseg train` made.
        data_folder: see `open_user_data`.
        run_folder: of the run.
        name: of the new bundle.
        classes: see `open_user_data`.
        minutes: budget; None with no steps: `DEFAULT_MINUTES`.
        steps: budget in steps instead.
        changes: of the recipe, see `load_recipe`.

    Raises:
        ConfigError: the bundle says nothing of its network, or classes and labels do not fit.
        SourceError: the folder has no pictures, no labels, or too few.
    """
    bundle = load_bundle(bundle_name)
    network = _network_table(bundle)
    data = open_user_data(data_folder, bundle, classes)
    _write_tables(run_folder / SPLIT_NAME, {"held_out": [pair.name for pair in data.held_out.pairs]})
    _write_tables(run_folder / CLASSES_TOML, taxonomy_tables(data.taxonomy))
    budget: dict[str, Any] = {"steps": steps} if steps else {"minutes": minutes or DEFAULT_MINUTES}
    names = trained_classes(data.taxonomy)
    task = "matte" if data.taxonomy.kind == "matte" or (bundle.task == "matte" and len(names) == 2) else "semantic"
    same = task == bundle.task and (task == "matte" or names == bundle.classes)
    members = None if same else _members(task, bundle, names, data)
    tables = _tables(bundle, data, names, name, fresh=not same) | {"task": task, "loss": _loss(task)}
    tables |= {"network": dict(network), "schedule": _schedule(bundle.network.size_wh, budget)}
    for change in changes:
        apply_change(tables, change)
    recipe = recipe_from(tables, run_folder.resolve())
    return FineTune(bundle, data, recipe, load_weights(bundle.folder / WEIGHTS_NAME), members)


def _network_table(bundle: Bundle) -> Mapping[str, Any]:
    """Return the network's name and settings from the card. Raises ConfigError."""
    table = bundle.training.get("network")
    if not isinstance(table, Mapping) or not (bundle.folder / WEIGHTS_NAME).is_file():
        lacking = "no [training.network] in its card" if table is None else f"no {WEIGHTS_NAME}"
        raise ConfigError(
            f"--from {bundle.name}: got {lacking}; expected a bundle that rtseg train made, which has both. "
            "Choose street, person or one of your own."
        )
    return table


def _members(task: str, bundle: Bundle, names: tuple[str, ...], data: UserData) -> tuple[tuple[int, ...], ...]:
    if task != bundle.task:  # one plane against many: nothing of the head fits
        return ((),) if task == "matte" else tuple(() for _ in names)
    return members_of(names, bundle.classes, data.taxonomy)


def _write_tables(path: Path, tables: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(toml_text(tables), encoding="utf-8")
    except OSError as error:
        raise SinkError(f"--out: got {error.strerror} for {path}; expected a folder that can be written.") from error


def _tables(bundle: Bundle, data: UserData, names: tuple[str, ...], name: str, *, fresh: bool) -> dict[str, Any]:
    """Return the parts of a fine-tuning's recipe that follow from bundle and data."""
    place = {"name": data.folder.resolve().name, "path": str(data.folder.resolve()), "taxonomy": CLASSES_TOML}
    place |= {"layout": data.layout}
    train_split, held_out_split = data.splits or (None, None)
    listed = {} if data.splits else {"exclude": f"{SPLIT_NAME}:held_out"}
    scored = {} if data.splits else {"only": f"{SPLIT_NAME}:held_out"}
    road = "road" in bundle.classes
    return {
        "classes": {"names": list(names), "palette": _palette(bundle, names)},
        "set": [place | listed | ({"split": train_split} if train_split else {})],
        "augment": {"profile": "street" if road else "plain"},
        "optimiser": {"head_rate": HEAD_RATE if fresh else 1.0},
        "average": {"horizon": 60},
        "validation": {
            "set": [place | scored | {"limit": SCORED_PICTURES} | ({"split": held_out_split} if data.splits else {})],
            "every": 0.125,
            "patience": 4,
        },
        "export": _export(bundle, data, name),
    }


def _loss(task: str) -> dict[str, Any]:
    if task == "matte":
        return {"cross_entropy": 1.0, "dice": 0.5, "edge_weight": 1.0}
    return {"cross_entropy": 1.0, "class_weighting": "frequency"}


def _schedule(size_wh: tuple[int, int], budget: Mapping[str, Any]) -> dict[str, Any]:
    return {**budget, "rate": RATE, "warm_up": 0.05, "phases": _phases(size_wh)}


def _phases(size_wh: tuple[int, int]) -> list[dict[str, Any]]:
    """Return half the size first, where the size is large: more pictures are seen in the same time."""
    width, height = size_wh
    if width * height <= SMALL_PX:
        return [{"size_wh": [width, height], "batch": 8}]
    half = [max(64, round(side / 64) * 32) for side in size_wh]
    return [{"size_wh": half, "batch": 8}, {"start": 0.5, "size_wh": [width, height], "batch": 4}]


def _palette(bundle: Bundle, names: tuple[str, ...]) -> list[str]:
    """Return "#rrggbb" of each class: the bundle's where it has the class, else one that is easy to tell apart."""
    own = dict(zip(bundle.classes, bundle.palette, strict=True))
    made = generated_palette(names)
    colors = [own.get(name, color) for name, color in zip(names, made, strict=True)]
    return ["#{:02x}{:02x}{:02x}".format(*color) for color in colors]


def _export(bundle: Bundle, data: UserData, name: str) -> dict[str, Any]:
    sources = [
        {"name": f"starts from bundle {bundle.name} {bundle.version}", "licence": bundle.licence},
        {"name": data.folder.resolve().name, "pairs": len(data.training), "licence": "its owner's"},
    ]
    return {
        "name": name,
        "size_wh": list(bundle.network.size_wh),
        "licence": f"{bundle.licence} And what the pictures of {data.folder.resolve().name} allow.",
        "description": f"{bundle.name} fine-tuned on {data.folder.resolve().name}.",
        "intended_use": bundle.intended_use,
        "limits": "Scored on a few held-out pictures of its own set only.",
        "effect": bundle.default_effect if bundle.task == "matte" else "",
        "sources": sources,
    }


def held_out_scores(model_name: str, data: UserData) -> dict[str, float] | None:
    """Return the scores of a bundle at its defaults on the held-out pictures; None where it has none of the classes."""
    with load(model_name) as segmenter:
        table = data.taxonomy.prediction_table(segmenter.classes)
        if all(index == OTHER for index in table[: len(segmenter.classes)]):
            return None
        return score(segmenter, data.held_out, data.held_out)


def before_and_after(before: Mapping[str, float] | None, after: Mapping[str, float]) -> str:
    """Return the scores as lines of text."""
    lines = [f"{'':12} before   after"]
    for key, value in after.items():
        was = "–" if before is None or math.isnan(before.get(key, math.nan)) else f"{before[key]:.4f}"
        lines.append(f"{key:12} {was:>6}  {value:.4f}")
    return "\n".join(lines)
