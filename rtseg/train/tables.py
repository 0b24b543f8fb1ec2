"""From the tables of a TOML file to frozen dataclasses, strictly: an unknown key or a wrong value is one clear line.

The dataclasses are the schema: their fields are the keys, their annotations the kinds, their defaults the defaults.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from rtseg.errors import ConfigError
from rtseg.models.checks import nearest

SettingsT = TypeVar("SettingsT")


def settings_from(kind: type[SettingsT], table: object, where: str) -> SettingsT:
    """Return a dataclass of settings from a table.

    Args:
        kind: a dataclass whose annotations are numbers, text, booleans, paths, literals, tuples, mappings, optional
            ones of these, and other such dataclasses.
        table: what the file has there.
        where: how the table is called, for messages.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of another kind.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: got {table!r}; expected a table of settings. Write [{where}] and its keys.")
    fields = {f.name: f for f in dataclasses.fields(cast(Any, kind)) if f.init}
    for key in table:
        if key not in fields:
            raise ConfigError(f"{where}: got an unknown key {key!r}; {nearest(str(key), tuple(fields))}")
    needed = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing := [name for name in needed if name not in table]:
        raise ConfigError(f"{where}: got no {', '.join(missing)}; expected every one stated. Add what is missing.")
    hints = typing.get_type_hints(kind)
    return kind(**{key: value_as(hints[key], value, f"{where}.{key}") for key, value in table.items()})


def value_as(hint: Any, value: object, where: str) -> Any:
    """Return a TOML value as what an annotation says. Raises ConfigError."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(typing.get_args(hint), value, where)
    if origin is Literal:
        return _choice(typing.get_args(hint), value, where)
    if origin is tuple:
        return _tuple(typing.get_args(hint), value, where)
    if origin in (dict, Mapping):
        return _mapping(typing.get_args(hint), value, where)
    if dataclasses.is_dataclass(hint):
        return settings_from(cast(type[Any], hint), value, where)
    return _plain(hint, value, where)


def _plain(hint: Any, value: object, where: str) -> Any:
    if hint is Any:
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    expected = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
    raise ConfigError(f"{where}: got {value!r}; expected {expected.get(hint, str(hint))}. Correct it.")


def _one_of(hints: Sequence[Any], value: object, where: str) -> Any:
    """Return the value as the first annotation that takes it; the last one's complaint is raised."""
    wanted = [hint for hint in hints if hint is not type(None)]
    if value is None and len(wanted) < len(hints):
        return None
    for hint in wanted[:-1]:
        try:
            return value_as(hint, value, where)
        except ConfigError:
            continue
    return value_as(wanted[-1], value, where)


def _choice(choices: Sequence[Any], value: object, where: str) -> Any:
    if value in choices:
        return value
    raise ConfigError(f"{where}: got {value!r}; {nearest(str(value), tuple(map(str, choices)))}")


def _tuple(hints: Sequence[Any], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConfigError(f"{where}: got {value!r}; expected a list. Correct it.")
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(value_as(hints[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if len(value) != len(hints):
        raise ConfigError(f"{where}: got {list(value)}; expected {len(hints)} values. Correct it.")
    pairs = zip(hints, value, strict=True)
    return tuple(value_as(hint, item, f"{where}[{index}]") for index, (hint, item) in enumerate(pairs))


def _mapping(hints: Sequence[Any], value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: got {value!r}; expected a table. Correct it.")
    return {str(key): value_as(hints[1] if hints else Any, item, f"{where}.{key}") for key, item in value.items()}


def tables_of(settings: Any) -> dict[str, Any]:
    """Return a dataclass of settings as plain tables that `settings_from` reads back."""
    return {f.name: _plain_value(getattr(settings, f.name)) for f in dataclasses.fields(settings) if f.init}


def _plain_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return tables_of(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain_value(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain_value(item) for item in value]
    return value
