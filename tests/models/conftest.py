"""Bundle folders made from the tiny committed networks."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[1] / "golden" / "models"

CARD = """
[model]
name = "tiny"
version = "1"
task = "semantic"
description = "Red, green, blue, and green again"
licence = "Apache-2.0"
intended_use = "tests"
limits = "everything"
[files]
onnx = "model.onnx"
sha256 = "SHA"
[input]
size_wh = [32, 16]
layout = "NCHW"
channel_order = "RGB"
scale = 0.00392156862745098
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[output]
kind = "logits"
layout = "NCHW"
[classes]
names = ["red", "green", "blue", "green again"]
palette = ["#ff0000", "#00ff00", "#0000FF", "#008000"]
[defaults]
effect = "tint"
[training]
data = ["none"]
anything = { goes = true }
[scores]
camvid_miou = 12.5
"""


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def bundle_folder(tmp_path):
    """A whole bundle in a folder; `card(old, new)` changes its card."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    shutil.copy(MODELS / "logits_nchw.onnx", folder / "model.onnx")
    (folder / "model.toml").write_text(CARD.replace("SHA", sha256_of(folder / "model.onnx")))
    return folder


@pytest.fixture
def change_card(bundle_folder):
    def change(old: str, new: str) -> None:
        card = bundle_folder / "model.toml"
        text = card.read_text()
        assert old in text
        card.write_text(text.replace(old, new, 1))

    return change


@pytest.fixture
def tiny_onnx(tmp_path):
    """A copy of one of the committed networks, away from any card."""

    def copy(name: str) -> Path:
        return Path(shutil.copy(MODELS / f"{name}.onnx", tmp_path / f"{name}.onnx"))

    return copy
