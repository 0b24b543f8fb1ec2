"""The facts of an ONNX file that has no card, as they are written on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from rtseg.errors import ConfigError
from rtseg.geometry import parse_size_wh


def _number(text: str) -> float:
    return float(Fraction(text))


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(_number(part) for part in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _count_or_names(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


_READERS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "size": ("size_wh", parse_size_wh),
    "layout": ("layout", str.upper),
    "channel_order": ("channel_order", str.upper),
    "scale": ("scale", _number),
    "mean": ("mean", _numbers),
    "std": ("std", _numbers),
    "output_kind": ("output_kind", str.lower),
    "output_layout": ("output_layout", str.upper),
    "output_name": ("output_name", str),
    "classes": ("classes", _count_or_names),
    "palette": ("palette", _words),
}


def read_model_options(written: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of `rtseg.load` for KEY=VALUE pairs such as size=512x256, mean=0.5,0.5,0.5, scale=1/255.

    Raises:
        ConfigError: an unknown key, or a value that cannot be read.
    """
    options: dict[str, Any] = {}
    for key, text in written.items():
        name, reader = _READERS.get(key.removesuffix("_wh"), (None, str))
        if name is None:
            raise ConfigError(f"--model-option: got {key}={text}; expected one of {', '.join(_READERS)}.")
        try:
            options[name] = reader(text)
        except (ValueError, ZeroDivisionError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"--model-option {key}: got {text!r}; expected {_EXPECTED[name]}.") from error
    return options


_EXPECTED: Final = {"scale": "a number such as 1/255"} | dict.fromkeys(("mean", "std"), "numbers such as 0.5,0.5,0.5")
