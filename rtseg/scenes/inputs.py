"""What a caller may ask of a scene: its size, its seed and the time of a picture."""

from __future__ import annotations

from rtseg.errors import ConfigError

MIN_SIDE_PX = 16
MAX_SIDE_PX = 8192
MAX_TIME_SECONDS = 1e9


def checked_size(size_wh: tuple[int, int]) -> tuple[int, int]:
    """Return width and height as integers.

    Raises:
        ConfigError: a side is no integer, or outside 16..8192 pixels.
    """
    sides = tuple(size_wh) if isinstance(size_wh, tuple | list) else ()
    if len(sides) != 2 or not all(_is_int(side) and MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in sides):
        raise ConfigError(
            f"scene size: got {size_wh!r}; expected (width, height), whole numbers from {MIN_SIDE_PX} to "
            f"{MAX_SIDE_PX}. Give for example (960, 540)."
        )
    return int(sides[0]), int(sides[1])


def checked_seed(seed: int) -> int:
    """Return the seed.

    Raises:
        ConfigError: it is no integer, or negative.
    """
    if not _is_int(seed) or seed < 0:
        raise ConfigError(f"scene seed: got {seed!r}; expected a whole number >= 0. Give for example 0.")
    return int(seed)


def checked_time(time_seconds: float) -> float:
    """Return the time in seconds.

    Raises:
        ConfigError: it is no number, negative, or above 1e9.
    """
    try:
        seconds = float(time_seconds)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= MAX_TIME_SECONDS:
        raise ConfigError(
            f"scene time: got {time_seconds!r}; expected seconds, a number from 0 to 1e9. Give frame_index / fps."
        )
    return seconds


def _is_int(value: object) -> bool:
    """Return True for Python and numpy integers; a bool is none."""
    return hasattr(value, "__index__") and not isinstance(value, bool)
