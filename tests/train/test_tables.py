"""Settings from TOML: strict, with the place of a mistake in the message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from rtseg.errors import ConfigError
from rtseg.train.tables import settings_from, tables_of


@dataclass(frozen=True)
class Inner:
    size_wh: tuple[int, int]
    share: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    kind: Literal["a", "b"] = "a"
    parts: tuple[Inner, ...] = ()
    limit: int | None = None
    place: Path = Path(".")
    on: bool = False
    either: str | Mapping[str, Any] = ""
    more: Mapping[str, float] = field(default_factory=dict)


def test_every_kind_of_value_is_read():
    table = {"name": "x", "kind": "b", "parts": [{"size_wh": [4, 2], "share": 1}], "limit": 3, "place": "a/b"}
    found = settings_from(Outer, table | {"on": True, "either": {"k": 1}, "more": {"m": 2}}, "outer")
    assert found == Outer("x", "b", (Inner((4, 2), 1.0),), 3, Path("a/b"), True, {"k": 1}, {"m": 2.0})
    assert isinstance(found.parts[0].share, float)
    assert settings_from(Outer, tables_of(found), "outer") == found


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "x", "kidn": "b"}, r"outer: got an unknown key 'kidn'.*Did you mean 'kind'"),
        ({}, r"outer: got no name"),
        ({"name": 3}, r"outer.name: got 3; expected text"),
        ({"name": "x", "kind": "c"}, r"outer.kind: got 'c'; expected one of a, b"),
        ({"name": "x", "parts": [{"size_wh": [4]}]}, r"outer.parts\[0\].size_wh: got \[4\]; expected 2 values"),
        ({"name": "x", "parts": [{"size_wh": [4, 2.5]}]}, r"size_wh\[1\]: got 2.5; expected a whole number"),
        ({"name": "x", "parts": [{"size_wh": [4, 2], "share": float("nan")}]}, r"share: got nan; expected a number"),
        ({"name": "x", "parts": "y"}, r"outer.parts: got 'y'; expected a list"),
        ({"name": "x", "on": 1}, r"outer.on: got 1; expected true or false"),
        ({"name": "x", "limit": True}, r"outer.limit: got True; expected a whole number"),
        ({"name": "x", "more": [1]}, r"outer.more: got \[1\]; expected a table"),
        ("text", r"outer: got 'text'; expected a table"),
    ],
)
def test_what_is_wrong_is_named(table, message):
    with pytest.raises(ConfigError, match=message):
        settings_from(Outer, table, "outer")
