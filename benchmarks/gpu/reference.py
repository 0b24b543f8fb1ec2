"""What every engine is held against: the bundle's ONNX file on the CPU in fp32, by whichever runtime is there.

ONNX Runtime first, then OpenVINO; both need the `onnx` package where the file has to be rewritten for another input
size. Where neither can run it, the network's own definition in torch. The result says which it was, and why no other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from rtseg.backends.base import Backend, BackendInfo, EngineRequest
from rtseg.models.bundle import Bundle
from rtseg.network import NetworkSpec
from rtseg.types import UInt8Array

Masks = list[UInt8Array]


def reference_masks(bundle: Bundle, model: str, pictures: Sequence[UInt8Array]) -> tuple[Masks, str]:
    """Return labels of every picture (a matte cut at one half), uint8 [h, w], and what made them, in words."""
    refused = []
    ways: dict[str, Callable[[], Masks]] = {
        "the ONNX file in fp32 on the CPU, by onnxruntime": lambda: _by_onnxruntime(bundle.network, pictures),
        "the ONNX file in fp32 on the CPU, by openvino": lambda: _by_openvino(bundle.network, pictures),
    }
    for words, way in ways.items():
        try:
            return way(), "; ".join([words, *refused])
        except Exception as error:  # noqa: BLE001  whatever keeps a runtime from it is recorded, and the next is tried
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
            refused.append(f"not {words.rsplit(' ', 1)[1]} ({why})")
    words = "the network's definition in fp32 on the CPU, by torch"
    return _by_torch(bundle, model, pictures), "; ".join([words, *refused])


def masks_of(backend: Backend, pictures: Sequence[UInt8Array]) -> Masks:
    """Return labels of every picture, through a backend's own graphs, as many in flight as it takes."""
    pending: list[Any] = []
    masks = []
    for picture in pictures:
        if len(pending) == backend.info.in_flight:
            masks.append(_labels(pending.pop(0).result()))
        pending.append(backend.submit(np.ascontiguousarray(picture)))
    return masks + [_labels(flight.result()) for flight in pending]


def _labels(output: Any) -> UInt8Array:
    return np.asarray(output.labels if output.alpha is None else output.alpha > 127, np.uint8)


def _by_onnxruntime(network: NetworkSpec, pictures: Sequence[UInt8Array]) -> Masks:
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(_file_at_size(network), options, providers=["CPUExecutionProvider"])
    (source,), output = session.get_inputs(), network.output_name or session.get_outputs()[0].name
    masks = []
    for picture in pictures:
        (planes,) = session.run([output], {source.name: _network_input(picture, network)})
        masks.append(_planes_to_labels(planes, network))
    return masks


def _file_at_size(network: NetworkSpec) -> bytes:
    """Return the ONNX file with its sides those of the network's facts."""
    from rtseg.builder.plain_graph import plain_model

    return bytes(plain_model(network).SerializeToString())


def _network_input(picture: UInt8Array, network: NetworkSpec) -> np.ndarray[Any, Any]:
    ordered = picture[..., ::-1] if network.channel_order == "BGR" else picture
    mean, std = np.array(network.mean, np.float32), np.array(network.std, np.float32)
    normalised = (ordered.astype(np.float32) * np.float32(network.scale) - mean) / std
    planes = normalised.transpose(2, 0, 1) if network.layout == "NCHW" else normalised
    return np.ascontiguousarray(planes[None], np.float32)


def _planes_to_labels(planes: np.ndarray[Any, Any], network: NetworkSpec) -> UInt8Array:
    axis = 3 if network.output_layout == "NHWC" else 1
    if network.output_kind == "labels":
        return np.asarray(planes[0], np.uint8)
    if network.is_matte:
        matte = planes.take(planes.shape[axis] - 1, axis) if planes.ndim == 4 else planes
        return np.asarray(np.floor(matte[0] * 255 + 0.5) > 127, np.uint8)
    return np.asarray(planes.argmax(axis)[0], np.uint8)


def _by_openvino(network: NetworkSpec, pictures: Sequence[UInt8Array]) -> Masks:
    from rtseg.backends.openvino import OpenVINOBackend

    with tempfile.TemporaryDirectory() as name:
        try:
            path = Path(name) / "model.onnx"
            path.write_bytes(_file_at_size(network))
            network = replace(network, onnx_path=path)
        except ImportError:
            pass  # the file as it is will do, unless another size is asked of it
        backend = OpenVINOBackend()
        backend.load(EngineRequest(network, "fp32", "latency"))
        with backend:
            return masks_of(backend, pictures)


def _by_torch(bundle: Bundle, model: str, pictures: Sequence[UInt8Array]) -> Masks:
    import torch

    from rtseg.backends.device_runtime import CpuRuntime
    from rtseg.backends.torch import TorchBackend

    class OnCpu(TorchBackend):
        def _choose_runtime(self, request: EngineRequest) -> CpuRuntime:
            return CpuRuntime()

        def _info_of(self, request: EngineRequest, runtime: Any) -> BackendInfo:
            return BackendInfo("torch", torch.__version__, "cpu", "fp32", 1)

    backend = OnCpu()
    backend.load(EngineRequest(bundle.network, "fp32", model=model, torch_network=bundle.torch_network))
    with backend:
        return masks_of(backend, pictures)
