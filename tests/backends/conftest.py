"""Networks small enough to commit, and the facts about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtseg.network import NetworkSpec

MODELS = Path(__file__).resolve().parents[1] / "golden" / "models"
SIZE_WH = (32, 16)


@pytest.fixture
def spec():
    """Facts about one of the committed networks, with changes."""

    def make(name: str, **facts: object) -> NetworkSpec:
        known = {"size_wh": SIZE_WH, "class_count": 4, "scale": 1.0}
        return NetworkSpec(onnx_path=MODELS / f"{name}.onnx", **{**known, **facts})

    return make


@pytest.fixture
def picture():
    """Noise, rgb uint8 [16, 32, 3], with few levels, so that channels often tie."""
    return np.random.default_rng(7).integers(0, 5, (SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8) * np.uint8(60)
