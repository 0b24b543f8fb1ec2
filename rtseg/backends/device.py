"""An engine whose input and outputs stay on the device: what the CUDA slots build on, and the two GPU backends too.

Note [Order of an engine's work]
    An engine is opened once and holds the weights. Whoever runs it makes one context a slot; each context has its own
    input, outputs and scratch memory, so that contexts may run at the same time on different streams. A context is
    filled, run and read in this order on one stream, or with events between streams:

        context = engine.new_context()
        ... kernels on `stream` write context.input ...
        context.enqueue(stream)
        ... kernels on `stream` read context.outputs ...

    All of it may be recorded in one CUDA graph: the addresses never change while the context lives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rtseg.backends.base import BackendInfo
from rtseg.engine_files.key import EngineForm
from rtseg.network import NetworkSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Meaning = Literal["logits", "labels", "alpha"]


@dataclass(frozen=True, slots=True)
class DeviceOutput:
    """What one output of an engine holds.

    logits: float [N, K, h, w], a plane a class; of a network whose `output_kind` is "probability", its shares.
    labels: an integer type [N, h, w], the class index.
    alpha: the soft matte [N, h, w]; float: 0..1 but for rounding; uint8: 0..255.
    """

    shape: tuple[int, ...]
    """Always in the order above, whatever the memory order of the network."""
    dtype: torch.dtype
    """float16, float32 or bfloat16; uint8, int32 or int64 for labels; uint8 for a matte in bytes."""
    meaning: Meaning
    """See above."""


class DeviceEngine(ABC):
    """An opened engine. Closing it ends its contexts too.

    Threading: `new_context` is called by one thread at a time; contexts are independent of each other.
    """

    network: NetworkSpec
    """The network and its facts: normalisation and channel order of the input."""
    form: EngineForm
    """What goes in and comes out. An engine is opened in the form that was asked for; the CUDA slots ask for planes."""
    input_shape_nchw: tuple[int, int, int, int]
    """[N, 3, h, w]."""
    input_dtype: torch.dtype
    """float16, float32 or bfloat16; uint8 in the form "bytes"."""
    outputs: Mapping[str, DeviceOutput]
    """By name; the one that the network's facts name comes first."""
    device: torch.device
    """Where everything lies."""
    info: BackendInfo
    """What was chosen, and why."""

    @property
    def batch(self) -> int:
        """How many pictures one inference takes, N."""
        return self.input_shape_nchw[0]

    @property
    def main_output(self) -> str:
        """The name of the output that masks are made from."""
        return next(iter(self.outputs))

    @property
    def context_bytes(self) -> int | None:
        """How much memory of the device one context takes, None where nobody knows before it was made."""
        return None

    @abstractmethod
    def new_context(self) -> DeviceContext:
        """Allocate what one inference at a time needs, and run it until every kernel is chosen.

        Raises:
            EngineError: the device has not enough memory; the message says what was needed and what is free.
            InferenceError: the engine fails.
        """

    @abstractmethod
    def close(self) -> None:
        """Release engine and contexts; idempotent. Nothing may be in flight."""


class DeviceContext(ABC):
    """The memory of one inference, allocated once.

    Lifetime: tensors and their addresses stay the same until the engine is closed.
    """

    input: Tensor
    """Contiguous, zero until written. [N, 3, h, w] of the engine's `input_dtype`: the picture's bytes in the network's
    channel order, each `(byte * scale - mean) / std`. In the form "bytes": RGB, uint8 [N, h, w, 3]."""
    outputs: Mapping[str, Tensor]
    """By name, in the shapes of the engine's `outputs`. Contiguous, but for a network whose own outputs are NHWC or
    which has a plane for the background too: these are views with strides of their own."""

    @abstractmethod
    def enqueue(self, stream: torch.cuda.Stream | None) -> None:
        """Start one inference on `stream`: what is in `input` then is in `outputs` once the stream has come to here.

        Allocates nothing on the device (torch has scratch from its allocator's cache, or from the pool of the graph
        that is being recorded), reads nothing back, does not wait, and may be recorded in a CUDA graph.

        Args:
            stream: the CUDA stream; None on the CPU, where this returns when the inference is done.

        Sync: none.

        Raises:
            InferenceError: the runtime refused to start it. A failure on the device itself shows at the next wait.
        """

    def is_recordable(self, stream: torch.cuda.Stream | None) -> bool:
        """Return whether `enqueue` may be recorded in a CUDA graph on this stream, as it normally may."""
        del stream
        return True
