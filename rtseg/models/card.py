"""The card of a bundle (`model.toml`): reading it strictly, every mistake named with its remedy."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rtseg.errors import ConfigError
from rtseg.models.checks import (
    CHANNEL_ORDERS,
    LAYOUTS,
    OUTPUT_KINDS,
    PRECISIONS,
    TASKS,
    Color,
    DefaultPrecision,
    Task,
    Triple,
    check_classes,
    check_file_name,
    check_input_size_wh,
    check_palette,
    check_scale,
    check_sha256,
    check_triple,
    choose,
    nearest,
)
from rtseg.network import ChannelOrder, Layout, OutputKind

CARD_NAME: Final = "model.toml"

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("name", "version", "task", "description", "licence", "intended_use", "limits"),
    "files": ("onnx", "sha256", "int8", "int8_sha256", "int8_of"),
    "input": ("size_wh", "layout", "channel_order", "scale", "mean", "std"),
    "output": ("kind", "layout", "name"),
    "classes": ("names", "palette"),
    "defaults": ("effect", "smoothing", "edges", "precision"),
}
_FREE: Final = ("training", "scores")
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("name", "task", "licence"),
    "files": ("onnx", "sha256"),
    "input": ("size_wh", "layout", "channel_order", "scale", "mean", "std"),
    "output": ("kind",),
    "classes": ("names", "palette"),
}


@dataclass(frozen=True, slots=True)
class Card:
    """Everything a card says, checked and typed; nothing here has looked at the ONNX file yet."""

    name: str
    """Name of the bundle."""
    task: Task
    """semantic: class labels; matte: a soft alpha of one subject."""
    licence: str
    """Licence of the weights."""
    onnx: str
    """Name of the ONNX file inside the folder."""
    sha256: str
    """SHA-256 of that file, lower-case hexadecimal."""
    size_wh: tuple[int, int]
    """Input width and height in pixels."""
    layout: Layout
    """Memory order of the input."""
    channel_order: ChannelOrder
    """Channel order of the input."""
    scale: float
    """First factor of the normalisation."""
    mean: Triple
    """Subtracted next."""
    std: Triple
    """Divided by last."""
    output_kind: OutputKind
    """What the output holds."""
    classes: tuple[str, ...]
    """Class names; the index is the label."""
    palette: tuple[Color, ...]
    """RGB colour of each class."""
    version: str = "0"
    """Version of the weights."""
    description: str = ""
    """One or two sentences."""
    intended_use: str = ""
    """What it was made for."""
    limits: str = ""
    """Where it is known to fail."""
    int8: str | None = None
    """Name of a quantised ONNX file inside the folder."""
    int8_sha256: str | None = None
    """SHA-256 of that file."""
    int8_of: str | None = None
    """SHA-256 of the float file that it was made from; None: the card does not say."""
    output_layout: Layout | None = None
    """Memory order of the output; None: as the shapes say."""
    output_name: str | None = None
    """Which output to use; None: the first."""
    effect: str | None = None
    """Default effect; None: by task."""
    smoothing: bool | None = None
    """Temporal smoothing by default in sessions; None: by task."""
    edges: bool | None = None
    """Edge refinement by default in sessions; None: by task."""
    precision: DefaultPrecision = "fp16"
    """Which file is used unless told otherwise: the float one (fp16) or the quantised one (int8)."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Data, licences and recipe, as written."""
    scores: Mapping[str, Any] = field(default_factory=dict)
    """Measured scores, as written."""


def read_card(path: Path) -> Card:
    """Return the card of a bundle.

    Raises:
        ConfigError: it is missing, no TOML, lacks a key, has one too many, or one is of the wrong kind.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"bundle {path.parent}: got no {CARD_NAME}; expected a bundle folder. "
            "Name the .onnx file itself and give its facts as options, or write a card."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"card {path}: got invalid TOML ({error}); expected TOML. Correct that line.") from None
    _check_keys(tables, str(path))
    return _card_of(_Reader(str(path), tables))


@dataclass(frozen=True, slots=True)
class _Reader:
    """The tables of one card, read with messages that say where."""

    card: str
    tables: Mapping[str, Any]

    def where(self, key: str) -> str:
        return f"card {self.card}: {key}"

    def value(self, key: str) -> Any:
        table, _, name = key.partition(".")
        return self.tables.get(table, {}).get(name)

    def optional_text(self, key: str) -> str | None:
        value = self.value(key)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        raise ConfigError(f"{self.where(key)}: got {value!r}; expected text. Correct it, or leave the key out.")

    def text(self, key: str) -> str:
        return self.optional_text(key) or ""

    def strings(self, key: str) -> Sequence[str]:
        value = self.value(key)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise ConfigError(f"{self.where(key)}: got {value!r}; expected a list of texts. Correct it.")

    def optional_bool(self, key: str) -> bool | None:
        value = self.value(key)
        if value is None or isinstance(value, bool):
            return value
        raise ConfigError(f"{self.where(key)}: got {value!r}; expected true or false. Correct it.")

    def optional_layout(self, key: str) -> Layout | None:
        text = self.optional_text(key)
        return None if text is None else choose(text, LAYOUTS, what=self.where(key))

    def optional_file(self, key: str) -> str | None:
        name = self.optional_text(key)
        return None if name is None else check_file_name(name, what=self.where(key))

    def optional_sha256(self, key: str) -> str | None:
        text = self.optional_text(key)
        return None if text is None else check_sha256(text, what=self.where(key))


def _card_of(read: _Reader) -> Card:
    classes = check_classes(read.strings("classes.names"), what=read.where("classes.names"))
    if (read.value("files.int8") is None) != (read.value("files.int8_sha256") is None):
        raise ConfigError(f"card {read.card}: got one of files.int8, files.int8_sha256; expected both or none. Add it.")
    return Card(
        name=read.text("model.name"),
        task=choose(read.text("model.task"), TASKS, what=read.where("model.task")),
        licence=read.text("model.licence"),
        version=read.text("model.version") or "0",
        description=read.text("model.description"),
        intended_use=read.text("model.intended_use"),
        limits=read.text("model.limits"),
        onnx=read.optional_file("files.onnx") or "",
        sha256=read.optional_sha256("files.sha256") or "",
        int8=read.optional_file("files.int8"),
        int8_sha256=read.optional_sha256("files.int8_sha256"),
        int8_of=_origin_of_int8(read),
        size_wh=check_input_size_wh(read.value("input.size_wh"), what=read.where("input.size_wh")),
        layout=choose(read.text("input.layout"), LAYOUTS, what=read.where("input.layout")),
        channel_order=choose(read.text("input.channel_order"), CHANNEL_ORDERS, what=read.where("input.channel_order")),
        scale=check_scale(read.value("input.scale"), what=read.where("input.scale")),
        mean=check_triple(read.value("input.mean"), what=read.where("input.mean")),
        std=check_triple(read.value("input.std"), what=read.where("input.std"), positive=True),
        output_kind=choose(read.text("output.kind"), OUTPUT_KINDS, what=read.where("output.kind")),
        output_layout=read.optional_layout("output.layout"),
        output_name=read.optional_text("output.name"),
        classes=classes,
        palette=check_palette(read.strings("classes.palette"), len(classes), what=read.where("classes.palette")),
        effect=read.optional_text("defaults.effect"),
        smoothing=read.optional_bool("defaults.smoothing"),
        edges=read.optional_bool("defaults.edges"),
        precision=_default_precision(read),
        training=MappingProxyType(dict(read.tables.get("training", {}))),
        scores=MappingProxyType(dict(read.tables.get("scores", {}))),
    )


def _origin_of_int8(read: _Reader) -> str | None:
    """Return files.int8_of. Raises ConfigError where the quantised file was made from another float file."""
    origin = read.optional_sha256("files.int8_of")
    if origin is not None and origin != read.optional_sha256("files.sha256"):
        raise ConfigError(
            f"{read.where('files.int8_of')}: got {origin[:12]}…, which is not files.sha256; expected an int8 file made "
            "from this float file. Drop the three int8 keys, then run rtseg build MODEL --precision int8 --in-place."
        )
    return origin


def _default_precision(read: _Reader) -> DefaultPrecision:
    where = read.where("defaults.precision")
    precision = choose(read.optional_text("defaults.precision") or "fp16", PRECISIONS, what=where)
    if precision == "int8" and read.value("files.int8") is None:
        raise ConfigError(f"{where}: got int8 without files.int8; expected a quantised file. Add it, or say fp16.")
    return precision


def _check_keys(tables: Mapping[str, Any], card: str) -> None:
    """Refuse unknown tables and keys, and name every required one that is missing in one error."""
    tables_known = (*_KEYS, *_FREE)
    for table, content in tables.items():
        if table not in tables_known:
            raise ConfigError(f"card {card}: got an unknown table [{table}]; {nearest(table, tables_known)}")
        if not isinstance(content, dict):
            raise ConfigError(f"card {card}: got {table} = {content!r}; expected a table [{table}]. Correct it.")
        for key in content:
            if table in _KEYS and key not in _KEYS[table]:
                raise ConfigError(f"card {card}: got an unknown key {table}.{key}; {nearest(key, _KEYS[table])}")
    stated = {f"{table}.{key}" for table in _REQUIRED for key in tables.get(table, {})}
    wanted = [f"{table}.{key}" for table, keys in _REQUIRED.items() for key in keys]
    missing = [key for key in wanted if key not in stated]
    if missing:
        raise ConfigError(f"card {card}: got no {', '.join(missing)}; expected every one stated. Add what is missing.")
