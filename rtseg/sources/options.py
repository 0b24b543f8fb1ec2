"""Options of a source as they are written: `?size=640x360&fps=30`, or keyword arguments with the same names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from rtseg.errors import ConfigError

_LONG_NAMES: Final = {
    "size": "size_wh",
    "seconds": "duration_seconds",
    "duration": "duration_seconds",
    "start": "start_seconds",
    "frames": "frame_count",
    "format": "pixel_format",
    "threads": "thread_count",
    "open_timeout": "open_timeout_seconds",
    "probe": "probe_seconds",
}
"""Short names that may be written for the arguments of a source."""


def _read_size(text: str) -> tuple[int, int]:
    from rtseg.geometry import parse_size_wh  # loads OpenCV, which most sources do without

    return parse_size_wh(text)


def _read_switch(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]


FFMPEG_PREFIX: Final = "ffmpeg."
"""Options that are meant for FFmpeg itself, under its own names."""

_READERS: Final[dict[str, Callable[[str], object]]] = {
    "size_wh": _read_size,
    "fps": lambda text: Fraction(text),
    "seed": int,
    "frame_count": int,
    "thread_count": int,
    "probe_bytes": int,
    "start_seconds": float,
    "duration_seconds": float,
    "open_timeout_seconds": float,
    "probe_seconds": float,
    "live": _read_switch,
    "low_delay": _read_switch,
    "tls_verify": _read_switch,
    "cursor": _read_switch,
}


def parse_options(written: Mapping[str, object], *, what: str) -> dict[str, object]:
    """Return options under the names of the arguments, with values that were text read as what they are.

    Raises:
        ConfigError: a value cannot be read, or one argument is given twice.
    """
    options: dict[str, object] = {}
    for name, value in written.items():
        argument = _LONG_NAMES.get(name, name)
        if argument in options:
            raise ConfigError(f"{what}: got {argument} twice; expected it once. Drop one.")
        options[argument] = _read(name, argument, value, what) if isinstance(value, str) else value
    return options


def gather_ffmpeg_options(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options with those that begin with "ffmpeg." put together as `ffmpeg`, a dictionary of texts."""
    own = {name: value for name, value in options.items() if not name.startswith(FFMPEG_PREFIX)}
    ffmpeg = {name.removeprefix(FFMPEG_PREFIX): str(value) for name, value in options.items() if name not in own}
    return own | {"ffmpeg": ffmpeg} if ffmpeg else own


def check_options(maker: Callable[..., object], options: Mapping[str, object], *, what: str) -> None:
    """Raise ConfigError when `maker` takes no such option; it names what it takes."""
    parameters = inspect.signature(maker).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigError(
            f"{what}: got unknown option {', '.join(unknown)}; expected some of {_listed(known)}. Change the name."
        )


def _listed(known: list[str]) -> str:
    names = [f"{FFMPEG_PREFIX}NAME" if name == "ffmpeg" else name for name in known]
    return ", ".join(names)


def check_rate(fps: object, *, what: str) -> Fraction:
    """Return a frame rate as a fraction, or raise ConfigError when it is not a number in 1/1000..1000."""
    if isinstance(fps, int | float | Fraction) and not isinstance(fps, bool) and 0.001 <= fps <= 1000:
        return Fraction(fps).limit_denominator(1001)
    raise ConfigError(f"{what}: got {fps!r} frames a second; expected a number in 0.001..1000. Give another rate.")


def _read(name: str, argument: str, text: str, what: str) -> object:
    reader = _READERS.get(argument)
    if reader is None:
        return text
    try:
        return reader(text)
    except (ValueError, KeyError, ZeroDivisionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{what}: got {name}={text!r}; expected {_expected(argument)}. Change the value.") from error


def _expected(argument: str) -> str:
    if _READERS[argument] is _read_switch:
        return "yes or no"
    whole = ("seed", "frame_count", "thread_count", "probe_bytes")
    return "a whole number" if argument in whole else "a number"
