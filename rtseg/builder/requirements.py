"""What building needs beyond running: imported when asked for, with the command that brings it where it is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from rtseg.errors import BackendUnavailable

_QUANTIZATION: Final = ("onnx", "onnxruntime", "nncf")
_NO_REPORTS: Final = "NNCF_CI"
"""While this is set, importing NNCF starts no reporting of its use to a web service."""


def nncf_module() -> Any:
    """Return the nncf module, imported so that it reports nothing to anybody.

    Raises:
        BackendUnavailable: it, or what it reads ONNX files with, is not installed.
    """
    with _silent_import():
        for name in _QUANTIZATION:
            try:
                module = import_module(name)
            except ImportError as error:
                raise BackendUnavailable(
                    f"quantization: got {error}; expected {', '.join(_QUANTIZATION)}. "
                    "Run: pip install 'rtseg[train]' onnxruntime."
                ) from error
    return module


@contextmanager
def _silent_import() -> Iterator[None]:
    before = os.environ.get(_NO_REPORTS)
    os.environ[_NO_REPORTS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NO_REPORTS]
        else:
            os.environ[_NO_REPORTS] = before
