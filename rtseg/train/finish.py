"""The end of a run: the best averaged weights become a bundle."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from rtseg.builder.cards import CardFacts
from rtseg.builder.export import Exported, export_bundle, load_weights
from rtseg.errors import ConfigError
from rtseg.train.loop import Counters
from rtseg.train.networks import build_network, carry_over, head_weights, network_table
from rtseg.train.offsets import add_offsets, fit_offsets
from rtseg.train.recipe import Recipe
from rtseg.train.settings import ExportSettings
from rtseg.train.tables import tables_of
from rtseg.train.validate import open_validation


def export_run(
    recipe: Recipe,
    weights_path: Path,
    folder: Path,
    *,
    counters: Counters,
    device_text: str,
    scores: Mapping[str, Any],
) -> Exported:
    """Write the bundle of a run and check that it computes what the torch network computes.

    Args:
        recipe: with `[export]`.
        weights_path: averaged weights of its network.
        folder: of the bundle.
        counters: how far the run went, for the card.
        device_text: where it ran, for the card.
        scores: measured, for the card, with their protocol.

    Raises:
        ConfigError: the recipe has no `[export]`.
        EngineError: a runtime computes something else.
    """
    if recipe.export is None:
        raise ConfigError("export: got a recipe without [export]; expected name and size_wh. Add the table.")
    network = build_network(recipe.network, recipe.outputs, full_size=True)
    carry_over(network, load_weights(weights_path), {}, None)
    training = _training(recipe, recipe.export, counters, device_text) | _with_offsets(recipe, recipe.export, network)
    return export_bundle(network, folder, _facts(recipe, recipe.export, training, scores))


def _with_offsets(recipe: Recipe, export: ExportSettings, network: nn.Module) -> dict[str, Any]:
    """Fit offsets of the classes where the recipe asks for them, add them, and return what the card says of them."""
    if not export.offsets:
        return {}
    sets = [each for each in open_validation(recipe, whole=True) if each.settings.name in export.offsets]
    found = fit_offsets(network.eval(), sets, recipe.class_names, export.size_wh)
    add_offsets(network, head_weights(recipe.network, recipe.outputs), found.values)
    moved = {name: round(value, 2) for name, value in zip(recipe.class_names, found.values, strict=True) if value}
    return {
        "class_offsets": moved,
        "class_offsets_fitted_on": list(export.offsets),
        "class_offsets_mean_miou_before": round(found.before, 4),
        "class_offsets_mean_miou_cross_fitted": round(found.after, 4),
    }


def _facts(recipe: Recipe, export: ExportSettings, training: Mapping[str, Any], scores: Mapping[str, Any]) -> CardFacts:
    return CardFacts(
        name=export.name,
        version=export.version,
        task=recipe.task,
        description=export.description,
        licence=export.licence,
        intended_use=export.intended_use,
        limits=export.limits,
        size_wh=export.size_wh,
        output_kind="alpha" if recipe.task == "matte" else "logits",
        classes=recipe.class_names,
        palette=recipe.palette,
        effect=export.effect or None,
        training=training,
        scores=scores,
    )


def _training(recipe: Recipe, export: ExportSettings, counters: Counters, device_text: str) -> dict[str, Any]:
    """Return the card's `[training]`: how long, on what, and the network, from which fine-tuning starts."""
    return {
        **({"recipe": export.recipe} if export.recipe else {}),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "samples_seen": counters.samples,
        "minutes": round(counters.seconds / 60, 1),
        "device": device_text,
        "sources": [tables_of(source) for source in export.sources],
        "network": network_table(recipe.network),
    }


def card_scores(scores: Mapping[str, float], size_wh: tuple[int, int]) -> dict[str, Any]:
    """Return validation scores flat, as a card keeps them, with the protocol that they were taken by."""
    flat = {
        name.replace("/", "_"): round(value, 4)
        for name, value in scores.items()
        if name != "mean" and not math.isnan(value)
    }
    if not flat:
        return {}
    protocol = (
        f"averaged weights in torch at {size_wh[0]}x{size_wh[1]} on the recipe's validation sets; pixels pooled over "
        "a set, means over the classes of the truth; masks at the size of the labels"
    )
    return flat | {"protocol": protocol}
