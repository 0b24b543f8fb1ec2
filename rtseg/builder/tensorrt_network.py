"""TensorRT's own reading of a graph: a strongly typed network, held against what was meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from rtseg.builder.tensorrt_graph import EngineGraph
from rtseg.engine_files.manifest import TensorFacts
from rtseg.errors import EngineError
from rtseg.tensorrt_flavour import Flavour
from rtseg.tensorrt_log import Log, apart, log_of

_DTYPES: Final = {
    "FLOAT": "float32",
    "HALF": "float16",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
}
_MOST_ERRORS: Final = 3
"""Shown of a graph that is not understood."""


@dataclass(frozen=True, slots=True, eq=False)
class ParsedNetwork:
    """What TensorRT understood. Lifetime: as long as the builder, which is kept here."""

    builder: Any
    network: Any
    layers: dict[str, int]
    """How many layers there are of each kind, such as "CONVOLUTION float16": 57."""
    warnings: tuple[str, ...]
    """Of the parser; none is usual."""


def parse(graph: EngineGraph, flavour: Flavour) -> ParsedNetwork:
    """Return TensorRT's network of a graph, after holding its inputs and outputs against those that were meant.

    Raises:
        EngineError: TensorRT does not know an operation, or understood something else.
    """
    parsed = apart(lambda: _read(graph, flavour))
    network = parsed.network
    _hold(graph.inputs, [network.get_input(index) for index in range(network.num_inputs)], flavour)
    _hold(graph.outputs, [network.get_output(index) for index in range(network.num_outputs)], flavour)
    return parsed


def _read(graph: EngineGraph, flavour: Flavour) -> ParsedNetwork:
    """Return what the parser makes of a graph, whatever its inputs and outputs are."""
    trt = flavour.module
    log = log_of(flavour)
    with log.recording() as said:
        builder = trt.Builder(log.logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, log.logger)
        if not parser.parse(graph.model.SerializeToString()):
            errors = [_error_text(parser.get_error(index)) for index in range(parser.num_errors)]
            raise EngineError(
                f"{flavour}: got {'; '.join(errors[:_MOST_ERRORS]) or Log.telling(said)}; expected a network that it "
                "reads. Use the openvino or torch backend for this model."
            )
    return ParsedNetwork(builder, network, _layers(network), tuple(said))


def _error_text(error: Any) -> str:
    return " ".join(f"{error.node_operator()} {error.node_name()}: {error.desc()}".split())


def _hold(wanted: Iterable[TensorFacts], found: Iterable[Any], flavour: Flavour) -> None:
    """Raise EngineError where TensorRT's inputs or outputs are not those of the graph."""
    meant = [(one.name, one.dtype, one.shape) for one in wanted]
    read = [(one.name, dtype_name(one.dtype), tuple(one.shape)) for one in found]
    if meant != read:
        raise EngineError(f"{flavour}: got {read} of the parser; expected {meant}. Please report this.")


def dtype_name(dtype: Any) -> str:
    """Return numpy's name of one of TensorRT's types."""
    name = str(dtype.name)
    return _DTYPES.get(name, name.lower())


def _layers(network: Any) -> dict[str, int]:
    """Count layers by kind and type of their first output."""
    layers = (network.get_layer(index) for index in range(network.num_layers))
    counts = Counter(f"{layer.type.name} {dtype_name(layer.get_output(0).dtype)}" for layer in layers)
    return dict(sorted(counts.items()))
