"""The ONNX graph that TensorRT is given: the bundle's network in one precision, with what goes in and comes out.

Note [Precision is in the graph]
    TensorRT reads the graph as a strongly typed network: fp16 where the graph says fp16, int8 where it has quantization
    nodes, and no choice of its own. So the graph can be checked, and run elsewhere, before any engine is built.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.builder.half_graph import to_half
from rtseg.builder.onnx_graph import set_nodes
from rtseg.builder.plain_graph import picture_input, plain_model
from rtseg.builder.signed import QUANTIZE, make_signed
from rtseg.engine_files.key import EngineForm, EnginePrecision
from rtseg.engine_files.manifest import TensorFacts, TensorRole
from rtseg.errors import EngineError
from rtseg.network import NetworkSpec

Step = tuple[str, list[str], dict[str, Any]]
"""An operation on what came before, its further inputs, its attributes."""
PICTURE: Final = "picture"
"""The input of the form `bytes`."""
_DTYPES: Final[dict[int, str]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
}


@dataclass(frozen=True, slots=True, eq=False)
class EngineGraph:
    """A network ready to be compiled."""

    model: onnx.ModelProto
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    kept_fp32: tuple[str, ...]
    """Nodes that an fp16 or int8 network computes in fp32."""


def engine_graph(
    network: NetworkSpec,
    precision: EnginePrecision,
    *,
    form: EngineForm = "planes",
    batch: int = 1,
    keep: Collection[str] = (),
) -> EngineGraph:
    """Return the network as TensorRT is to have it. See Note [Precision is in the graph].

    Args:
        network: with the file of that precision, and the size in use.
        precision: fp16 and int8 compute in fp16 what is not int8; fp32 leaves the network as it is.
        form: what goes in and comes out.
        batch: pictures in one call.
        keep: names of more nodes that stay in fp32.

    Raises:
        EngineError: the file is of another precision, or no network that can be compiled at this size.
    """
    model = plain_model(network, batch)
    quantized = any(node.op_type == QUANTIZE for node in model.graph.node)
    if quantized != (precision == "int8"):
        got, flag = ("a quantized network", "int8") if quantized else ("a float network", "fp16")
        raise EngineError(f"model file {network.onnx_path.name}: got {got}; expected {precision}. Use {flag}.")
    if quantized:
        make_signed(model)
    kept = () if precision == "fp32" else to_half(model, keep)
    source = _add_input(model, network, form, batch)
    output = _own_output(model, network, batch)
    if form != "planes":
        output = _add_mask(model, network, output, as_bytes=form == "bytes")
    return EngineGraph(model, (source,), (output,), kept)


def _add_input(model: onnx.ModelProto, network: NetworkSpec, form: EngineForm, batch: int) -> TensorFacts:
    """Put what comes before the network in front of it, in place; return what goes in."""
    width, height = network.size_wh
    own = picture_input(model)
    kind = own.type.tensor_type.elem_type
    nchw, nhwc = (batch, 3, height, width), (batch, height, width, 3)
    if form != "bytes" and network.layout == "NCHW":
        return TensorFacts(own.name, "planes", _DTYPES[kind], nchw, "NCHW")
    if form != "bytes":
        facts = TensorFacts("planes", "planes", _DTYPES[kind], nchw, "NCHW")
        before = [helper.make_node("Transpose", ["planes"], [own.name], "planes.nhwc", perm=[0, 2, 3, 1])]
    else:
        facts = TensorFacts(PICTURE, "picture", "uint8", nhwc, "NHWC")
        kind, before = TensorProto.UINT8, _normalisation(model, network, own)
    model.graph.input.remove(own)
    model.graph.input.append(helper.make_tensor_value_info(facts.name, kind, facts.shape))
    set_nodes(model, [*before, *model.graph.node])
    return facts


def _normalisation(model: onnx.ModelProto, network: NetworkSpec, own: onnx.ValueInfoProto) -> list[onnx.NodeProto]:
    """Return nodes from bytes RGB [N, H, W, 3] to what the network takes: (byte * scale - mean) / std, in fp32."""
    mean, std = np.array(network.mean, np.float64), np.array(network.std, np.float64)
    if network.channel_order == "BGR":  # the picture is RGB: its channels are turned round last
        mean, std = mean[::-1], std[::-1]
    for name, values in {"gain": network.scale / std, "offset": -mean / std}.items():
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), f"{PICTURE}.{name}"))
    steps: list[Step] = [
        ("Cast", [], {"to": TensorProto.FLOAT}),
        ("Mul", [f"{PICTURE}.gain"], {}),
        ("Add", [f"{PICTURE}.offset"], {}),
    ]
    if network.channel_order == "BGR":
        order = numpy_helper.from_array(np.array([2, 1, 0], np.int64), f"{PICTURE}.order")
        model.graph.initializer.append(order)
        steps.append(("Gather", [order.name], {"axis": 3}))
    if network.layout == "NCHW":
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    steps.append(("Cast", [], {"to": own.type.tensor_type.elem_type}))
    return _chain(PICTURE, steps, own.name)


def _chain(source: str, steps: list[Step], target: str) -> list[onnx.NodeProto]:
    """Return nodes one after the other: operation, further inputs, attributes."""
    nodes = []
    for index, (operation, others, attributes) in enumerate(steps):
        made = target if index == len(steps) - 1 else f"{target}.{index}.{operation}"
        nodes.append(helper.make_node(operation, [source, *others], [made], f"{made}.node", **attributes))
        source = made
    return nodes


def _own_output(model: onnx.ModelProto, network: NetworkSpec, batch: int) -> TensorFacts:
    """Return what the network itself gives."""
    output = model.graph.output[0]
    shape = tuple(side.dim_value for side in output.type.tensor_type.shape.dim)
    planes = 1 if network.output_kind == "labels" else network.class_count
    axis = 3 if network.output_layout == "NHWC" else 1
    fits = len(shape) == 4 and shape[axis] in ({1, 2} if network.is_matte else {planes})
    flat = len(shape) == 3 and (network.is_matte or planes == 1)
    if not (fits or flat) or shape[0] != batch:
        raise EngineError(
            f"model file {network.onnx_path.name}: got output {list(shape)}; expected {batch} of "
            f"{network.output_kind} in {network.output_layout} for {network.class_count} classes. Correct the card."
        )
    role: TensorRole = "alpha" if network.is_matte else network.output_kind
    layout = network.output_layout if len(shape) == 4 else "NHW"
    return TensorFacts(output.name, role, _DTYPES[output.type.tensor_type.elem_type], shape, layout)


def _add_mask(model: onnx.ModelProto, network: NetworkSpec, own: TensorFacts, *, as_bytes: bool) -> TensorFacts:
    """Put argmax, or the choice of the matte's plane, behind the network, in place; return what comes out."""
    axis = own.layout.find("C")
    shape = tuple(side for index, side in enumerate(own.shape) if index != axis)
    if network.is_matte:
        dtype = "uint8" if as_bytes else own.dtype
        facts = TensorFacts("matte", "alpha", dtype, shape, "NHW")
        nodes = _chain(own.name, _matte_steps(model, own, as_bytes=as_bytes), facts.name)
    else:
        facts = TensorFacts("classes", "labels", "uint8", shape, "NHW")
        nodes = _chain(own.name, _label_steps(model, own), facts.name)
    kind = next(kind for kind, name in _DTYPES.items() if name == facts.dtype)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(facts.name, kind, facts.shape))
    set_nodes(model, [*model.graph.node, *nodes])
    return facts


def _label_steps(model: onnx.ModelProto, own: TensorFacts) -> list[Step]:
    """Return the steps from the network's planes to labels; bytes are made from fp32, which every flavour can."""
    steps: list[Step] = []
    axis = own.layout.find("C")
    if own.role != "labels":
        steps.append(("ArgMax", [], {"axis": axis, "keepdims": 0}))
    elif axis >= 0:
        steps.append(("Squeeze", [_constant(model, "labels.axis", np.array([axis], np.int64))], {}))
    return [*steps, ("Cast", [], {"to": TensorProto.FLOAT}), ("Cast", [], {"to": TensorProto.UINT8})]


def _matte_steps(model: onnx.ModelProto, own: TensorFacts, *, as_bytes: bool) -> list[Step]:
    """Return the steps from the network's (last) plane to a matte; bytes are rounded halves up."""
    steps: list[Step] = []
    axis = own.layout.find("C")
    if axis >= 0:
        last = _constant(model, "matte.plane", np.array(own.shape[axis] - 1, np.int64))
        steps.append(("Gather", [last], {"axis": axis}))
    if not as_bytes:
        return [*steps, ("Identity", [], {})]
    numbers = {"none": 0.0, "all": 1.0, "levels": 255.0, "half": 0.5}
    names = {key: _constant(model, f"matte.{key}", np.array(value, np.float32)) for key, value in numbers.items()}
    return [
        *steps,
        ("Cast", [], {"to": TensorProto.FLOAT}),
        ("Clip", [names["none"], names["all"]], {}),
        ("Mul", [names["levels"]], {}),
        ("Add", [names["half"]], {}),
        ("Floor", [], {}),
        ("Cast", [], {"to": TensorProto.UINT8}),
    ]


def _constant(model: onnx.ModelProto, name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name
