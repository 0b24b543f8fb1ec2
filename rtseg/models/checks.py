"""Checks of the single facts about a model, the same for a card and for options given in its place."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias, TypeVar

from rtseg.errors import ConfigError
from rtseg.network import ChannelOrder, Layout, OutputKind

Task = Literal["semantic", "matte"]
DefaultPrecision = Literal["fp16", "int8"]
Color: TypeAlias = tuple[int, int, int]
Triple: TypeAlias = tuple[float, float, float]

LAYOUTS: Final[Mapping[str, Layout]] = {"NCHW": "NCHW", "NHWC": "NHWC"}
CHANNEL_ORDERS: Final[Mapping[str, ChannelOrder]] = {"RGB": "RGB", "BGR": "BGR"}
OUTPUT_KINDS: Final[Mapping[str, OutputKind]] = {
    "logits": "logits",
    "labels": "labels",
    "probability": "probability",
    "alpha": "alpha",
}
TASKS: Final[Mapping[str, Task]] = {"semantic": "semantic", "matte": "matte"}
PRECISIONS: Final[Mapping[str, DefaultPrecision]] = {"fp16": "fp16", "int8": "int8"}
MOST_CLASSES: Final = 255
MOST_INPUT_PX: Final = 8192

ChoiceT = TypeVar("ChoiceT", bound=str)


def nearest(word: str, known: Sequence[str]) -> str:
    """Return the second half of a message about an unknown word: what is expected, and the nearest of it."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"expected one of {', '.join(known)}.{guess}"


def choose(text: object, choices: Mapping[str, ChoiceT], *, what: str) -> ChoiceT:
    """Return the choice of that name (case does not matter), or raise ConfigError with the nearest one."""
    for name, choice in choices.items():
        if isinstance(text, str) and text.lower() == name.lower():
            return choice
    raise ConfigError(f"{what}: got {text!r}; {nearest(str(text), tuple(choices))}")


def check_input_size_wh(value: object, *, what: str) -> tuple[int, int]:
    """Return (width, height), or raise ConfigError when it is not two whole numbers of pixels."""
    if isinstance(value, Sequence) and len(value) == 2 and all(type(side) is int for side in value):
        width, height = value
        if 8 <= width <= MOST_INPUT_PX and 8 <= height <= MOST_INPUT_PX:
            return width, height
    raise ConfigError(
        f"{what}: got {value!r}; expected width and height in pixels, 8 to {MOST_INPUT_PX}, such as [1024, 512]. "
        "Correct it."
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_scale(value: object, *, what: str) -> float:
    """Return the factor, or raise ConfigError when it is no positive number."""
    if isinstance(value, int | float) and _is_number(value) and value > 0:
        return float(value)
    raise ConfigError(f"{what}: got {value!r}; expected a positive number such as 0.00392157 (1/255) or 1. Correct it.")


def check_triple(value: object, *, what: str, positive: bool = False) -> Triple:
    """Return three numbers, or raise ConfigError; with `positive`, each above 0."""
    if isinstance(value, Sequence) and len(value) == 3 and all(_is_number(item) for item in value):
        first, second, third = (float(item) for item in value)
        if not positive or min(first, second, third) > 0:
            return first, second, third
    kind = "three positive numbers" if positive else "three numbers"
    raise ConfigError(f"{what}: got {value!r}; expected {kind}, one a channel in channel order. Correct it.")


def check_classes(names: Sequence[str], *, what: str) -> tuple[str, ...]:
    """Return the class names, or raise ConfigError when there are none, too many, empty ones or the same one twice."""
    if not 1 <= len(names) <= MOST_CLASSES:
        raise ConfigError(f"{what}: got {len(names)} names; expected 1 to {MOST_CLASSES}. Correct the list.")
    wrong = [name for name in names if not isinstance(name, str) or not name.strip() or names.count(name) > 1]
    if wrong:
        raise ConfigError(f"{what}: got {wrong[0]!r}, empty or twice; expected different names. Correct the list.")
    return tuple(names)


def parse_color(value: object, *, what: str) -> Color:
    """Return an RGB colour from "#rrggbb" or three numbers 0..255."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3:
        if all(isinstance(item, int) and 0 <= item <= 255 for item in value):
            return int(value[0]), int(value[1]), int(value[2])
    raise ConfigError(f'{what}: got {value!r}; expected a colour "#rrggbb". Correct it.')


def check_palette(colors: Sequence[object], count: int, *, what: str) -> tuple[Color, ...]:
    """Return one RGB colour a class, or raise ConfigError."""
    if len(colors) != count:
        raise ConfigError(f"{what}: got {len(colors)} colours; expected {count}, one a class. Correct the list.")
    return tuple(parse_color(color, what=what) for color in colors)


def check_sha256(text: str, *, what: str) -> str:
    """Return the digest in lower case, or raise ConfigError when it is not 64 hexadecimal digits."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ConfigError(f"{what}: got {text!r}; expected 64 hexadecimal digits. Run sha256sum on the file.")
    return text.lower()


def check_file_name(name: str, *, what: str) -> str:
    """Return the name, or raise ConfigError when it could lead out of the bundle's folder."""
    if name in ("", ".", "..") or any(mark in name for mark in "/\\:\0"):
        raise ConfigError(
            f"{what}: got {name!r}; expected the name of a file inside the bundle's folder. Move it there."
        )
    return name
