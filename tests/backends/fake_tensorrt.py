"""A module with TensorRT's API whose engines really work on the memory they are given; each plan is a line of JSON.

An execution is queued on the stream of its handle, so with the late runtime it happens when that stream is run.
"""

from __future__ import annotations

import ctypes
import json
from enum import IntEnum
from types import SimpleNamespace

import numpy as np

from tests.backends.late import LateRuntime


class DataType(IntEnum):
    FLOAT = 0
    HALF = 1
    UINT8 = 5


class EngineValidity(IntEnum):
    VALID = 0
    SUBOPTIMAL = 1
    INVALID = 2


class EngineInvalidityDiagnostics(IntEnum):
    VERSION_MISMATCH = 1
    UNSUPPORTED_CC = 2
    OLD_CUDA_DRIVER = 4
    INSUFFICIENT_GPU_MEMORY = 16


class ILogger:
    class Severity(IntEnum):
        ERROR = 1
        WARNING = 2


DTYPES = {"float32": DataType.FLOAT, "float16": DataType.HALF, "uint8": DataType.UINT8}


def memory_at(address: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * count).from_address(address), dtype).reshape(shape)


def compute(form: str, source: np.ndarray) -> np.ndarray:
    """What the committed networks compute: red, green, blue, green again, or labels or a matte of it."""
    planes = source.transpose(0, 3, 1, 2).astype(np.float32) if form.endswith("bytes") else source
    logits = planes[:, [0, 1, 2, 1]]
    if form == "matte bytes":
        return planes[:, 0].astype(np.uint8)
    if form == "matte":
        return planes[:, :2]
    return logits if form == "planes" else logits.argmax(1).astype(np.uint8)


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.addresses = engine, {}

    def set_tensor_address(self, name, address) -> bool:
        self.addresses[name] = address
        return name in self.engine.tensors

    def is_stream_capturable(self, handle) -> bool:
        return self.engine.trt.capturable

    def execute_async_v3(self, handle) -> bool:
        trt, tensors = self.engine.trt, self.engine.tensors
        assert set(self.addresses) == set(tensors)
        if trt.refuse_to_run:
            trt.say("execution refused")
            return False
        stream = next(stream for stream in trt.runtime.streams if stream.cuda_stream == handle)
        trt.runtime.launch(stream, self.run)
        trt.executions += 1
        return True

    def run(self) -> None:
        (source, result) = (
            memory_at(self.addresses[name], facts["shape"], facts["dtype"])
            for name, facts in self.engine.tensors.items()
        )
        result[...] = compute(self.engine.plan["form"], source)


class Kernels:
    """The compiled kernels of one flavour."""

    def __init__(self) -> None:
        self.blob = b""

    def deserialize(self, blob) -> bool:
        self.blob = bytes(blob)
        return True

    def serialize(self) -> bytes:
        return self.blob


class Config:
    def __init__(self, engine) -> None:
        self.engine = engine

    def create_runtime_cache(self) -> Kernels:
        return Kernels()

    def set_runtime_cache(self, kernels) -> None:
        self.engine.kernels = kernels


class Engine:
    def __init__(self, trt, plan) -> None:
        self.trt, self.plan, self.kernels = trt, plan, None
        self.tensors = {facts["name"]: facts for facts in plan["tensors"]}
        self.num_io_tensors = len(self.tensors)
        self.device_memory_size_v2 = plan.get("scratch", 1024)
        if trt.name == "tensorrt":
            self.create_runtime_config = None
            del self.create_runtime_config

    def get_tensor_name(self, index):
        return list(self.tensors)[index]

    def get_tensor_dtype(self, name):
        return DTYPES[self.tensors[name]["dtype"]]

    def get_tensor_shape(self, name):
        return self.tensors[name]["shape"]

    def create_execution_context(self, config=None):
        if self.trt.no_context:
            self.trt.say(self.trt.no_context)
            return None
        if config is not None and not self.kernels.blob:
            self.trt.compiled += 1
            self.kernels.blob = b"kernels"
        self.trt.runtime.take(self.device_memory_size_v2)
        return Context(self)


class CompilingEngine(Engine):
    def create_runtime_config(self) -> Config:
        return Config(self)


class Runtime:
    def __init__(self, trt, logger) -> None:
        self.trt = trt
        trt.logger = logger

    def deserialize_cuda_engine(self, plan):
        try:
            facts = json.loads(plan)
        except ValueError:
            self.trt.say("Serialization assertion failed: magic tag does not match")
            return None
        return (CompilingEngine if self.trt.name == "tensorrt_rtx" else Engine)(self.trt, facts)


class TellingRuntime(Runtime):
    def get_engine_validity(self, plan):
        bad = self.trt.diagnostics
        return (EngineValidity.INVALID if bad else EngineValidity.VALID), bad


class FakeTensorRT(SimpleNamespace):
    """The module; `name` says which flavour."""

    def __init__(self, name: str, runtime: LateRuntime) -> None:
        super().__init__(name=name, runtime=runtime, capturable=True, refuse_to_run=False, no_context="", no_runtime="")
        self.executions = self.compiled = self.diagnostics = 0
        self.logger = None
        self.ILogger, self.EngineValidity = ILogger, EngineValidity
        self.EngineInvalidityDiagnostics = EngineInvalidityDiagnostics
        if name == "tensorrt_rtx":
            self.ComputeCapability = SimpleNamespace(__members__={"NONE": 0, "CURRENT": 1, "SM86": 86, "SM89": 89})

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other) -> bool:
        return self is other

    def Runtime(self, logger):
        if self.no_runtime:
            self.logger = logger
            self.say(self.no_runtime)
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return (TellingRuntime if self.name == "tensorrt_rtx" else Runtime)(self, logger)

    def say(self, words: str) -> None:
        self.logger.log(ILogger.Severity.ERROR, words)
