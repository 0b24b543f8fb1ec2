"""Class lists that many public models share, and a palette for those that come without one."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from typing import Final

from rtseg.models.checks import Color

CITYSCAPES: Final[Mapping[str, Color]] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
"""The 19 train ids in order. Source: Cordts et al., "The Cityscapes Dataset", 2016, arXiv 1604.01685 (its scripts)."""

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
