"""A torch module as an engine on a device: channels last, in half precision on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn

from rtseg.backends.base import BackendInfo
from rtseg.backends.device import DeviceContext, DeviceEngine, DeviceOutput
from rtseg.backends.device_runtime import DeviceRuntime, Stream
from rtseg.engine_files.key import EngineForm
from rtseg.errors import EngineError
from rtseg.network import NetworkSpec

DTYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_WARM_UPS: Final = 3
"""The first run chooses algorithms, the second allocates for them; the third shows that nothing more changes."""
_OUTPUT: Final = "mask"


class TorchEngine(DeviceEngine):
    """A network in eval mode on one device; every context shares its weights."""

    form: EngineForm = "planes"

    def __init__(
        self, module: nn.Module, network: NetworkSpec, runtime: DeviceRuntime, info: BackendInfo, batch: int = 1
    ) -> None:
        """Move the module to the device.

        Args:
            module: takes a normalised batch [N, 3, h, w] and gives logits [N, K, h, w] or a matte [N, 1, h, w].
            network: its facts.
            runtime: the device.
            info: what was chosen; its precision is the one used.
            batch: pictures in one call.

        Raises:
            EngineError: it gives another shape than the facts say.
        """
        width, height = network.size_wh
        self.network, self.info, self.device, self._runtime = network, info, runtime.device, runtime
        self.input_dtype = DTYPES[info.precision]
        self.input_shape_nchw = (batch, 3, height, width)
        self._exact = info.precision == "fp32"
        placed = module.eval().requires_grad_(False).to(device=runtime.device, dtype=self.input_dtype)
        self._module: nn.Module | None = _channels_last(placed)
        found = self.forward(runtime.device_tensor(self.input_shape_nchw, self.input_dtype))
        self.outputs = {_OUTPUT: _output_of(found, network, batch)}

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return the network's own output for a normalised batch."""
        if self._module is None:
            raise EngineError("torch: got a picture after close(); expected an open engine. Load it again.")
        with torch.inference_mode(), _algorithms(exact=self._exact):
            found: Tensor = self._module(batch_nchw.contiguous(memory_format=torch.channels_last))
        return found

    def new_context(self) -> DeviceContext:
        """Allocate input and output, and run until every algorithm is chosen."""
        context = _TorchContext(self, self._runtime)
        stream = self._runtime.new_stream()
        self._runtime.synchronize()
        for _ in range(_WARM_UPS if self._runtime.has_graphs else 1):
            context.enqueue(stream)
        self._runtime.synchronize()
        return context

    def close(self) -> None:
        """Let go of the weights."""
        self._module = None


class _TorchContext(DeviceContext):
    """Input and output of one inference; what lies between belongs to torch's allocator."""

    def __init__(self, engine: TorchEngine, runtime: DeviceRuntime) -> None:
        self._engine, self._runtime = engine, runtime
        name = engine.main_output
        self._found = engine.outputs[name]
        self.input = runtime.device_tensor(engine.input_shape_nchw, engine.input_dtype)
        self._output = runtime.device_tensor(self._found.shape, self._found.dtype)
        self.outputs = {name: self._output}

    def enqueue(self, stream: Stream) -> None:
        """Queue the network's kernels."""
        self._runtime.launch(stream, self._forward)

    def _forward(self) -> None:
        found = self._engine.forward(self.input)
        self._output.copy_(found[:, -1] if self._found.meaning == "alpha" else found)


def _channels_last(module: nn.Module) -> nn.Module:
    """Lay the weights of convolutions out as the fastest kernels read them, in place."""
    for weight in module.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return module


@contextmanager
def _algorithms(*, exact: bool) -> Iterator[None]:
    """Let cuDNN choose by measuring, and keep fp32 from being computed in fewer bits; the same while recording."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=not exact):
        yield


def _output_of(found: Tensor, network: NetworkSpec, batch: int) -> DeviceOutput:
    """Return what the output holds, after a check against the network's facts."""
    width, height = network.size_wh
    planes = 1 if network.is_matte else network.class_count
    if tuple(found.shape) != (batch, planes, height, width):
        raise EngineError(
            f"network of {network.onnx_path.name}: got an output {list(found.shape)}; expected "
            f"{[batch, planes, height, width]}. Correct the card's [training.network] and classes."
        )
    if network.is_matte:
        return DeviceOutput((batch, height, width), found.dtype, "alpha")
    return DeviceOutput((batch, planes, height, width), found.dtype, "logits")
