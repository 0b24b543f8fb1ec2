"""What to draw, as data, and the little language of `--effect`.

Every effect is one operation, `out = frame + (layer - frame) * weight`: the weight comes from the segmentation through
a table with one row a class (a matte runs between the rows of its two classes), the layer is a colour, the blurred
frame, a picture, a video, or the frame in grey. A compositor executes it; nothing here touches a pixel, and nothing
here imports OpenCV, so that `--help` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final

from rtseg.errors import ConfigError
from rtseg.render.palette import BACKGROUND_NAMES, parse_hex

DEFAULT_SUBJECTS: Final[tuple[str, ...]] = (
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)
"""The subjects of a model without a background class, as far as it knows them."""

DRIVABLE_NAMES: Final[frozenset[str]] = frozenset({"road", "drivable", "drivable area"})


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError
    return value


def _number(text: str) -> float:
    percent = text.endswith("%")
    value = float(text.removesuffix("%"))
    return value / 100 if percent else value


def _switch(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValueError
    return known[text.lower()]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().replace("_", " ") for name in text.split("+") if name.strip())


def _option(default: Any, parse: Callable[[str], Any], expected: str) -> Any:
    """Return a dataclass field that the effect language can set; `expected` completes "expected …" in the error."""
    return field(default=default, metadata={"parse": parse, "expected": expected})


def _fraction_option(default: float) -> Any:
    return _option(default, _fraction, "a number from 0 to 1")


def _switch_option(default: bool) -> Any:
    return _option(default, _switch, "yes or no")


def _classes_option() -> Any:
    return _option(None, _names, "class names joined by +, such as road+car")


@dataclass(frozen=True)
class Effect:
    """Base of the effects: something to draw on every frame, as data."""

    name: ClassVar[str] = ""
    """The name in the effect language."""
    summary: ClassVar[str] = ""
    """One line for --help."""
    main_key: ClassVar[str | None] = None
    """The key that a bare first value sets."""
    affected: ClassVar[str] = "subject"
    """What `classes` names: "tinted" classes that are drawn on, or the "subject" that is kept."""

    def __post_init__(self) -> None:
        """Check every fraction; the language and the constructor share the limits."""
        for option in fields(self):
            value = getattr(self, option.name)
            if option.metadata.get("parse") is _fraction and not 0.0 <= value <= 1.0:
                raise _bad_value(self.name, option.name, value, option.metadata["expected"])

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes asked for; None: the effect's own choice."""
        return getattr(self, "classes", None)


@dataclass(frozen=True)
class Nothing(Effect):
    """Show the frame as it is."""

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "the frame as it is"


@dataclass(frozen=True)
class Driving(Effect):
    """The driving overlay: class tints, drivable area, outlines, legend with class shares, and the HUD line."""

    name: ClassVar[str] = "driving"
    summary: ClassVar[str] = "class tints, drivable area, outlines, legend with live shares, HUD"
    main_key: ClassVar[str | None] = "opacity"
    affected: ClassVar[str] = "tinted"

    opacity: float = _fraction_option(0.55)
    """Opacity of objects such as cars, 0..1; surfaces and background classes have less, in proportion."""
    outlines: bool = _switch_option(True)
    """Draw thin lines between the groups of classes."""
    legend: bool = _switch_option(True)
    """Draw the panel with colour, name and share of the classes in sight."""
    hud: bool = _switch_option(True)
    """Draw the line with fps, frame age and drops."""
    classes: tuple[str, ...] | None = _classes_option()
    """The classes to draw; None: all."""


@dataclass(frozen=True)
class Tint(Effect):
    """Every class in its colour, half transparent."""

    name: ClassVar[str] = "tint"
    summary: ClassVar[str] = "classes in their colours, half transparent"
    main_key: ClassVar[str | None] = "opacity"
    affected: ClassVar[str] = "tinted"

    opacity: float = _fraction_option(0.5)
    """Opacity of the colour, 0..1."""
    classes: tuple[str, ...] | None = _classes_option()
    """The classes to tint; None: all but a background."""


@dataclass(frozen=True)
class Outline(Effect):
    """A line round every class."""

    name: ClassVar[str] = "outline"
    summary: ClassVar[str] = "a line round every class"
    main_key: ClassVar[str | None] = "width"
    affected: ClassVar[str] = "tinted"

    width: float = _option(2.5, _number, "a width in pixels above 0")
    """Width of the line in pixels of a picture 720 high; other sizes in proportion."""
    color: str | None = _option(None, str, "#rrggbb")
    """Colour of the line, "#rrggbb"; None: the colour of the class."""
    classes: tuple[str, ...] | None = _classes_option()
    """The classes to outline; None: all but a background."""

    def __post_init__(self) -> None:
        """Check width and colour."""
        if not 0.0 < self.width <= 64.0:
            raise _bad_value(self.name, "width", self.width, "a width in pixels above 0, at most 64")
        if self.color is not None:
            parse_hex(self.color, what="effect outline, color")


@dataclass(frozen=True)
class Blur(Effect):
    """The background blurred, the subject sharp; no colour of the subject glows into the background."""

    name: ClassVar[str] = "blur"
    summary: ClassVar[str] = "the background blurred, without a halo"
    main_key: ClassVar[str | None] = "strength"

    strength: float = _fraction_option(0.5)
    """0: sharp; 1: nothing but soft patches of colour. In proportion to the height of the frame."""
    classes: tuple[str, ...] | None = _classes_option()
    """The subject that stays sharp; None: the person, or everything that moves on a street."""


@dataclass(frozen=True)
class Replace(Effect):
    """Another background: a colour, a picture or a looping video."""

    name: ClassVar[str] = "replace"
    summary: ClassVar[str] = "another background: a colour, a picture or a looping video"
    main_key: ClassVar[str | None] = "source"

    source: str | None = _option(None, str, "the path of a picture or a video")
    """Path of a picture or a video, scaled and cropped to fill the frame."""
    color: str | None = _option(None, str, "#rrggbb")
    """A plain colour, "#rrggbb", instead of a source."""
    classes: tuple[str, ...] | None = _classes_option()
    """The subject that stays; None: the person, or everything that moves on a street."""

    def __post_init__(self) -> None:
        """Check that there is one background."""
        if (self.source is None) == (self.color is None):
            raise ConfigError(
                f"effect replace: got source={self.source!r} and color={self.color!r}; expected one of them. "
                "Write replace:beach.jpg or replace:color=#00ff00."
            )
        if self.color is not None:
            parse_hex(self.color, what="effect replace, color")


@dataclass(frozen=True)
class Spotlight(Effect):
    """The background in grey, or darkened."""

    name: ClassVar[str] = "spotlight"
    summary: ClassVar[str] = "the background in grey or darkened"
    main_key: ClassVar[str | None] = "style"

    style: str = _option("dark", str, "dark or grey")
    """"dark": darkened and less colourful; "grey": without colour, as bright as it was."""
    strength: float = _fraction_option(0.7)
    """How much of it, 0..1."""
    classes: tuple[str, ...] | None = _classes_option()
    """The subject in the light; None: the person, or everything that moves on a street."""

    def __post_init__(self) -> None:
        """Check style and strength."""
        super().__post_init__()
        if self.style not in ("dark", "grey"):
            raise _bad_value(self.name, "style", self.style, "dark or grey")


@dataclass(frozen=True)
class Cutout(Effect):
    """A transparent background: the picture becomes RGBA, straight alpha."""

    name: ClassVar[str] = "cutout"
    summary: ClassVar[str] = "a transparent background (PNG folder, ProRes 4444, VP9 with alpha)"
    main_key: ClassVar[str | None] = "decontaminate"

    decontaminate: bool = _switch_option(True)
    """Take the background's colour out of the soft edge, so that nothing of it shows before another background."""
    classes: tuple[str, ...] | None = _classes_option()
    """The subject that stays; None: the person, or everything that moves on a street."""


EFFECTS: Final[dict[str, type[Effect]]] = {
    kind.name: kind for kind in (Driving, Tint, Outline, Blur, Replace, Spotlight, Cutout, Nothing)
}
"""Every effect by its name in the language."""


def effect_names() -> tuple[str, ...]:
    """Return the names of all effects, for --help."""
    return tuple(EFFECTS)


def effect_keys(name: str) -> tuple[str, ...]:
    """Return the keys that an effect knows."""
    return tuple(option.name for option in fields(EFFECTS[name]))


def effect_help() -> str:
    """Return one line an effect: name, keys and what it does."""
    lines = []
    for name, kind in EFFECTS.items():
        keys = ",".join(f"{key}=" for key in effect_keys(name))
        lines.append(f"{name}{':' if keys else ''}{keys}  {kind.summary}")
    return "\n".join(lines)


def parse_effects(texts: Sequence[str], *, classes: tuple[str, ...] = ()) -> tuple[Effect, ...]:
    """Return the effects of several texts, drawn in this order, one on top of the other."""
    return tuple(parse_effect(text, classes=classes) for text in texts)


def parse_effect(text: str, *, classes: tuple[str, ...] = ()) -> Effect:
    """Return the effect of NAME[:VALUE][,KEY=VALUE]…; class names are checked against `classes` where given.

    Raises:
        ConfigError: an unknown name, key, value or class, or a background that is not there.
    """
    name, _, rest = text.partition(":")
    kind = EFFECTS.get(name.strip().lower())
    if kind is None:
        raise ConfigError(f"effect: got {name!r}; expected one of {', '.join(EFFECTS)}. Choose one of these.")
    effect = kind(**_parse_options(kind, rest))
    if classes:
        class_indices(effect, classes)
    source = getattr(effect, "source", None)
    if source is not None and not Path(source).is_file():
        raise ConfigError(f"effect {name}: got {source!r}; expected a picture or video file. Check the path.")
    return effect


def has_alpha(effects: Sequence[Effect]) -> bool:
    """Return True where the composited pictures are RGBA."""
    return any(isinstance(effect, Cutout) for effect in effects)


def class_indices(effect: Effect, classes: tuple[str, ...]) -> tuple[int, ...]:
    """Return the indices of the classes that the effect names, or of its own choice among `classes`.

    Raises:
        ConfigError: a name the model does not know, or no subject to choose.
    """
    names = effect.class_names
    if names is not None:
        return tuple(sorted({_class_index(effect, name, classes) for name in names}))
    meant = tuple(index for index, name in enumerate(classes) if name not in BACKGROUND_NAMES)
    if effect.affected == "tinted" or len(meant) < len(classes):
        return meant
    subjects = tuple(index for index, name in enumerate(classes) if name in DEFAULT_SUBJECTS)
    if not subjects:
        raise ConfigError(
            f"effect {effect.name}: got no classes; expected the subject among {', '.join(classes)}. "
            f"Write {effect.name}:classes=NAME+NAME."
        )
    return subjects


def _class_index(effect: Effect, name: str, classes: tuple[str, ...]) -> int:
    plain = {known.lower().replace("_", " ").replace("-", " "): index for index, known in enumerate(classes)}
    index = plain.get(name.lower().replace("_", " ").replace("-", " "))
    if index is None:
        raise _bad_value(effect.name, "classes", name, f"among {', '.join(classes)}")
    return index


def _parse_options(kind: type[Effect], text: str) -> dict[str, Any]:
    known = {option.name: option.metadata for option in fields(kind)}
    values: dict[str, Any] = {}
    for position, part in enumerate(filter(None, text.split(","))):
        key, mark, value = part.partition("=")
        if not mark and position == 0 and kind.main_key is not None:
            key, value = kind.main_key, part
        key = "color" if key == "source" and value.startswith("#") else key.strip()
        if key not in known or key in values:
            raise ConfigError(_unknown_key(kind, part, tuple(known)))
        values[key] = _parse_value(kind.name, key, value.strip(), known[key])
    return values


def _unknown_key(kind: type[Effect], part: str, keys: tuple[str, ...]) -> str:
    expected = f"KEY=VALUE, each key once, of {', '.join(keys)}" if keys else "no options"
    return f"effect {kind.name}: got {part!r}; expected {expected}. Write {kind.name}:KEY=VALUE,KEY=VALUE."


def _parse_value(name: str, key: str, text: str, metadata: Any) -> Any:
    try:
        value = metadata["parse"](text)
    except ValueError:
        raise _bad_value(name, key, text, metadata["expected"]) from None
    if text == "" or value == ():
        raise _bad_value(name, key, text, metadata["expected"])
    return value


def _bad_value(name: str, key: str, value: object, expected: str) -> ConfigError:
    return ConfigError(f"effect {name}, {key}: got {value!r}; expected {expected}. Give another value.")
