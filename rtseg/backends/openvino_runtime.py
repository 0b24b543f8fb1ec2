"""OpenVINO itself: its module without its telemetry, its words in one line, its failures as rtseg's own.

The package has no type stubs, so it is held as `Any` in this backend's files and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, Final

from rtseg.errors import BackendUnavailable, EngineError, InferenceError

DEVICE: Final = "CPU"
"""The only plug-in of OpenVINO that is used."""


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Keep the import of OpenVINO from reporting it to a web service, and from starting a thread to do so.

    OpenVINO's own stub stands in wherever the telemetry package cannot be imported; nothing is installed or removed.
    """
    if "openvino" in sys.modules:
        yield
        return
    name = "openvino_telemetry"
    modules: dict[str, Any] = sys.modules
    before = modules.get(name)
    modules[name] = None
    try:
        yield
    finally:
        if before is None:
            del modules[name]
        else:
            modules[name] = before


def openvino_module() -> Any:
    """Return the openvino module. Raises BackendUnavailable where it cannot be imported."""
    try:
        with _without_telemetry():
            return import_module("openvino")
    except ImportError as error:
        raise BackendUnavailable(
            f"backend openvino: got {error}; expected the openvino package. Run: pip install 'openvino>=2026.0'."
        ) from error


def first_line(error: Exception) -> str:
    """Return the telling line of an OpenVINO message: the last that is not about its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or [type(error).__name__])[-1].removeprefix("-- ")[:300]


@contextmanager
def inference_errors() -> Iterator[None]:
    """Turn OpenVINO's failures on a picture into InferenceError."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise InferenceError(f"openvino: got a failure on a picture: {first_line(error)}") from error


@contextmanager
def engine_errors(file_name: str, doing: str) -> Iterator[None]:
    """Turn OpenVINO's failures with a network into EngineError."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise EngineError(
            f"model file {file_name}: got a failure of OpenVINO to {doing} it ({first_line(error)}); expected a "
            "network that OpenVINO runs. Export it again, with an older ONNX opset where an operation is unknown."
        ) from error


def openvino_build() -> str:
    """Return OpenVINO's version with its build."""
    return str(openvino_module().__version__)


def openvino_version() -> str:
    """Return OpenVINO's version, without its build."""
    return openvino_build().split("-")[0]


def openvino_core() -> Any:
    """Return OpenVINO's core, made once a process: every new one asks the CPU for its properties again.

    Raises:
        BackendUnavailable: OpenVINO cannot be imported.
    """
    return _core(openvino_module())


@cache
def _core(ov: Any) -> Any:
    return ov.Core()


def capabilities_of(core: Any) -> frozenset[str]:
    """Return the arithmetic that the CPU does natively, in OpenVINO's words."""
    return frozenset(str(name) for name in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"))


def device_name(core: Any) -> str:
    """Return the CPU's name."""
    return str(core.get_property(DEVICE, "FULL_DEVICE_NAME"))
