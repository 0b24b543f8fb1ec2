"""What `rtseg models` shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rtseg.models.bundle import Bundle, list_bundles, load_bundle


def cards_table(*, as_json: bool) -> str:
    """Return the shipped bundles, a line each, or as JSON."""
    bundles = [load_bundle(name) for name in list_bundles()]
    if as_json:
        return json.dumps([card_facts(bundle) for bundle in bundles], indent=2, default=str)
    lines = [
        f"{bundle.name:<10} {bundle.task:<9} {_size_text(bundle):<9} {len(bundle.classes):>3} classes  "
        f"{'+'.join(bundle.precisions):<9}  {bundle.description}"
        for bundle in bundles
    ]
    return "\n".join([*lines, "", "rtseg models NAME shows the whole card; -m also takes a folder or an .onnx file."])


def card_text(name: str, *, as_json: bool) -> str:
    """Return the card of one bundle, key by key, or as JSON. Raises what `load_bundle` raises."""
    facts = card_facts(load_bundle(name))
    if as_json:
        return json.dumps(facts, indent=2, default=str)
    return "\n".join(_lines(facts))


def card_facts(bundle: Bundle) -> dict[str, Any]:
    """Return what a card says, as plain values."""
    network = bundle.network
    return {
        "name": bundle.name,
        "version": bundle.version,
        "task": bundle.task,
        "description": bundle.description,
        "licence": bundle.licence,
        "intended_use": bundle.intended_use,
        "limits": bundle.limits,
        "input": {
            "size": _size_text(bundle),
            "layout": network.layout,
            "channel_order": network.channel_order,
            "scale": network.scale,
            "mean": list(network.mean),
            "std": list(network.std),
        },
        "output": {"kind": network.output_kind, "layout": network.output_layout},
        "classes": [
            f"{index} {name} #{red:02x}{green:02x}{blue:02x}"
            for index, (name, (red, green, blue)) in enumerate(zip(bundle.classes, bundle.palette, strict=True))
        ],
        "defaults": {
            "effect": bundle.default_effect,
            "smoothing": bundle.smoothing,
            "edges": bundle.edges,
            "precision": bundle.default_precision,
        },
        "training": dict(bundle.training),
        "scores": dict(bundle.scores),
        "sha256": bundle.sha256,
        **({} if bundle.int8_path is None else {"int8_sha256": bundle.int8_sha256}),
        "folder": str(bundle.folder),
    }


def _size_text(bundle: Bundle) -> str:
    width, height = bundle.network.size_wh
    return f"{width}x{height}"


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    """Yield nested values, one key or item a line."""
    pairs = value.items() if isinstance(value, Mapping) else [("-", item) for item in value]
    for key, inner in pairs:
        mark = f"{indent}{key}" if key == "-" else f"{indent}{key}:"
        if isinstance(inner, Mapping) and key == "-":
            yield f"{mark} " + ", ".join(f"{name} {part}" for name, part in inner.items())
        elif isinstance(inner, Mapping) or (isinstance(inner, list) and not _is_short(inner)):
            yield mark
            yield from _lines(inner, indent + "  ")
        else:
            yield f"{mark} {inner}"


def _is_short(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)
