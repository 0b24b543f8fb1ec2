"""Writing the card of a bundle (`model.toml`), in the order in which people read it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rtseg.builder.toml_text import toml_text
from rtseg.models.card import CARD_NAME, read_card
from rtseg.models.checks import Color, Task, Triple
from rtseg.network import OutputKind

IMAGENET_MEAN: Final[Triple] = (0.485, 0.456, 0.406)
IMAGENET_STD: Final[Triple] = (0.229, 0.224, 0.225)
"""Of red, green and blue, 0..1; what every network trained here is fed with."""
BYTE_SCALE: Final = 0.00392156862745098
"""1 / 255."""
ONNX_NAME: Final = "model.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card says besides the digest of its file."""

    name: str
    task: Task
    licence: str
    """Of the weights: what the training data binds."""
    size_wh: tuple[int, int]
    """Input width and height in pixels."""
    output_kind: OutputKind
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    version: str = "0.1.0"
    description: str = ""
    intended_use: str = ""
    limits: str = ""
    effect: str | None = None
    """Effect that `rtseg run` draws by default; None: by task."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Recipe, sources with licences, the network with its settings."""
    scores: Mapping[str, Any] = field(default_factory=dict)
    """Measured scores with their protocol."""


def card_tables(facts: CardFacts, sha256: str) -> dict[str, dict[str, Any]]:
    """Return the tables of a card for a network that takes RGB planes with ImageNet's mean and deviation."""
    texts = ("description", "licence", "intended_use", "limits")
    return {
        "model": {"name": facts.name, "version": facts.version, "task": facts.task}
        | {key: text for key in texts if (text := getattr(facts, key))},
        "files": {"onnx": ONNX_NAME, "sha256": sha256},
        "input": {
            "size_wh": list(facts.size_wh),
            "layout": "NCHW",
            "channel_order": "RGB",
            "scale": BYTE_SCALE,
            "mean": list(IMAGENET_MEAN),
            "std": list(IMAGENET_STD),
        },
        "output": {"kind": facts.output_kind, "layout": "NCHW"},
        "classes": {
            "names": list(facts.classes),
            "palette": ["#{:02x}{:02x}{:02x}".format(*color) for color in facts.palette],
        },
        **({"defaults": {"effect": facts.effect}} if facts.effect else {}),
        "training": dict(facts.training),
        "scores": dict(facts.scores),
    }


def write_card(folder: Path, tables: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a bundle's card, check that it reads back, and return its path.

    Raises:
        ConfigError: a key or a value is not what a card may hold.
    """
    path = folder / CARD_NAME
    waiting = path.with_suffix(".toml.part")
    waiting.write_text(toml_text(tables), encoding="utf-8")
    try:
        read_card(waiting)
    except BaseException:
        waiting.unlink()
        raise
    return waiting.replace(path)


def read_tables(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the tables of a bundle's card as they are written, after a check. Raises ConfigError."""
    read_card(folder / CARD_NAME)
    return tomllib.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
