"""What is done on the device before and after the network: bytes to normalised planes, planes to a mask in bytes.

Plain torch operations on memory that is allocated once, so that they can be part of a graph. The fused kernels of the
GPU pipeline do more in one pass; these serve one picture at a time, on any device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from rtseg.backends.device import DeviceContext, DeviceEngine
from rtseg.backends.device_runtime import DeviceRuntime
from rtseg.errors import EngineError
from rtseg.network import NetworkSpec


class PictureIn(ABC):
    """Writes the input of a context from RGB bytes."""

    picture: Tensor
    """RGB uint8 [1, h, w, 3] on the device, to be written first."""

    @abstractmethod
    def run(self) -> None:
        """Queue the steps from `picture` to the context's input."""


class BytesIn(PictureIn):
    """The engine takes bytes itself."""

    def __init__(self, context: DeviceContext) -> None:
        self.picture = context.input

    def run(self) -> None:
        """Do nothing: `picture` is the input."""


class NormalisedIn(PictureIn):
    """(byte * scale - mean) / std in fp32, in the network's channel order, then rounded once to its type."""

    def __init__(self, context: DeviceContext, network: NetworkSpec, runtime: DeviceRuntime) -> None:
        width, height = network.size_wh
        self.picture = runtime.device_tensor((1, height, width, 3), torch.uint8)
        self._input = context.input
        self._planes = runtime.device_tensor((1, 3, height, width), torch.float32)
        self._order = (2, 1, 0) if network.channel_order == "BGR" else (0, 1, 2)
        factor = torch.tensor([network.scale / std for std in network.std], dtype=torch.float32)
        offset = torch.tensor([-m / s for m, s in zip(network.mean, network.std, strict=True)], dtype=torch.float32)
        self._factor = factor.view(1, 3, 1, 1).to(runtime.device)
        self._offset = offset.view(1, 3, 1, 1).to(runtime.device)

    def run(self) -> None:
        """Queue conversion, normalisation and rounding."""
        for plane, channel in enumerate(self._order):
            self._planes[:, plane].copy_(self.picture[..., channel])
        torch.addcmul(self._offset, self._planes, self._factor, out=self._planes)
        self._input.copy_(self._planes)


class MaskOut(ABC):
    """Makes the bytes that a backend gives from the output of a context."""

    mask: Tensor
    """uint8 [h, w] on the device: class indices, or a matte 0..255."""
    scores: Tensor | None = None
    """float32 [h, w]: the winner's probability, where asked for."""

    @abstractmethod
    def run(self) -> None:
        """Queue the steps from the context's output to `mask` and `scores`."""


class LabelsOut(MaskOut):
    """Labels as they are."""

    def __init__(self, labels: Tensor, runtime: DeviceRuntime) -> None:
        self._labels = labels[0]
        is_ready = labels.dtype == torch.uint8 and self._labels.is_contiguous()
        self.mask = self._labels if is_ready else runtime.device_tensor(tuple(self._labels.shape), torch.uint8)

    def run(self) -> None:
        """Queue the conversion to bytes, where there is one to do."""
        if self.mask is not self._labels:
            self.mask.copy_(self._labels)


class AlphaOut(MaskOut):
    """A matte, rounded to the nearest byte."""

    def __init__(self, alpha: Tensor, runtime: DeviceRuntime) -> None:
        self._alpha = alpha[0]
        self._is_ready = alpha.dtype == torch.uint8 and self._alpha.is_contiguous()
        shape = tuple(self._alpha.shape)
        self.mask = self._alpha if self._is_ready else runtime.device_tensor(shape, torch.uint8)
        self._levels = None if self._is_ready else runtime.device_tensor(shape, torch.float32)

    def run(self) -> None:
        """Queue clipping, scaling and rounding half up."""
        if self._levels is None:
            return
        self._levels.copy_(self._alpha)
        if self._alpha.dtype != torch.uint8:
            self._levels.clamp_(0.0, 1.0).mul_(255.0).add_(0.5)
        self.mask.copy_(self._levels)  # towards zero


class ArgmaxOut(MaskOut):
    """The first of the largest planes, and where asked for its probability."""

    def __init__(self, planes: Tensor, network: NetworkSpec, runtime: DeviceRuntime, *, with_scores: bool) -> None:
        self._planes = planes
        shape = (int(planes.shape[2]), int(planes.shape[3]))
        self._winner = runtime.device_tensor((1, *shape), torch.int64)
        self.mask = runtime.device_tensor(shape, torch.uint8)
        self.scores = runtime.device_tensor(shape, torch.float32) if with_scores else None
        self._are_shares = network.output_kind == "probability"

    def run(self) -> None:
        """Queue argmax and, where asked for, softmax."""
        torch.argmax(self._planes[:1], dim=1, out=self._winner)
        self.mask.copy_(self._winner[0])
        if self.scores is not None:
            planes = self._planes[0].float()
            shares = planes if self._are_shares else torch.softmax(planes, dim=0)
            self.scores.copy_(shares.amax(dim=0))


def picture_in(engine: DeviceEngine, context: DeviceContext, runtime: DeviceRuntime) -> PictureIn:
    """Return the steps before an engine."""
    if engine.form == "bytes":
        return BytesIn(context)
    return NormalisedIn(context, engine.network, runtime)


def mask_out(engine: DeviceEngine, context: DeviceContext, runtime: DeviceRuntime, *, with_scores: bool) -> MaskOut:
    """Return the steps after an engine.

    Raises:
        EngineError: scores are asked for, and it gives labels alone.
    """
    name = engine.main_output
    found, meaning = context.outputs[name], engine.outputs[name].meaning
    if meaning == "alpha":
        return AlphaOut(found, runtime)
    if meaning == "logits":
        return ArgmaxOut(found, engine.network, runtime, with_scores=with_scores)
    if with_scores:
        raise EngineError(
            f"scores of {engine.network.onnx_path.name}: got an engine that gives labels; expected one with a plane a "
            "class. Leave the scores out, or use --backend openvino."
        )
    return LabelsOut(found, runtime)
