"""AMF0, the values of RTMP's commands: numbers, texts, booleans, objects and null.

Source: Adobe, AMF 0 specification (2007).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Value: TypeAlias = "float | bool | str | Mapping[str, Value] | Sequence[Value] | None"

NUMBER, BOOLEAN, TEXT, OBJECT, NULL, UNDEFINED, ARRAY, END, LIST, DATE, LONG_TEXT = 0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12
MOST_DEPTH: Final = 8


class AmfError(ValueError):
    """Bytes that are no AMF0, or a kind of value that is not known here."""


def encoded(*values: Value) -> bytes:
    """Return the values one after the other."""
    return b"".join(_encode(value) for value in values)


def ecma_array(entries: Mapping[str, Value]) -> bytes:
    """Return a mapping in the form that metadata has."""
    return bytes([ARRAY]) + struct.pack(">I", len(entries)) + _entries(entries)


def decoded(content: bytes) -> list[Value]:
    """Return all values. Raises AmfError where the bytes make no sense."""
    values: list[Value] = []
    place = 0
    try:
        while place < len(content):
            value, place = _decode(content, place, MOST_DEPTH)
            values.append(value)
    except (struct.error, IndexError) as error:
        raise AmfError("the bytes end inside a value") from error
    return values


def _encode(value: Value) -> bytes:
    if value is None:
        return bytes([NULL])
    if isinstance(value, bool):
        return bytes([BOOLEAN, value])
    if isinstance(value, int | float):
        return bytes([NUMBER]) + struct.pack(">d", value)
    if isinstance(value, str):
        return bytes([TEXT]) + _text(value)
    if isinstance(value, Mapping):
        return bytes([OBJECT]) + _entries(value)
    raise AmfError(f"{type(value).__name__} is no value of a command")


def _text(text: str) -> bytes:
    content = text.encode()
    return struct.pack(">H", len(content)) + content


def _entries(entries: Mapping[str, Value]) -> bytes:
    return b"".join(_text(name) + _encode(value) for name, value in entries.items()) + b"\x00\x00" + bytes([END])


def _decode(content: bytes, place: int, depth: int) -> tuple[Value, int]:
    kind, place = content[place], place + 1
    if kind == NUMBER:
        return struct.unpack_from(">d", content, place)[0], place + 8
    if kind == BOOLEAN:
        return bool(content[place]), place + 1
    if kind == TEXT:
        return _take_text(content, place, ">H")
    if kind == LONG_TEXT:
        return _take_text(content, place, ">I")
    if kind in (NULL, UNDEFINED):
        return None, place
    if kind == DATE:
        return struct.unpack_from(">d", content, place)[0], place + 10
    if depth and kind in (OBJECT, ARRAY):
        return _take_entries(content, place + (4 if kind == ARRAY else 0), depth - 1)
    if depth and kind == LIST:
        return _take_list(content, place, depth - 1)
    raise AmfError(f"a value of kind {kind} is not known")


def _take_text(content: bytes, place: int, form: str) -> tuple[str, int]:
    (length,) = struct.unpack_from(form, content, place)
    place += struct.calcsize(form)
    if place + length > len(content):
        raise AmfError("a text is longer than the message")
    return content[place : place + length].decode(errors="replace"), place + length


def _take_entries(content: bytes, place: int, depth: int) -> tuple[Value, int]:
    entries: dict[str, Value] = {}
    while content[place : place + 3] != b"\x00\x00\x09":
        name, place = _take_text(content, place, ">H")
        entries[name], place = _decode(content, place, depth)
    return entries, place + 3


def _take_list(content: bytes, place: int, depth: int) -> tuple[Value, int]:
    (length,) = struct.unpack_from(">I", content, place)
    place += 4
    values: list[Value] = []
    for _ in range(min(length, len(content))):
        value, place = _decode(content, place, depth)
        values.append(value)
    return values, place
