"""TensorRT's parser, whichever flavour is installed: needs no GPU."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any


@cache
def _logger_and_builder() -> tuple[Any, Any, Any]:
    """TensorRT keeps the first logger of a process for good."""
    trt = import_module("tensorrt" if find_spec("tensorrt") else "tensorrt_rtx")

    class Recorder(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING:
                self.said.append(message)

    logger = Recorder()
    return trt, logger, trt.Builder(logger)


def parser_warnings(model: Any) -> tuple[bool, list[str]]:
    """Return whether the parser took the model as a strongly typed network, and its warnings and errors."""
    trt, logger, builder = _logger_and_builder()
    logger.said.clear()
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(model.SerializeToString())
    return bool(parsed), list(logger.said)
