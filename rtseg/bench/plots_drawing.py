"""A figure as a list of shapes, drawn once and rendered twice: as SVG for a page, as pixels for a PNG.

Lengths are in px of a figure whose width the caller chooses, x to the right, y down. Colours are named by what they
mean, so that a page can follow the reader's light or dark setting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Role = Literal[
    "ink", "muted", "grid", "track", "accent", "bare", "bad", "good",
    "decode", "waiting", "preprocess", "infer", "postprocess", "render", "sink", "rest",
]  # fmt: skip
Anchor = Literal["start", "middle", "end"]

TEXT_PX: Final = 13.0
SMALL_PX: Final = 11.5
TITLE_PX: Final = 15.0
_WIDTH_OF_A_LETTER: Final = 0.545  # of the size, on average, in the fonts that pages use

STAGE_ROLES: Final[dict[str, Role]] = {
    "decode": "decode",
    "waiting": "waiting",
    "preprocess": "preprocess",
    "infer": "infer",
    "postprocess": "postprocess",
    "render": "render",
    "encode": "sink",
}
"""Colour of a stage; whatever else there is, is a sink."""


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle with a tip for the pointer."""

    x: float
    y: float
    width: float
    height: float
    role: Role
    opacity: float = 1.0
    radius: float = 2.0
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points."""

    points: tuple[tuple[float, float], ...]
    role: Role
    width: float = 1.0
    dashed: bool = False
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Area:
    """A filled polygon with a tip for the pointer."""

    points: tuple[tuple[float, float], ...]
    role: Role
    opacity: float = 1.0
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle with a tip for the pointer."""

    x: float
    y: float
    radius: float
    role: Role
    opacity: float = 1.0
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text; y is its base line."""

    x: float
    y: float
    text: str
    role: Role = "ink"
    size: float = TEXT_PX
    anchor: Anchor = "start"
    bold: bool = False


Shape: TypeAlias = "Box | Stroke | Area | Dot | Words"


@dataclass(slots=True)
class Figure:
    """A figure and what it says in one line for those who cannot see it."""

    width: float
    height: float
    summary: str
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        """Draw shapes over those before."""
        self.shapes.extend(shapes)

    def put(self, other: Figure, x: float, y: float) -> None:
        """Draw another figure with its top left corner at a place."""
        self.shapes.extend(moved(shape, x, y) for shape in other.shapes)


def moved(shape: Shape, x: float, y: float) -> Shape:
    """Return the shape further right and down."""
    if isinstance(shape, Stroke):
        return Stroke(_moved_points(shape.points, x, y), shape.role, shape.width, shape.dashed, shape.opacity)
    if isinstance(shape, Area):
        return Area(_moved_points(shape.points, x, y), shape.role, shape.opacity, shape.tip)
    if isinstance(shape, Box):
        place = shape.x + x, shape.y + y, shape.width, shape.height
        return Box(*place, shape.role, shape.opacity, shape.radius, shape.tip)
    if isinstance(shape, Dot):
        return Dot(shape.x + x, shape.y + y, shape.radius, shape.role, shape.opacity, shape.tip)
    return Words(shape.x + x, shape.y + y, shape.text, shape.role, shape.size, shape.anchor, shape.bold)


def _moved_points(points: Sequence[tuple[float, float]], x: float, y: float) -> tuple[tuple[float, float], ...]:
    return tuple((px + x, py + y) for px, py in points)


def stage_role(name: str) -> Role:
    """Return the colour of a stage."""
    return STAGE_ROLES.get(name, "sink")


def text_width(text: str, size: float = TEXT_PX) -> float:
    """Return about how wide a text is; what pages really use is not known here."""
    return len(text) * size * _WIDTH_OF_A_LETTER


def clipped(text: str, width: float, size: float = TEXT_PX) -> str:
    """Return the text cut to a width, with an ellipsis where something was cut."""
    most = max(1, int(width / (size * _WIDTH_OF_A_LETTER)))
    return text if len(text) <= most else text[: max(1, most - 1)].rstrip(" ·") + "…"


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels along one axis, evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of a value; values outside are put at the edge."""
        low, high, inside = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, inside = math.log(low), math.log(high), math.log(inside)
        share = (inside - low) / (high - low) if high > low else 0.0
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers within a range, at even steps of 1, 2 or 5."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return the 1, 2 and 5 of every decade within a range above 0."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = (factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5))
    return [mark for mark in marks if low <= mark <= high]
