"""The weights of an ONNX file by their names in torch, read without any runtime.

Note [Shared constants]
    The exporter keeps equal constants once: two batch norms that see the same input have the same statistics. The
    second name is then the output of an Identity node, as a weight stored as fp16 has its name behind a Cast.

Source: NodeProto, TensorProto in onnx/onnx.proto of the ONNX project (field numbers and element types).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from rtseg.errors import EngineError
from rtseg.models.onnx_file import (
    _external_of_tensor,
    _fields,
    _Malformed,
    _messages,
    _number,
    _text,
    _varint,
    refuse_what_is_not_onnx,
)

Weights = dict[str, np.ndarray[Any, np.dtype[Any]]]
_TYPES: Final = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
"""ONNX element type -> numpy's; what networks of this package have."""
_RENAMING: Final = frozenset({"Identity", "Cast"})
"""Nodes whose output is their input under another name. See Note [Shared constants]."""


def read_onnx_weights(path: Path) -> Weights:
    """Return copies of an ONNX file's constants by their names in torch, in the type they are stored in.

    Raises:
        EngineError: it is no whole ONNX file, or keeps its weights in a way that this package's files do not.
    """
    refuse_what_is_not_onnx(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        try:
            return _read(view)
        except _Malformed as error:
            raise EngineError(
                f"weights of {path.name}: got something that cannot be read ({error}); expected a whole ONNX file with "
                "its weights inside. Export it again."
            ) from None
        finally:
            view.release()


def _read(view: memoryview) -> Weights:
    """Read a ModelProto: graph 7 -> initializer 5, node 1 (in the order in which they can run)."""
    found: Weights = {}
    for graph in _messages(view, 0, len(view), 7):
        for span in _messages(view, *graph, 5):
            found[_text(view, *span, 8)] = _values(view, *span)
        for name, other in _renamed(view, *graph):
            if name in found:
                found[other] = found[name]
    return found


def _renamed(view: memoryview, at: int, end: int) -> Iterator[tuple[str, str]]:
    """Read a GraphProto: node 1 -> input 1, output 2, op_type 4; yield the input and the output of renaming nodes."""
    for span in _messages(view, at, end, 1):
        if _text(view, *span, 4) in _RENAMING:
            yield _text(view, *span, 1), _text(view, *span, 2)


def _values(view: memoryview, at: int, end: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Read a TensorProto: dims 1, data_type 2, name 8, raw_data 9."""
    name, code = _text(view, at, end, 8), _number(view, at, end, 2) or 0
    if next(_external_of_tensor(view, at, end), None) is not None:
        raise _Malformed(f"{name} lies outside the file")
    raw = next(iter(_messages(view, at, end, 9)), None)
    if code not in _TYPES or raw is None:
        raise _Malformed(f"{name} has element type {code}, {'packed' if raw else 'not packed'}")
    shape = tuple(_dims(view, at, end))
    found = np.frombuffer(bytearray(view[raw[0] : raw[1]]), _TYPES[code])  # writable, and nothing holds on to the file
    if found.size != int(np.prod(shape)):
        raise _Malformed(f"{name} has {found.size} numbers for a shape {list(shape)}")
    return found.reshape(shape)


def _dims(view: memoryview, at: int, end: int) -> Iterator[int]:
    """Yield the sides, which may be packed or one field each."""
    for number, wire, start, stop in _fields(view, at, end):
        if number != 1:
            continue
        if wire == 0:
            yield start
        while wire == 2 and start < stop:
            side, start = _varint(view, start, stop)
            yield side
