"""Post-training quantization: a float ONNX network and pictures in, one Q/DQ network for every runtime out.

Note [One file for every runtime]
    Weights are int8, a scale a channel; activations int8, one scale, zero point 0 (see Note [Signed activations]).
    NNCF's mixed preset, with shifted activations, is not used: TensorRT refuses zero points, and a street network lost
    9 points of agreement by it in OpenVINO.

Note [Only layers with weights]
    Convolutions and matrix products read int8; sums, resizes, pools and all that follows the last convolution stay in
    floating point, which each runtime executes as it likes (bf16 in OpenVINO, fp16 in TensorRT). NNCF by itself
    quantizes the inputs of sums and resizes, too. Measured in one run on two cores against bf16: DDRNet 704x352 1.45
    to 1.48 times as fast instead of 1.38 to 1.41, DDRNet 256x256 1.31 instead of 1.28, BiSeNetV2 1.29 instead of 1.27;
    and labels as in fp32 98.8 instead of 98.7 % (the matte), 95.7 instead of 93.9 % (BiSeNetV2 on unseen footage).
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Final

import onnx
from onnx import version_converter

from rtseg.builder.calibration import network_input
from rtseg.builder.onnx_graph import fold_casts
from rtseg.builder.requirements import nncf_module
from rtseg.builder.signed import make_signed
from rtseg.errors import EngineError
from rtseg.network import NetworkSpec
from rtseg.types import UInt8Array

OLDEST_OPSET: Final = 13
"""The first with a scale a channel."""
WEIGHTED: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operations that are quantized. See Note [Only layers with weights]."""
PASSIVE: Final = frozenset(
    {"Constant", "DepthToSpace", "Flatten", "Identity", "MaxPool", "Relu", "Reshape", "Slice", "Squeeze", "Transpose",
     "Unsqueeze"}
)  # fmt: skip
"""Operations that a quantized value passes through unchanged, so that it may be quantized before them."""
OnPicture = Callable[[], None]
"""Called each time a picture has been shown to the network."""


def float_model(path: Path) -> onnx.ModelProto:
    """Return the network of an ONNX file with its weights as plain fp32 constants, in opset 13 or later.

    Raises:
        EngineError: it is quantized already, or its opset is too old and cannot be brought up.
    """
    model = onnx.load(str(path))
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise EngineError(f"model file {path.name}: got a quantized network; expected the float one. Give that file.")
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        model = _converted(model, opset, path.name)
    fold_casts(model)
    _name_nodes(model)
    return model


def _converted(model: onnx.ModelProto, opset: int, name: str) -> onnx.ModelProto:
    """Return the network in the oldest opset that has a scale for each channel."""
    try:
        return version_converter.convert_version(model, OLDEST_OPSET)
    except (RuntimeError, ValueError) as error:
        raise EngineError(
            f"model file {name}: got opset {opset}, which cannot be converted ({_one_line(error)}); expected "
            f"{OLDEST_OPSET} or later. Export the network again."
        ) from error


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give every node a name of its own, in place: layers are told apart by name."""
    seen: set[str] = set()
    for node in model.graph.node:
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{node.output[0]}"
        seen.add(node.name)


def quantize(
    model: onnx.ModelProto,
    pictures: Sequence[UInt8Array],
    network: NetworkSpec,
    *,
    on_picture: OnPicture | None = None,
) -> onnx.ModelProto:
    """Return the quantized network; the same pictures give the same network. See Note [One file for every runtime].

    Args:
        model: from `float_model`; left as it is.
        pictures: calibration pictures, rgb uint8 [h, w, 3] at the network's size.
        network: its facts; the pictures are normalised as these say.
        on_picture: for a progress bar; NNCF goes through the pictures more than once.

    Raises:
        BackendUnavailable: NNCF or what it needs is not installed.
        EngineError: NNCF found nothing to quantize, or cannot.
    """
    nncf = nncf_module()
    input_name = _input_name(model)

    def prepared(picture: UInt8Array) -> dict[str, Any]:
        if on_picture is not None:
            on_picture()
        return {input_name: network_input(picture, network)}

    with _quiet(nncf):
        try:
            quantized: onnx.ModelProto = nncf.quantize(
                model,
                nncf.Dataset(list(pictures), prepared),
                preset=nncf.QuantizationPreset.PERFORMANCE,
                target_device=nncf.TargetDevice.ANY,
                ignored_scope=nncf.IgnoredScope(types=_left_alone(model), validate=False),
                subset_size=len(pictures),
                fast_bias_correction=True,
            )
        except (nncf.ValidationError, nncf.UnsupportedModelError, nncf.InternalError, RuntimeError) as error:
            raise EngineError(
                f"quantization: got {type(error).__name__} from NNCF ({_one_line(error)}); expected a network that it "
                "quantizes. Export it again with a newer opset, or keep it in fp16."
            ) from error
    make_signed(quantized)
    if not any(node.op_type == "QuantizeLinear" for node in quantized.graph.node):
        raise EngineError("quantization: got no layer that can be quantized; expected convolutions. Keep it in fp16.")
    return quantized


def _left_alone(model: onnx.ModelProto) -> list[str]:
    """Return the kinds of nodes in a network whose inputs are not to be quantized."""
    return sorted({node.op_type for node in model.graph.node} - WEIGHTED - PASSIVE)


def _input_name(model: onnx.ModelProto) -> str:
    constants = {weight.name for weight in model.graph.initializer}
    return str(next(source.name for source in model.graph.input if source.name not in constants))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@contextmanager
def _quiet(nncf: Any) -> Iterator[None]:
    """Keep NNCF's own bars and notes off the terminal; ours are shown instead."""
    logger = logging.getLogger("nncf")
    before = logger.level
    nncf.set_log_level(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
