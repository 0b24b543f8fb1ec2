"""Taxonomies: which classes a set of labels has, what is ignored, and what a model's classes are called there.

One TOML file each in `taxonomies/`; a file of the user's own works as well:

    description = "Fields from the air"
    classes = ["field", "forest", "water"]     # the id is the position
    ignored_ids = [9]                          # besides 255, which is always ignored
    default = "field"                          # optional: what a model's other classes are
    headline = ["forest"]                      # optional: classes whose IoU is the score
    [map]                                      # a model's class = a class here; the same name needs no line
    "trees" = "forest"
    [merged]                                   # optional: labels that are scored as another class
    [colors]                                   # optional: "#rrggbb" = class, for labels drawn in colours
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from rtseg.errors import ConfigError
from rtseg.types import UInt8Array

IGNORED: Final = 255
"""Id of what is not scored."""
OTHER: Final = 254
"""Id of a model's class that the taxonomy does not know: never right."""
UNKNOWN: Final = -1
"""What a table of true ids has for ids that must not occur."""
_KEYS: Final = frozenset(
    {"description", "kind", "classes", "ignored_ids", "default", "headline", "map", "merged", "colors"}
)

Kind = Literal["classes", "matte"]


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """A set of classes, checked."""

    name: str
    """Name of the file."""
    classes: tuple[str, ...]
    """Class names; the position is the id."""
    description: str = ""
    """One sentence."""
    kind: Kind = "classes"
    """classes: labels are ids; matte: labels are a soft alpha, and the classes are background and subject."""
    ignored_ids: tuple[int, ...] = ()
    """Ids of void, besides 255."""
    default: str | None = None
    """The class of every name that is not mapped; None: there is none."""
    headline: tuple[str, ...] = ()
    """Classes whose IoU is the score of the set; empty: the mean over all classes is."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Another set's class name -> class here."""
    merged: Mapping[str, str] = field(default_factory=dict)
    """Class here -> the class that it is scored as."""
    colors: Mapping[int, int] = field(default_factory=dict)
    """0xRRGGBB -> id, for labels drawn in colours."""

    def class_of(self, name: str) -> str | None:
        """Return the class here that a class of a model or of another set is; None where it is none."""
        found = self.mapping.get(name, name if name in self.classes else self.default)
        return None if found is None else self.merged.get(found, found)

    def members(self, model_classes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Return for each class here the indices of the model's classes that it takes in."""
        found = [self.class_of(name) for name in model_classes]
        return tuple(tuple(i for i, name in enumerate(found) if name == own) for own in self.classes)

    def prediction_table(self, model_classes: Sequence[str]) -> UInt8Array:
        """Return the ids here of a model's labels, uint8 [256]; `OTHER` for what is unknown here."""
        table = np.full(256, OTHER, np.uint8)
        for index, name in enumerate(model_classes):
            if (found := self.class_of(name)) is not None:
                table[index] = self.classes.index(found)
        return table

    def truth_table(self, own_classes: Sequence[str | None] | None = None) -> npt.NDArray[np.int16]:
        """Return the ids here of true labels, int16 [256]; 255 is ignored, `UNKNOWN` must not occur.

        Args:
            own_classes: class names of a set with ids of its own, None for a void; what is none here is ignored.
                None instead of names: the labels have the ids of this taxonomy.
        """
        table = np.full(256, UNKNOWN, np.int16)
        for index, name in enumerate(self.classes if own_classes is None else own_classes):
            if own_classes is None and name is not None:
                found: str | None = self.merged.get(name, name)
            else:
                found = None if name is None else self.class_of(name)
            table[index] = IGNORED if found is None else self.classes.index(found)
        if own_classes is None:
            table[list(self.ignored_ids)] = IGNORED
        table[IGNORED] = IGNORED
        return table


def map_labels(labels: UInt8Array, model_classes: Sequence[str], taxonomy: Taxonomy) -> UInt8Array:
    """Return a model's labels uint8 [H, W] as ids of the taxonomy, uint8 [H, W].

    Classes that the taxonomy does not know become `OTHER` (254), which is never counted as right.
    """
    return np.asarray(taxonomy.prediction_table(model_classes)[labels], dtype=np.uint8)


def list_taxonomies() -> tuple[str, ...]:
    """Return the names of the taxonomies that come with rtseg, sorted."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.suffix == ".toml"))


def load_taxonomy(name_or_path: str | Path) -> Taxonomy:
    """Return the taxonomy of a name, or of a TOML file.

    Raises:
        ConfigError: there is none, or it cannot be right.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _folder() / f"{name_or_path}.toml"
    if not path.is_file():
        raise ConfigError(
            f"taxonomy: got {str(name_or_path)!r}; expected {', '.join(list_taxonomies())} or a .toml file. Choose one."
        )
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"taxonomy {path.name}: got {error}; expected TOML. Correct the file.") from error
    return _checked(path.stem, written)


def _folder() -> Path:
    return Path(str(resources.files("rtseg.datasets"))) / "taxonomies"


def _checked(name: str, written: Mapping[str, Any]) -> Taxonomy:
    if unknown := sorted(set(written) - _KEYS):
        raise _wrong(name, f"the keys {', '.join(unknown)}", f"some of {', '.join(sorted(_KEYS))}")
    classes = _names(name, "classes", written.get("classes"))
    if not 1 <= len(classes) < OTHER or len(set(classes)) != len(classes):
        raise _wrong(name, f"{len(classes)} classes", f"1 to {OTHER - 1} different names")
    kind: Kind = "matte" if written.get("kind") == "matte" else "classes"
    if written.get("kind", kind) != kind or (kind == "matte" and len(classes) != 2):
        raise _wrong(name, f"kind {written.get('kind')!r} of {len(classes)} classes", "classes, or matte of two")
    ignored_ids = written.get("ignored_ids", [])
    if not isinstance(ignored_ids, list) or not all(isinstance(i, int) and 0 <= i <= 255 for i in ignored_ids):
        raise _wrong(name, f"ignored_ids {ignored_ids!r}", "numbers from 0 to 255")
    taxonomy = Taxonomy(
        name=name,
        classes=classes,
        description=str(written.get("description", "")),
        kind=kind,
        ignored_ids=tuple(ignored_ids),
        default=written.get("default"),
        headline=_names(name, "headline", written.get("headline", [])),
        mapping=_pairs(name, "map", written.get("map", {})),
        merged=_pairs(name, "merged", written.get("merged", {})),
        colors=_colors(name, classes, _pairs(name, "colors", written.get("colors", {}))),
    )
    _check_class_names(taxonomy)
    return taxonomy


def _check_class_names(taxonomy: Taxonomy) -> None:
    used = {*taxonomy.headline, *taxonomy.mapping.values(), *taxonomy.merged, *taxonomy.merged.values()}
    used |= set() if taxonomy.default is None else {taxonomy.default}
    if strangers := sorted(str(name) for name in used if name not in taxonomy.classes):
        raise _wrong(taxonomy.name, f"the class names {', '.join(strangers)}", f"some of {', '.join(taxonomy.classes)}")


def _names(taxonomy: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise _wrong(taxonomy, f"{key} {value!r}", "a list of names")
    return tuple(value)


def _pairs(taxonomy: str, key: str, value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value.values()):
        raise _wrong(taxonomy, f"{key} {value!r}", "names to names")
    return value


def _colors(taxonomy: str, classes: tuple[str, ...], written: Mapping[str, str]) -> Mapping[int, int]:
    """Return 0xRRGGBB -> id."""
    colors: dict[int, int] = {}
    for text, name in written.items():
        try:
            colors[int(text.removeprefix("#"), 16)] = classes.index(name)
        except ValueError:
            raise _wrong(taxonomy, f'the colour "{text}" = "{name}"', '"#rrggbb" = a class') from None
    return colors


def _wrong(taxonomy: str, got: str, expected: str) -> ConfigError:
    return ConfigError(f"taxonomy {taxonomy}: got {got}; expected {expected}. Correct the file.")
