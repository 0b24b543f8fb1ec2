"""Plain values to TOML and back."""

from __future__ import annotations

import tomllib

import pytest

from rtseg.builder.toml_text import LINE_COLUMNS, toml_text
from rtseg.errors import ConfigError

TABLES = {
    "plain": 'quo"te \\ é\n\x7f',
    "set": [{"name": "a b", "sizes": [1, 2], "empty": {}}, {"name": "c", "share": 0.25}],
    "model": {"count": 3, "share": 1.0, "on": True, "off": False, "none": [], "long": [f"name {i}" for i in range(40)]},
    "deep": {"inner": {"very deep": {"x y": 1}}, "only": {}},
}


def test_what_is_written_reads_back():
    assert tomllib.loads(toml_text(TABLES)) == TABLES


def test_none_is_left_out():
    assert tomllib.loads(toml_text({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


def test_long_lists_are_broken_into_lines():
    lines = toml_text({"names": [f"class {index}" for index in range(60)]}).splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= LINE_COLUMNS


def test_what_toml_has_no_word_for_fails():
    with pytest.raises(ConfigError, match=r"expected text, a number"):
        toml_text({"a": object()})
