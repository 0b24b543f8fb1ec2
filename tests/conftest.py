"""Hardware and footage policy: what is absent is skipped, unless RTSEG_REQUIRE names it (then it is red)."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """The folder of real footage: RTSEG_SHARED, or `shared` beside the repository; None where there is none."""
    named = os.environ.get("RTSEG_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    return folder if (folder / "media").is_dir() else None


def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


PRESENT = {
    "shared": lambda: shared_folder() is not None,
    "torch": lambda: all(importlib.util.find_spec(name) for name in ("torch", "onnx", "onnxruntime")),
    "cuda": _has_cuda,
    "tensorrt": lambda: any(importlib.util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx")),
    "camera": lambda: Path("/dev/video0").exists(),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = set(filter(None, os.environ.get("RTSEG_REQUIRE", "").split(",")))
    for name, present in PRESENT.items():
        if item.get_closest_marker(f"needs_{name}") and not present():
            if name in required:
                pytest.fail(f"RTSEG_REQUIRE asks for {name}, which is absent", pytrace=False)
            pytest.skip(f"{name} is absent")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real footage; the test must be marked needs_shared."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("the footage beside the project is absent")
    return folder
