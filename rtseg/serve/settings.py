"""What a viewer can set of a picture while it runs: model, effect and its details, as a checked value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from rtseg.errors import ConfigError
from rtseg.models.bundle import Bundle
from rtseg.render.effects import (
    Blur,
    Driving,
    Effect,
    Nothing,
    Outline,
    Replace,
    Spotlight,
    Tint,
    class_indices,
    parse_effect,
)
from rtseg.render.palette import parse_hex

EFFECTS: Final[dict[str, type[Effect]]] = {
    kind.name: kind for kind in (Blur, Replace, Spotlight, Driving, Tint, Outline, Nothing)
}
"""The effects that a page can ask for; `cutout` is left out, as no live codec carries its transparency."""

DEFAULT_STRENGTH: Final = 0.5
DEFAULT_COLOR: Final = "#1e7a46"
"""Background of `replace` where neither a picture nor a colour was chosen."""

MOST_HIDDEN: Final = 256
"""Names of hidden classes that are taken at most."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is drawn, and by which model."""

    model: str
    """Name of a model that the server offers."""
    effect: str = "blur"
    """One of EFFECTS."""
    strength: float = DEFAULT_STRENGTH
    """Of the blur, 0..1."""
    background: str | None = None
    """Number of an uploaded picture that replaces the background; None: the colour."""
    color: str | None = None
    """Colour that replaces the background, "#rrggbb"; of an outline: its colour."""
    smoothing: bool = True
    """Whether masks are steadied over time."""
    hidden: tuple[str, ...] = ()
    """Classes that are not drawn."""

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return {**asdict(self), "hidden": list(self.hidden)}


def changed(settings: Settings, patch: object) -> Settings:
    """Return the settings with the values of a JSON object in place of its own.

    Raises:
        ConfigError: it is no object, or has a key or a value that cannot be right.
    """
    if not isinstance(patch, Mapping):
        raise ConfigError(f"settings: got {type(patch).__name__}; expected an object. Send {{}} to change nothing.")
    known = {field.name for field in fields(Settings)}
    if unknown := sorted(str(key)[:40] for key in patch if key not in known):
        raise ConfigError(f"settings: got {', '.join(unknown[:8])}; expected some of {', '.join(sorted(known))}.")
    return replace(settings, **{str(key): _CHECKS[str(key)](value) for key, value in patch.items()})


def effects_of(settings: Settings, bundle: Bundle, picture_of: Callable[[str], Path]) -> tuple[Effect, ...]:
    """Return what is to be drawn.

    Args:
        settings: what was asked for.
        bundle: the model in use.
        picture_of: the file of an uploaded background.

    Raises:
        ConfigError: the effect does not suit the model, or there is no such background.
    """
    plain = _plain_effect(settings, picture_of)
    indices = class_indices(plain, bundle.classes) if not isinstance(plain, Nothing) else ()
    hidden = set(settings.hidden)
    shown = tuple(bundle.classes[index] for index in indices if bundle.classes[index] not in hidden)
    if len(shown) == len(indices):
        return (plain,)
    if not shown:
        return (Nothing(),)
    return (replace(plain, classes=shown),)  # type: ignore[call-arg]  # every effect but Nothing has classes


def effects_for_model(bundle: Bundle) -> tuple[str, ...]:
    """Return the names of the effects that suit a model, its own first."""
    fitting = []
    for name in EFFECTS:
        try:
            effects_of(Settings(bundle.name, name), bundle, Path)
        except ConfigError:
            continue
        if name != "driving" or "road" in bundle.classes:
            fitting.append(name)
    default = parse_effect(bundle.default_effect).name
    return tuple(sorted(fitting, key=lambda name: name != default))


def default_settings(bundle: Bundle, effect: str | None = None) -> Settings:
    """Return the settings that a model starts with; the effect is one of the command line where one was given.

    Raises:
        ConfigError: the effect is not one that a page can show.
    """
    chosen = parse_effect(bundle.default_effect if effect is None else effect, classes=bundle.classes)
    if chosen.name not in EFFECTS:
        raise ConfigError(f"--effect: got {chosen.name}; expected one of {', '.join(EFFECTS)}. Choose one of them.")
    strength = chosen.strength if isinstance(chosen, Blur) else DEFAULT_STRENGTH
    color = getattr(chosen, "color", None)
    return Settings(bundle.name, chosen.name, strength=strength, color=color, smoothing=bundle.smoothing)


def _plain_effect(settings: Settings, picture_of: Callable[[str], Path]) -> Effect:
    if settings.effect == "blur":
        return Blur(strength=settings.strength)
    if settings.effect == "replace":
        if settings.background is not None:
            return Replace(source=str(picture_of(settings.background)))
        return Replace(color=settings.color or DEFAULT_COLOR)
    if settings.effect == "outline":
        return Outline(color=settings.color)
    return EFFECTS[settings.effect]()


def _text(value: object, *, what: str, most: int = 200) -> str:
    if not isinstance(value, str) or not value or len(value) > most:
        raise ConfigError(f"{what}: got {_shown(value)}; expected a text of 1 to {most} characters.")
    return value


def _effect(value: object) -> str:
    if not isinstance(value, str) or value not in EFFECTS:
        raise ConfigError(f"effect: got {_shown(value)}; expected one of {', '.join(EFFECTS)}.")
    return value


def _strength(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"strength: got {_shown(value)}; expected a number from 0 to 1.")
    return float(value)


def _color(value: object) -> str | None:
    if value is None:
        return None
    text = _text(value, what="color", most=7)
    parse_hex(text, what="color")
    return text


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"smoothing: got {_shown(value)}; expected true or false.")
    return value


def _hidden(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_HIDDEN:
        raise ConfigError(f"hidden: got {_shown(value)}; expected a list of at most {MOST_HIDDEN} class names.")
    return tuple(_text(name, what="hidden") for name in value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


_CHECKS: Final[dict[str, Callable[[object], Any]]] = {
    "model": lambda value: _text(value, what="model"),
    "effect": _effect,
    "strength": _strength,
    "background": lambda value: None if value is None else _text(value, what="background", most=64),
    "color": _color,
    "smoothing": _switch,
    "hidden": _hidden,
}
