"""Which class gets how much colour in the driving overlay, and which classes share an outline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rtseg.render.effects import DRIVABLE_NAMES
from rtseg.render.palette import BACKGROUND_NAMES, Color, lifted

DRIVABLE_COLOR: Final[Color] = (30, 205, 110)
"""The drivable area is green, whatever the palette says: it is the one thing to see at a glance."""
OUTLINE_COLOR: Final[Color] = (205, 255, 228)
OUTLINE_OPACITY: Final[float] = 0.75
OUTLINE_WIDTH_PX: Final[float] = 1.2
DRIVABLE_WIDTH_PX: Final[float] = 2.6

_SURFACES: Final[frozenset[str]] = frozenset({"sidewalk", "terrain", "pavement"})
_SCENERY: Final[frozenset[str]] = frozenset({"building", "wall", "fence", "vegetation", "tree"})

GROUPS: Final[tuple[frozenset[str], ...]] = (
    _SCENERY | BACKGROUND_NAMES | DRIVABLE_NAMES | {"sky", "pole"},
    _SURFACES,
    frozenset({"car", "truck", "bus", "train", "motorcycle", "bicycle", "vehicle"}),
    frozenset({"person", "rider", "pedestrian", "bicyclist", "traffic light", "traffic sign", "sign"}),
)
"""Classes with no line between them. Four groups are two bits, and leave the eye what matters; the drivable area has a
line of its own."""


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
    """Return the palette with the drivable area in green and dark colours lifted, so that a car is not a shadow."""
    return tuple(
        DRIVABLE_COLOR if name in DRIVABLE_NAMES else lifted(rgb) for name, rgb in zip(classes, palette, strict=True)
    )


def drivable_indices(classes: Sequence[str], drawn: Sequence[int]) -> tuple[int, ...]:
    """Return which of the drawn classes are drivable."""
    return tuple(index for index in drawn if classes[index] in DRIVABLE_NAMES)


def group_codes(classes: Sequence[str], drawn: Sequence[int]) -> tuple[int, ...]:
    """Return the outline code of every class; classes that are not drawn join the background."""
    return tuple(_group_code(name, index) if index in drawn else 0 for index, name in enumerate(classes))


def _group_code(name: str, index: int) -> int:
    known = [code for code, group in enumerate(GROUPS) if name in group]
    return known[0] if known else 1 + index % (len(GROUPS) - 1)
