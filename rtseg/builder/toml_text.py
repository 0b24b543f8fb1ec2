"""Plain values as TOML text: cards and recipes are read with the standard library, which does not write them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rtseg.errors import ConfigError

LINE_COLUMNS: Final = 110
"""Lists longer than this are broken into lines."""


def toml_text(tables: Mapping[str, Any]) -> str:
    """Return nested mappings as TOML that reads back as the same values.

    Values are text, whole numbers, floats, true/false, lists of these, and mappings. A mapping becomes a table, a list
    of mappings inline tables, one a line. None is left out, because TOML has none.

    Raises:
        ConfigError: a value is of another kind.
    """
    return "\n".join(_table(tables, "")).strip("\n") + "\n"


def _table(values: Mapping[str, Any], name: str) -> list[str]:
    """Return the lines of one table, its own values before its inner tables."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping) and value is not None}
    inner = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    lines = [f"[{name}]"] if name and (plain or not inner) else []
    lines += [f"{_key(key)} = {_value(value, len(_key(key)) + 3)}" for key, value in plain.items()]
    if lines:
        lines.append("")
    for key, value in inner.items():
        lines += _table(value, f"{name}.{_key(key)}" if name else _key(key))
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any, column: int = 0) -> str:
    """Return one value; a list that would pass the line's end, or that holds mappings, gets a line an item or so."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    if isinstance(value, Sequence):
        return _list(value, column)
    raise ConfigError(f"TOML: got {value!r}; expected text, a number, true, false, a list or a table. Convert it.")


def _quoted(text: str) -> str:
    """Return a basic string; JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: Sequence[Any], column: int) -> str:
    items = [_value(value) for value in values]
    line = "[" + ", ".join(items) + "]"
    if column + len(line) <= LINE_COLUMNS and not any(isinstance(value, Mapping) for value in values):
        return line
    per_line = 1 if any(len(item) > LINE_COLUMNS // 6 for item in items) else 6
    rows = [items[at : at + per_line] for at in range(0, len(items), per_line)]
    return "\n".join(["[", *("  " + " ".join(f"{item}," for item in row) for row in rows), "]"])
