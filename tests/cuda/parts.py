"""An engine without weights on whatever device there is, and a segmenter round it, for the tests of the device path."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from rtseg.backends.base import BackendInfo
from rtseg.backends.device import DeviceContext, DeviceEngine, DeviceOutput
from rtseg.backends.device_backend import DeviceBackend
from rtseg.backends.device_runtime import CpuRuntime, CudaRuntime
from rtseg.errors import InferenceError
from rtseg.network import NetworkSpec
from rtseg.types import Frame, Yuv420

CLASSES = ("red", "green", "blue")
PALETTE = ((220, 20, 60), (20, 220, 60), (20, 60, 220))
NETWORK_WH = (32, 16)


def runtime_of(kind: str):
    return CudaRuntime() if kind == "cuda" else CpuRuntime()


class TinyEngine(DeviceEngine):
    """The logits of three classes are the three channels: every pixel's class is its strongest colour.

    With `is_matte` the matte is how red a pixel is.
    """

    form = "planes"

    def __init__(self, kind: str, *, refuse_contexts=None, fail_at=None, batch=1, is_matte=False):
        self.is_matte = is_matte
        matte = {"output_kind": "alpha", "scale": 1 / 255} if is_matte else {"scale": 1.0}
        self.network = NetworkSpec(Path("tiny.onnx"), NETWORK_WH, 2 if is_matte else 3, **matte)
        width, height = NETWORK_WH
        self.input_shape_nchw = (batch, 3, height, width)
        self.input_dtype = torch.float32
        shape = (batch, height, width) if is_matte else (batch, 3, height, width)
        self.outputs = {"mask": DeviceOutput(shape, torch.float32, "alpha" if is_matte else "logits")}
        self.device = torch.device(kind)
        self.info = BackendInfo("tiny", "1", kind, "fp32", 1)
        self.refuse_contexts = refuse_contexts
        self.fail_at = fail_at
        self.runs = 0

    def new_context(self):
        if self.refuse_contexts is not None:
            raise self.refuse_contexts
        return TinyContext(self)

    def close(self):
        pass


class TinyContext(DeviceContext):
    def __init__(self, engine):
        self._engine = engine
        self.input = torch.zeros(engine.input_shape_nchw, device=engine.device)
        self.outputs = {"mask": torch.zeros(engine.outputs["mask"].shape, device=engine.device)}

    def enqueue(self, stream):
        self._engine.runs += 1
        if self._engine.runs in (self._engine.fail_at or ()):
            raise InferenceError("tiny: got a planted failure; expected none")
        self.outputs["mask"].copy_(self.input[:, 0] if self._engine.is_matte else self.input)


class TinyBackend(DeviceBackend):
    name = "tiny"

    def __init__(self, engine):
        super().__init__()
        self._opened = engine, runtime_of(engine.device.type)

    def _choose_runtime(self, request):
        return self._opened[1]

    def _open(self, request, runtime):
        return self._opened[0]


class TinySegmenter:
    """What the device path asks of a segmenter."""

    def __init__(self, kind="cpu", **faults):
        self.engine = TinyEngine(kind, **faults)
        self.backend = TinyBackend(self.engine)
        self.info = self.engine.info
        self.classes, self.palette = CLASSES, PALETTE
        self.backend_reasons = ("tiny, as given.",)
        self.bundle = SimpleNamespace(name="tiny", task="semantic")
        if self.engine.is_matte:
            self.classes, self.palette = ("background", "person"), PALETTE[:2]
            self.bundle.task = "matte"
        self.smooths_masks, self.refines_edges = False, False


def rgb_frame(index: int, size_wh=(48, 32)) -> Frame:
    width, height = size_wh
    blocks = np.random.default_rng(index).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    picture = blocks.repeat(8, 0).repeat(8, 1)
    picture.flags.writeable = False
    return Frame(picture, index, index, Fraction(1, 30), 0, "tiny")


def yuv_frame(index: int, size_wh=(48, 32)) -> Frame:
    width, height = size_wh
    rng = np.random.default_rng(index)
    y = rng.integers(16, 236, (height, width), np.uint8)
    u, v = (rng.integers(16, 241, (height // 2, width // 2), np.uint8) for _ in range(2))
    return Frame(Yuv420(y, u, v, matrix="bt709"), index, index, Fraction(1, 30), 0, "tiny")
