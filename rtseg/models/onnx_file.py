"""What an ONNX file says of itself, read without any runtime: names, types and shapes, and where its weights lie.

An ONNX file is one protocol buffer. Only the few fields needed here are walked; weights are stepped over, never read.

Source: onnx/onnx.proto of the ONNX project (field numbers), and the Protocol Buffers encoding guide (wire types).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rtseg.errors import EngineError

FLOAT_TYPES: Final = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
INTEGER_TYPES: Final = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 12: "uint32"}
PICKLE_SUFFIXES: Final = frozenset({".pth", ".pt", ".ckpt", ".pkl", ".pickle", ".pth.tar"})
_DEEPEST: Final = 12
_LOCATION_KEY: Final = b"location"
"""The key under which a tensor names its file; where these bytes are nowhere in the model, no tensor does."""


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One input or output as the file declares it."""

    name: str
    """Its name in the graph."""
    type_code: int
    """ONNX element type; 0 where the file does not say."""
    shape: tuple[int | None, ...] | None
    """Dimensions; None for one that is free, None as a whole where the file does not say."""

    @property
    def is_integer(self) -> bool:
        """True for an integer tensor."""
        return self.type_code in INTEGER_TYPES

    def shape_text(self) -> str:
        """Return the shape for a message, such as [1, 3, ?, ?]."""
        if self.shape is None:
            return "unknown"
        return "[" + ", ".join("?" if side is None else str(side) for side in self.shape) + "]"


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """What the file says of itself."""

    inputs: tuple[TensorFacts, ...]
    """Inputs without the weights."""
    outputs: tuple[TensorFacts, ...]
    """Outputs in the file's order."""
    external_files: tuple[str, ...]
    """Relative names of the files that hold weights outside this one."""


class _Malformed(Exception):
    """The bytes are no protocol buffer; never leaves this file."""


_Field = tuple[int, int, int, int]  # number, wire type, start or value, end


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _Malformed("a number runs over the end")


def _fields(view: memoryview, at: int, end: int) -> Iterator[_Field]:
    """Yield the fields of one message: (number, wire type, value, 0) or (number, 2, start, end)."""
    while at < end:
        key, at = _varint(view, at, end)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise _Malformed("a field has number 0")
        if wire == 0:
            value, at = _varint(view, at, end)
            yield number, wire, value, 0
            continue
        size = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            size, at = _varint(view, at, end)
        if size is None:
            raise _Malformed(f"a field has wire type {wire}")
        if at + size > end:
            raise _Malformed("a field runs over the end of the file")
        yield number, wire, at, at + size
        at += size


def _messages(view: memoryview, at: int, end: int, *numbers: int) -> Iterator[tuple[int, int]]:
    return ((start, stop) for number, wire, start, stop in _fields(view, at, end) if wire == 2 and number in numbers)


def _text(view: memoryview, at: int, end: int, number: int) -> str:
    for start, stop in _messages(view, at, end, number):
        return bytes(view[start:stop]).decode("utf-8", "replace")
    return ""


def _number(view: memoryview, at: int, end: int, number: int) -> int | None:
    return next((value for found, wire, value, _ in _fields(view, at, end) if wire == 0 and found == number), None)


def _tensor_facts(view: memoryview, at: int, end: int) -> TensorFacts:
    """Read a ValueInfoProto: name 1, type 2 -> tensor_type 1 -> elem_type 1, shape 2 -> dim 1 -> dim_value 1."""
    code, shape = 0, None
    for type_span in _messages(view, at, end, 2):
        for tensor_span in _messages(view, *type_span, 1):
            code = _number(view, *tensor_span, 1) or 0
            for shape_span in _messages(view, *tensor_span, 2):
                sides = (_number(view, *dim_span, 1) for dim_span in _messages(view, *shape_span, 1))
                shape = tuple(side if side else None for side in sides)
    return TensorFacts(_text(view, at, end, 1), code, shape)


def _external_of_tensor(view: memoryview, at: int, end: int) -> Iterator[str]:
    """Read a TensorProto: external_data 13 -> key 1, value 2; data_location 14 is 1 when it is outside."""
    if _number(view, at, end, 14) != 1:
        return
    for span in _messages(view, at, end, 13):
        if _text(view, *span, 1) == "location":
            yield _text(view, *span, 2)


def _external_of_node(view: memoryview, at: int, end: int, depth: int) -> Iterator[str]:
    """Read a NodeProto: attribute 5 -> t 5, g 6, tensors 10, graphs 11."""
    for attribute in _messages(view, at, end, 5):
        for span in _messages(view, *attribute, 5, 10):
            yield from _external_of_tensor(view, *span)
        for span in _messages(view, *attribute, 6, 11):
            yield from _external_of_graph(view, *span, depth + 1)


def _external_of_graph(view: memoryview, at: int, end: int, depth: int = 0) -> Iterator[str]:
    """Read a GraphProto: node 1, initializer 5, sparse_initializer 15 -> values 1, indices 2."""
    if depth > _DEEPEST:
        raise _Malformed(f"graphs are nested deeper than {_DEEPEST}")
    for span in _messages(view, at, end, 5):
        yield from _external_of_tensor(view, *span)
    for sparse in _messages(view, at, end, 15):
        for span in _messages(view, *sparse, 1, 2):
            yield from _external_of_tensor(view, *span)
    for span in _messages(view, at, end, 1):
        yield from _external_of_node(view, *span, depth)


def _read(view: memoryview, *, may_name_files: bool) -> OnnxFacts:
    """Read a ModelProto: graph 7, functions 25 -> node 7; GraphProto: input 11, output 12, initializer 5.

    Weights elsewhere are looked for only where some may be named: every node has to be walked for them.
    """
    fields = list(_fields(view, 0, len(view)))
    graphs = [(start, stop) for number, wire, start, stop in fields if number == 7 and wire == 2]
    if len(graphs) != 1 or not any(number == 1 and wire == 0 for number, wire, _, _ in fields):
        raise _Malformed("it has no graph")
    graph = graphs[0]
    weights = {_text(view, *span, 8) for span in _messages(view, *graph, 5)}
    inputs = tuple(_tensor_facts(view, *span) for span in _messages(view, *graph, 11))
    outputs = tuple(_tensor_facts(view, *span) for span in _messages(view, *graph, 12))
    external = set(_external_of_model(view, graph)) if may_name_files else set()
    return OnnxFacts(tuple(i for i in inputs if i.name not in weights), outputs, tuple(sorted(external)))


def _external_of_model(view: memoryview, graph: tuple[int, int]) -> Iterator[str]:
    yield from _external_of_graph(view, *graph)
    for function in _messages(view, 0, len(view), 25):
        for span in _messages(view, *function, 7):
            yield from _external_of_node(view, *span, 0)


def read_onnx_facts(path: Path) -> OnnxFacts:
    """Return what an ONNX file says of itself, without loading its weights or any runtime.

    Raises:
        EngineError: the file is missing, empty, a pickle, cut short or no ONNX file; or its weights lie outside its
            folder.
    """
    refuse_what_is_not_onnx(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        try:
            facts = _read(view, may_name_files=mapped.find(_LOCATION_KEY) >= 0)
        except _Malformed as error:
            raise EngineError(
                f"model file {path.name}: got something that is no whole ONNX file ({error}); "
                "expected an ONNX model. Export or download it again."
            ) from None
        finally:
            view.release()
    _check_external(path, facts)
    if not facts.inputs or not facts.outputs:
        raise EngineError(
            f"model file {path.name}: got {len(facts.inputs)} inputs and {len(facts.outputs)} outputs; "
            "expected at least one of each. Export the network again."
        )
    return facts


def refuse_what_is_not_onnx(path: Path) -> None:
    """Raise EngineError, by name and by first bytes, for what cannot be an ONNX file; a pickle is never opened."""
    if not path.is_file():
        raise EngineError(f"model file {path}: got no such file; expected an ONNX file. Check the path.")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise EngineError(f"model file {path.name}: got an empty file; expected an ONNX model. Copy it again.")
    if path.suffix.lower() in PICKLE_SUFFIXES or head[:1] == b"\x80" or head[:4] == b"PK\x03\x04":
        raise EngineError(
            f"model file {path.name}: got a pickle (PyTorch checkpoint), which can run code when it is opened; "
            "expected ONNX. Export the network with torch.onnx.export, or save its weights as safetensors "
            "and export from those."
        )
    if head[8:9] == b"{" or path.suffix.lower() == ".safetensors":
        raise EngineError(
            f"model file {path.name}: got safetensors, which holds weights but no network; expected ONNX. "
            "Load the weights into the network and export it with torch.onnx.export."
        )


def _check_external(path: Path, facts: OnnxFacts) -> None:
    """Refuse weights that the file wants from outside its own folder, or that are not there."""
    folder = path.resolve().parent
    for name in facts.external_files:
        target = (folder / name).resolve()
        if not target.is_relative_to(folder):
            raise EngineError(
                f"model file {path.name}: got weights in {name!r}, outside the model's folder; "
                "expected them inside it. Do not use this file unless you know where it comes from."
            )
        if not target.is_file():
            raise EngineError(
                f"model file {path.name}: got no file {name!r}, which holds its weights; expected it beside the "
                "model. Copy it there."
            )
