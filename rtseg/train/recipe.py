"""A recipe: everything that a run of `rtseg train` is made of, read strictly from one TOML file.

    base_folder = "…"            # against which paths are meant; default: the recipe's folder
    task = "semantic"            # or "matte"
    seed = 0
    [network]                    # name = one of rtseg.train.networks.network_names(), and its constructor's settings
    [classes]                    # taxonomy = "cityscapes19", or names and palette
    [[set]]                      # rtseg.train.pictures.SetSettings, one table a set
    [augment]                    # rtseg.train.augment.AugmentSettings, or profile = "street"
    [loss]                       # rtseg.train.losses.LossSettings
    [optimiser]                  # rtseg.train.optimise.OptimiserSettings
    [schedule]                   # rtseg.train.schedule.ScheduleSettings
    [average]                    # rtseg.train.averages.AverageSettings
    [pseudo]                     # rtseg.train.settings.PseudoSettings: labels by the averaged copy
    [teacher]                    # rtseg.train.settings.TeacherSettings: labels by other bundles, written beforehand
    [distil]                     # rtseg.train.settings.DistilSettings: probabilities of other bundles as targets
    [validation]                 # rtseg.train.settings.ValidationSettings, with its own [[validation.set]]
    [export]                     # rtseg.train.settings.ExportSettings: the bundle and its card

Every key beside those of `network`, `set` and `schedule` has a default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rtseg.datasets import Taxonomy, load_taxonomy
from rtseg.errors import ConfigError
from rtseg.models.checks import Color, check_classes, check_palette, nearest
from rtseg.models.presets import generated_palette
from rtseg.train.augment import AugmentSettings, augment_settings
from rtseg.train.averages import AverageSettings
from rtseg.train.losses import LossSettings
from rtseg.train.networks import NetworkSettings, network_from, network_table
from rtseg.train.optimise import OptimiserSettings
from rtseg.train.pictures import SetSettings
from rtseg.train.samples import Task
from rtseg.train.schedule import ScheduleSettings
from rtseg.train.settings import (
    ClassSettings,
    DistilSettings,
    ExportSettings,
    PseudoSettings,
    TeacherSettings,
    ValidationSettings,
)
from rtseg.train.tables import settings_from, tables_of, value_as

_TABLES: Final = (
    "base_folder", "task", "seed", "start", "network", "classes", "set", "augment", "loss", "optimiser", "schedule",
    "average", "pseudo", "teacher", "distil", "validation", "export",
)  # fmt: skip
MATTE_CLASSES: Final = ("background", "person")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A checked recipe."""

    base_folder: Path
    """Against which its paths are meant."""
    network: NetworkSettings
    sets: tuple[SetSettings, ...]
    schedule: ScheduleSettings
    task: Task = "semantic"
    seed: int = 0
    """Of weights and samples."""
    start: str = ""
    """A safetensors file with weights of this network to start from; empty: random ones."""
    classes: ClassSettings = field(default_factory=ClassSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    average: AverageSettings = field(default_factory=AverageSettings)
    pseudo: PseudoSettings = field(default_factory=PseudoSettings)
    teacher: TeacherSettings | None = None
    distil: DistilSettings | None = None
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    export: ExportSettings | None = None

    def __post_init__(self) -> None:
        """Check what only shows when the parts are seen together."""
        if not self.sets:
            raise ConfigError("recipe: got no [[set]]; expected at least one set of pictures. Add one.")
        names = [settings.name for settings in self.sets]
        if len(set(names)) < len(names):
            raise ConfigError(f"recipe: got the sets {', '.join(names)}; expected different names. Rename one.")
        if self.loss.task != self.task:
            raise ConfigError(f"recipe: got task {self.task} with loss.task {self.loss.task}; expected one. Drop it.")
        if (self.distil is None) != (self.loss.distil == 0):
            raise ConfigError("recipe: got one of [distil] and loss.distil; expected both or neither. Add the other.")
        if self.distil is not None and (self.distil.ask == "sample") != (self.task == "matte"):
            raise ConfigError(
                f"recipe: got distil.ask {self.distil.ask} with task {self.task}; expected sample for mattes, picture "
                "for classes. Change it."
            )

        self._check_offsets()

    def _check_offsets(self) -> None:
        wanted = self.export.offsets if self.export else ()
        known = [each.name for each in self.validation.set]
        if wanted and (self.task == "matte" or not set(wanted) <= set(known)):
            raise ConfigError(
                f"export.offsets: got {', '.join(wanted)} with task {self.task}; expected classes, and names of "
                f"validation sets ({', '.join(known) or 'there are none'}). Correct it."
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names of the model, in order; of a matte background and subject."""
        return tuple(self.classes.names)

    @property
    def palette(self) -> tuple[Color, ...]:
        """RGB colour of each class."""
        if not self.classes.palette:
            return generated_palette(self.class_names)
        return check_palette(self.classes.palette, len(self.class_names), what="classes.palette")

    @property
    def outputs(self) -> int:
        """Planes of the network's output."""
        return 1 if self.task == "matte" else len(self.class_names)

    def taxonomy_of(self, name: str) -> Taxonomy:
        """Return a taxonomy by name, or by a TOML file against the recipe's folder."""
        return load_taxonomy(self.base_folder / name if name.endswith(".toml") else name)

    def to_tables(self) -> dict[str, Any]:
        """Return everything, defaults included, as tables that `recipe_from` reads back from any folder."""
        parts: dict[str, Any] = {"base_folder": str(self.base_folder), "task": self.task}
        parts |= {"seed": self.seed, "start": self.start}
        parts["network"] = network_table(self.network)
        parts["set"] = [tables_of(settings) for settings in self.sets]
        for name in ("classes", "augment", "loss", "optimiser", "schedule", "average", "pseudo", "validation"):
            parts[name] = tables_of(getattr(self, name))
        for name in ("teacher", "distil", "export"):
            if getattr(self, name) is not None:
                parts[name] = tables_of(getattr(self, name))
        return parts


def load_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a TOML file.

    Args:
        path: the file.
        changes: "key=value" with dotted keys, such as `schedule.minutes=2`, `set.camvid.share=0.3`; applied in order.

    Raises:
        ConfigError: it is missing, no TOML, or anything in it cannot be right.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"recipe {path}: got {error}; expected a TOML file. Check the path and that line.") from None
    for change in changes:
        apply_change(tables, change)
    return recipe_from(tables, path.parent.resolve())


def recipe_from(tables: Mapping[str, Any], base_folder: Path) -> Recipe:
    """Return the recipe that tables mean.

    Args:
        tables: as TOML gives them; see the module.
        base_folder: against which paths are meant, unless the tables name another.

    Raises:
        ConfigError: anything in them cannot be right.
    """
    base_folder = base_folder / value_as(str, tables.get("base_folder", ""), "base_folder")
    for name in tables:
        if name not in _TABLES:
            raise ConfigError(f"recipe: got an unknown table or key {name!r}; {nearest(name, _TABLES)}")
    if missing := [name for name in ("network", "set", "schedule") if name not in tables]:
        raise ConfigError(f"recipe: got no {', '.join(missing)}; expected these tables. Add them.")
    task: Task = value_as(Task, tables.get("task", "semantic"), "task")
    optional: dict[str, Any] = {
        name: settings_from(kind, tables[name], name) for name, kind in _PLAIN.items() if name in tables
    }
    return Recipe(
        base_folder=base_folder,
        task=task,
        network=network_from(tables["network"], "network"),
        sets=value_as(tuple[SetSettings, ...], tables["set"], "set"),
        schedule=settings_from(ScheduleSettings, tables["schedule"], "schedule"),
        seed=value_as(int, tables.get("seed", 0), "seed"),
        start=value_as(str, tables.get("start", ""), "start"),
        classes=_classes(tables.get("classes", {}), task, base_folder),
        augment=augment_settings(tables.get("augment", {})),
        loss=settings_from(LossSettings, {"task": task, **_table(tables, "loss")}, "loss"),
        **optional,
    )


_PLAIN: Final[Mapping[str, type[Any]]] = {
    "optimiser": OptimiserSettings,
    "average": AverageSettings,
    "pseudo": PseudoSettings,
    "teacher": TeacherSettings,
    "distil": DistilSettings,
    "validation": ValidationSettings,
    "export": ExportSettings,
}


def _table(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{name}: got {table!r}; expected a table [{name}]. Correct it.")
    return table


def _classes(table: object, task: Task, base_folder: Path) -> ClassSettings:
    """Return the classes with their names filled in from the taxonomy where it is named."""
    chosen = settings_from(ClassSettings, table, "classes")
    names = chosen.names
    if chosen.taxonomy:
        if names:
            raise ConfigError("classes: got taxonomy and names; expected one of them. Drop one.")
        place: str | Path = chosen.taxonomy
        names = load_taxonomy(base_folder / place if chosen.taxonomy.endswith(".toml") else place).classes
    if not names and task == "matte":
        names = MATTE_CLASSES
    if task == "matte" and len(names) != 2:
        raise ConfigError(f"classes: got {len(names)} names for a matte; expected background and subject. Correct it.")
    found = check_classes(names, what="classes.names")
    return ClassSettings(names=found, palette=chosen.palette)


def apply_change(tables: dict[str, Any], change: str) -> None:
    """Set one dotted key of a recipe's tables, in place: `optimiser.decay=0.05`, `set.camvid.share=0.3`.

    The value is read as TOML, and as text where it is none; without a value the key is dropped. Lists of tables are
    entered by name or position.

    Raises:
        ConfigError: it is no KEY=VALUE, or leads nowhere.
    """
    place, mark, text = change.partition("=")
    keys = [key.strip() for key in place.split(".")]
    if not mark or not all(keys):
        raise ConfigError(f"--set: got {change!r}; expected KEY=VALUE such as schedule.minutes=2.")
    table: Any = tables
    for key in keys[:-1]:
        table = _entered(table, key, change)
    if not isinstance(table, dict):
        raise ConfigError(f"--set: got {change!r}; expected a key of a table. Check the dots.")
    if text.strip():
        table[keys[-1]] = _toml_value(text.strip())
    else:
        table.pop(keys[-1], None)


def _entered(table: Any, key: str, change: str) -> Any:
    if isinstance(table, dict):
        return table.setdefault(key, {})
    if isinstance(table, list):
        for index, entry in enumerate(table):
            if key == str(index) or (isinstance(entry, dict) and entry.get("name") == key):
                return entry
        names = [str(entry.get("name", index)) for index, entry in enumerate(table) if isinstance(entry, dict)]
        raise ConfigError(f"--set {change}: got {key!r}; {nearest(key, tuple(names) or ('none',))}")
    raise ConfigError(f"--set: got {change!r}, and {key} is inside a value; expected a table. Check the dots.")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
