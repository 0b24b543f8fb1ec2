"""Class lists that many public models share, and a palette for those that come without one."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from typing import Final

from rtseg.cityscapes import CITYSCAPES
from rtseg.models.checks import Color

PRESETS: Final[Mapping[str, Mapping[str, Color]]] = {"cityscapes": CITYSCAPES}
"""Class lists that can be given by name instead of the classes."""


def generated_palette(classes: tuple[str, ...]) -> tuple[Color, ...]:
    """Return distinct RGB colours, the known ones where a class has a Cityscapes name, black for a background."""
    return tuple(_color(index, name.lower()) for index, name in enumerate(classes))


def _color(index: int, name: str) -> Color:
    if name == "background":
        return 0, 0, 0
    if name in CITYSCAPES:
        return CITYSCAPES[name]
    red, green, blue = colorsys.hsv_to_rgb(
        index * 0.618034 % 1.0, 0.55 + 0.4 * (index % 2), 0.95 - 0.25 * (index % 3 == 2)
    )
    return round(255 * red), round(255 * green), round(255 * blue)
