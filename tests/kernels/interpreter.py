"""Where the tests of kernels run: on a GPU, or in Triton's interpreter on the CPU."""

from __future__ import annotations

import os

import pytest


def kernel_device() -> str:
    """Return "cuda", or "cpu" with the kernels defined for the interpreter; skips where neither can be.

    The choice is made when `rtseg.kernels` is first imported, and only then is the environment touched.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        return "cuda"
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        from rtseg.kernels import launch
    finally:
        if before is None:
            del os.environ["TRITON_INTERPRET"]
        else:
            os.environ["TRITON_INTERPRET"] = before
    if not launch.INTERPRETED:
        pytest.skip("the kernels were imported for a GPU already", allow_module_level=True)
    torch.set_num_threads(1)
    return "cpu"
