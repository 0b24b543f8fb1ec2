"""Which class gets how much colour in the driving overlay, and which classes share an outline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rtseg.render.effects import DRIVABLE_NAMES
from rtseg.render.palette import BACKGROUND_NAMES, Color

DRIVABLE_COLOR: Final[Color] = (30, 205, 110)
"""The drivable area is green, whatever the palette says: it is the one thing to see at a glance."""
DRIVABLE_LINE_COLOR: Final[Color] = (140, 255, 190)
OUTLINE_COLOR: Final[Color] = (255, 255, 255)

_SURFACES: Final[frozenset[str]] = frozenset({"sidewalk", "terrain", "pavement"})
_SCENERY: Final[frozenset[str]] = frozenset({"building", "wall", "fence", "vegetation", "tree"})

GROUPS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"sidewalk", "terrain", "pavement"}),
    frozenset({"building", "wall", "fence"}),
    frozenset({"pole", "traffic light", "traffic sign", "sign"}),
    frozenset({"vegetation", "tree"}),
    frozenset({"person", "rider", "pedestrian", "bicyclist"}),
    frozenset({"car", "truck", "bus", "train", "motorcycle", "bicycle", "vehicle"}),
    frozenset({"sky"}) | BACKGROUND_NAMES,
)
"""Classes with no line between them: seven groups, which are three bits; the drivable area is group 0."""


def driving_opacity(name: str, opacity: float) -> float:
    """Return the opacity of a class, 0..1, when objects have `opacity`."""
    if name in BACKGROUND_NAMES:
        return 0.0
    if name == "sky":
        return 0.25 * opacity
    if name in DRIVABLE_NAMES:
        return 0.7 * opacity
    if name in _SURFACES:
        return 0.5 * opacity
    return (0.4 if name in _SCENERY else 1.0) * opacity


def driving_palette(classes: Sequence[str], palette: Sequence[Color]) -> tuple[Color, ...]:
    """Return the palette with the drivable area in green."""
    return tuple(
        DRIVABLE_COLOR if name in DRIVABLE_NAMES else rgb for name, rgb in zip(classes, palette, strict=True)
    )


def drivable_codes(classes: Sequence[str]) -> tuple[int, ...]:
    """Return outline codes with the drivable area as the only group."""
    return tuple(1 if name in DRIVABLE_NAMES else 0 for name in classes)


def group_codes(classes: Sequence[str], drawn: Sequence[int]) -> tuple[int, ...]:
    """Return the outline code of every class; classes that are not drawn join the background."""
    return tuple(
        _group_code(name, index) if index in drawn else len(GROUPS) for index, name in enumerate(classes)
    )


def _group_code(name: str, index: int) -> int:
    if name in DRIVABLE_NAMES:
        return 0
    known = [code for code, group in enumerate(GROUPS, start=1) if name in group]
    return known[0] if known else 1 + index % (len(GROUPS) - 1)
