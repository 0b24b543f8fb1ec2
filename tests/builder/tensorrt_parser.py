"""TensorRT's parser, whichever flavour is installed: needs no GPU."""

from __future__ import annotations

from typing import Any

from rtseg.tensorrt_flavour import load_flavour
from rtseg.tensorrt_log import log_of


def parser_warnings(model: Any) -> tuple[bool, list[str]]:
    """Return whether the parser took the model as a strongly typed network, and its warnings and errors.

    The log is the process's one: TensorRT complains about every other, to whoever listens next.
    """
    flavour = load_flavour()
    trt, log = flavour.module, log_of(flavour)
    builder = trt.Builder(log.logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    with log.recording() as said:
        parsed = trt.OnnxParser(network, log.logger).parse(model.SerializeToString())
    return bool(parsed), list(said)
