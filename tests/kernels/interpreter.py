"""Where the tests of kernels run: on a GPU, or in Triton's interpreter on the CPU."""

from __future__ import annotations

import importlib
import os
import pkgutil

import pytest


def kernel_device() -> str:
    """Return "cuda", or "cpu" with the kernels defined for the interpreter; skips where neither can be.

    The choice is made where a module with kernels is first imported; the environment is touched for that only.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        return "cuda"
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        import rtseg.kernels

        names = [module.name for module in pkgutil.walk_packages(rtseg.kernels.__path__, "rtseg.kernels.")]
        modules = {name: importlib.import_module(name) for name in names}
    finally:
        if before is None:
            del os.environ["TRITON_INTERPRET"]
        else:
            os.environ["TRITON_INTERPRET"] = before
    if not modules["rtseg.kernels.launch"].INTERPRETED:
        pytest.skip("the kernels were imported for a GPU already", allow_module_level=True)
    return "cpu"
