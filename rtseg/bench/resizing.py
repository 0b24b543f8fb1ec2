"""A network at another input size than its file fixes.

Note [Sizes in an exported graph]
    A file that was exported at one size has it in three places: the shapes of input and output, and the targets of
    its Resize nodes, whose last two sides are a constant. A target of h of H input rows is that of a map with a stride
    of H / h; padded convolutions round up at each stride, so at H' rows that map has ceil(H' h / H) of them. The
    weights, and the scales of an int8 file, do not depend on the size. Whatever else in a graph depends on it makes
    the backend refuse the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rtseg.errors import BackendUnavailable
from rtseg.models.bundle import Bundle
from rtseg.models.onnx_file import read_onnx_facts
from rtseg.models.options import fixed_size_wh, picture_input

Size = tuple[int, int]

SIZES_INPUT: Final = 3
"""Which input of a Resize node holds the target; the others are picture, region and factors."""


def resized_bundle(bundle: Bundle, size_wh: Size, folder: Path) -> Bundle:
    """Return a bundle at another input size, without scores: those on its card hold at its own size only.

    Args:
        bundle: as it was loaded.
        size_wh: width and height in pixels.
        folder: rewritten files go there; the engine that is loaded from them may read them again.

    Raises:
        BackendUnavailable: a file has to be rewritten, and the package `onnx` is not there.
    """
    old_wh, int8 = bundle.network.size_wh, bundle.int8_path
    path = _resized_file(bundle, bundle.network.onnx_path, size_wh, folder)
    return replace(
        bundle,
        network=replace(bundle.network, onnx_path=path, size_wh=size_wh),
        int8_path=None if int8 is None else _resized_file(bundle, int8, size_wh, folder),
        scores=bundle.scores if size_wh == old_wh else {},
    )


def _resized_file(bundle: Bundle, path: Path, size_wh: Size, folder: Path) -> Path:
    """Return the file as it is where it takes the size, else a copy that does."""
    fixed_wh = fixed_size_wh(picture_input(read_onnx_facts(path), path.name), bundle.network.layout)
    if fixed_wh is None or fixed_wh == size_wh:
        return path
    copy = folder / f"{bundle.name}-{size_wh[0]}x{size_wh[1]}" / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    onnx = _onnx_module(size_wh, fixed_wh)
    model = onnx.load(str(path))
    resize_graph(onnx, model, fixed_wh, size_wh)
    onnx.save(model, str(copy))
    return copy


def _onnx_module(size_wh: Size, fixed_wh: Size) -> Any:
    try:
        return import_module("onnx")
    except ImportError as error:
        raise BackendUnavailable(
            f"--size: got {size_wh[0]}x{size_wh[1]} for a file that fixes {fixed_wh[0]}x{fixed_wh[1]}; expected the "
            "package onnx, which rewrites it. Run: pip install onnx."
        ) from error


def resize_graph(onnx: Any, model: Any, old_wh: Size, new_wh: Size) -> None:
    """Change every constant of a ModelProto that is its input size, in place; see Note [Sizes in an exported graph]."""
    graph = model.graph
    del graph.value_info[:]  # notes on shapes inside, which are others now
    for tensor in (*graph.input, *graph.output):
        _resize_shape(tensor.type.tensor_type.shape.dim, old_wh, new_wh)
    for constant in _targets(graph):
        sides = onnx.numpy_helper.to_array(constant).copy()
        sides[-2] = _scaled(int(sides[-2]), old_wh[1], new_wh[1])
        sides[-1] = _scaled(int(sides[-1]), old_wh[0], new_wh[0])
        constant.CopyFrom(onnx.numpy_helper.from_array(sides, constant.name))


def _scaled(side: int, old: int, new: int) -> int:
    return -(-new * side // old)


def _resize_shape(dims: Any, old_wh: Size, new_wh: Size) -> None:
    """Change height and width of a declared shape: the neighbouring sides that have the old input's aspect."""
    sides = [int(dim.dim_value) for dim in dims]
    for place in range(1, len(sides) - 1):
        height, width = sides[place], sides[place + 1]
        if height and width and height * old_wh[0] == width * old_wh[1]:
            dims[place].dim_value = _scaled(height, old_wh[1], new_wh[1])
            dims[place + 1].dim_value = _scaled(width, old_wh[0], new_wh[0])
            return


def _targets(graph: Any) -> Iterator[Any]:
    """Yield the constants that end with height and width of a Resize node's target, each once."""
    constants = {weight.name: weight for weight in graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    producers = {name: node for node in graph.node for name in node.output}
    wanted = [n.input[SIZES_INPUT] for n in graph.node if n.op_type == "Resize" and len(n.input) > SIZES_INPUT]
    ends = (_last_part(producers, name) for name in wanted)
    found = {name: constants[name] for name in ends if name in constants}
    yield from (constant for constant in found.values() if list(constant.dims) in ([2], [4]))


def _last_part(producers: dict[str, Any], name: str) -> str:
    """Return where the last sides of a target come from, through what only puts it together or changes its type."""
    while name in producers and producers[name].op_type in ("Concat", "Cast", "Identity"):
        name = producers[name].input[-1]
    return name
