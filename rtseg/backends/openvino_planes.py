"""The planes of a network as they are, in fp32: for averaging and for labelling, where exactness counts, not speed.

A backend gives bytes because a stream needs nothing else. Averages over networks or over views of a picture need the
probabilities of all classes.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from rtseg.backends.openvino_graph import class_axis, fix_input_shape, raw_output, with_byte_input
from rtseg.backends.openvino_runtime import (
    engine_errors,
    inference_errors,
    openvino_core,
    openvino_module,
    openvino_version,
)
from rtseg.errors import ConfigError
from rtseg.network import NetworkSpec
from rtseg.types import FloatArray, UInt8Array


class OpenVINOPlanes:
    """One network compiled in fp32. Threading: one thread at a time."""

    def __init__(self, network: NetworkSpec, *, size_wh: tuple[int, int] | None = None) -> None:
        """Compile the network.

        Args:
            network: its facts; one that gives labels has no planes.
            size_wh: another input size than its own; not every network can be run at another.

        Raises:
            ConfigError: the network gives labels.
            EngineError: OpenVINO cannot read it, or not at this size.
            BackendUnavailable: OpenVINO is not installed.
        """
        if network.output_kind == "labels":
            raise ConfigError(
                f"planes of {network.onnx_path.name}: got a network that gives labels; expected logits, probabilities "
                "or a matte. Export it before its argmax."
            )
        self.network = network if size_wh is None else replace(network, size_wh=size_wh)
        """The network's facts, with the input size in use."""
        ov = openvino_module()
        self.version = openvino_version()
        """Version of OpenVINO."""
        core = openvino_core()
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        model = _graph(ov, core, self.network)
        with engine_errors(network.onnx_path.name, "compile"):
            self._compiled: Any = core.compile_model(model, "CPU", settings)

    def __call__(self, picture: UInt8Array) -> FloatArray:
        """Return the planes of one rgb uint8 [h, w, 3] picture at network size.

        Returns:
            Class probabilities float32 [K, h, w] that sum to 1, or a matte float32 [1, h, w], 0..1.

        Raises:
            InferenceError: the network failed on the picture.
        """
        with inference_errors():
            found = self._compiled(np.ascontiguousarray(picture)[None])[0]
        return np.array(found, np.float32)


def _graph(ov: Any, core: Any, network: NetworkSpec) -> Any:
    """Return the network from picture bytes [1, h, w, 3] to planes [K, h, w]."""
    op = import_module("openvino.opset13")
    name = network.onnx_path.name
    with engine_errors(name, "read"):
        model = core.read_model(str(network.onnx_path))
    fix_input_shape(model, network)
    output = raw_output(model, network)
    shape = [int(side) for side in output.get_shape()]
    axis = class_axis(shape, network)
    with engine_errors(name, "extend"):
        planes = _planes(op, op.convert(output, "f32"), network, shape, axis)
        extended = ov.Model([op.result(planes)], model.get_parameters(), "planes")
        return with_byte_input(ov, extended, network)


def _planes(op: Any, output: Any, network: NetworkSpec, shape: list[int], axis: int | None) -> Any:
    """Return the output as probabilities or a matte, [K, h, w]."""
    if network.is_matte:
        if axis is not None and shape[axis] == 2:
            output = op.gather(output, op.constant(np.array([1])), op.constant(np.int64(axis)))
        sides = [side for index, side in enumerate(shape) if index not in (0, axis)] if len(shape) > 2 else shape
        return op.clamp(op.reshape(output, op.constant(np.array([1, *sides], np.int64)), False), 0.0, 1.0)
    if network.output_kind == "logits":
        output = op.softmax(output, axis)
    if axis == 3:
        output = op.transpose(output, op.constant(np.array([0, 3, 1, 2])))
    return op.squeeze(output, op.constant(np.array([0])))
