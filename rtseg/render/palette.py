"""Colours and names of classes: the Cityscapes palette, hex colours, and distinct colours for any other class set."""

from __future__ import annotations

import colorsys
from typing import Final, TypeAlias

from rtseg.cityscapes import CITYSCAPES
from rtseg.errors import ConfigError

Color: TypeAlias = tuple[int, int, int]
"""Red, green, blue, 0..255."""

CITYSCAPES_CLASSES: Final[tuple[str, ...]] = tuple(CITYSCAPES)
CITYSCAPES_PALETTE: Final[tuple[Color, ...]] = tuple(CITYSCAPES.values())

PERSON_CLASSES: Final[tuple[str, ...]] = ("background", "person")
PERSON_PALETTE: Final[tuple[Color, ...]] = ((40, 44, 52), (0, 168, 255))

BACKGROUND_NAMES: Final[frozenset[str]] = frozenset({"background", "void", "unlabeled", "unlabelled"})
"""Names that mean "nothing": not tinted, outlined or listed unless they are asked for."""

_DARK: Final[Color] = (40, 44, 52)
_BRIGHT: Final[int] = 220
_GOLDEN: Final[float] = 0.618033988749895


def parse_hex(text: str, *, what: str = "color") -> Color:
    """Return the colour of "#rrggbb" or "#rgb"; the hash may be left out."""
    digits = text.strip().removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    try:
        if len(digits) != 6:
            raise ValueError
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        raise ConfigError(f"{what}: got {text!r}; expected #rrggbb such as #00ff00. Give such a colour.") from None
    return red, green, blue


def to_hex(color: Color) -> str:
    """Return the colour as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def distinct_palette(class_count: int) -> tuple[Color, ...]:
    """Return `class_count` colours that are easy to tell apart; the same ones at every call."""
    return tuple(_distinct_color(index) for index in range(class_count))


def default_palette(classes: tuple[str, ...]) -> tuple[Color, ...]:
    """Return the usual colours of the classes: Cityscapes by name, dark for the background, else distinct ones."""
    if classes == PERSON_CLASSES:
        return PERSON_PALETTE
    return tuple(_usual_color(name, index) for index, name in enumerate(classes))


def lifted(rgb: Color) -> Color:
    """Return a colour as it is when it is bright, or the same hue brighter when it is dark."""
    brightest = max(rgb)
    if brightest >= _BRIGHT:
        return rgb
    gain = (brightest / _BRIGHT) ** 0.5 * _BRIGHT / max(1, brightest)
    red, green, blue = (round(value * gain * 0.85 + 0.15 * _BRIGHT) for value in rgb)
    return red, green, blue


def check_palette(palette: tuple[Color, ...], classes: tuple[str, ...]) -> tuple[Color, ...]:
    """Return the palette, or raise ConfigError when it does not fit the classes."""
    if len(palette) != len(classes):
        raise ConfigError(
            f"palette: got {len(palette)} colours for {len(classes)} classes; expected one a class. Mend the card."
        )
    return palette


def _usual_color(name: str, index: int) -> Color:
    if name in BACKGROUND_NAMES:
        return _DARK
    return CITYSCAPES.get(name, _distinct_color(index))


def _distinct_color(index: int) -> Color:
    # Steps of the golden ratio never come close to an earlier hue; three tones keep neighbours apart even so.
    hue = (0.58 + index * _GOLDEN) % 1.0
    saturation, value = ((0.80, 0.95), (0.60, 1.00), (0.90, 0.75))[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
