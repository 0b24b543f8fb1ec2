"""A small network with a residual block, written without any trainer, its bundle, and pictures for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.builder.cards import BYTE_SCALE, IMAGENET_MEAN, IMAGENET_STD, CardFacts, card_tables, write_card
from rtseg.builder.onnx_graph import store_half
from rtseg.network import NetworkSpec

SIZE_WH = (32, 24)
CLASSES = ("red", "green", "blue", "dark")
CHANNELS = 12


def network(path: Path, *, outlier: float = 1.0, opset: int = 17, half: bool = True) -> Path:
    """Write a network that tells which colour is the strongest around a pixel.

    Args:
        path: where to.
        outlier: one channel of the middle layer is that many times larger than the others, and divided by it again
            behind the layer: in floating point nothing changes, per-tensor quantization loses the other channels.
        opset: of the file.
        half: store the weights as the shipped files do.
    """
    rng = np.random.default_rng(4)
    scale = np.ones(CHANNELS, np.float32)
    scale[-1] = outlier
    first = rng.normal(0, 0.05, (CHANNELS, 3, 3, 3)).astype(np.float32)
    for channel in range(CHANNELS - 1):
        first[channel, channel % 3, 1, 1] += 1
    middle = rng.normal(0, 0.03, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
    last = rng.normal(0, 0.02, (4, CHANNELS, 1, 1)).astype(np.float32)
    for channel in range(CHANNELS - 1):
        last[channel % 3, channel] += 1
    weights = {
        "first.weight": first * scale[:, None, None, None],
        "first.bias": np.zeros(CHANNELS, np.float32),
        "middle.weight": middle / scale[None, :, None, None],
        "middle.bias": np.zeros(CHANNELS, np.float32),
        "back.weight": np.eye(CHANNELS, dtype=np.float32)[..., None, None] / scale[None, :, None, None],
        "last.weight": last,
        "last.bias": np.array([0, 0, 0, 1], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first.weight", "first.bias"], ["a"], "first", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "first.relu"),
        helper.make_node("Conv", ["b", "middle.weight", "middle.bias"], ["c"], "middle", pads=[1] * 4),
        helper.make_node("Conv", ["b", "back.weight"], ["back"], "back"),
        helper.make_node("Add", ["c", "back"], ["d"], "add"),
        helper.make_node("Relu", ["d"], ["e"], "second.relu"),
        helper.make_node("Conv", ["e", "last.weight", "last.bias"], ["logits"], "last"),
    ]
    width, height = SIZE_WH
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4, height, width])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if half:
        store_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


def spec(path: Path) -> NetworkSpec:
    """The facts of that network."""
    return NetworkSpec(path, SIZE_WH, 4, scale=BYTE_SCALE, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def bundle_folder(folder: Path, **network_options: object) -> Path:
    """Make a bundle of that network."""
    folder.mkdir()
    path = network(folder / "model.onnx", **network_options)
    facts = CardFacts(
        name="colours",
        task="semantic",
        licence="Apache-2.0",
        size_wh=SIZE_WH,
        output_kind="logits",
        classes=CLASSES,
        palette=((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)),
        effect="tint",
        training={"data": ["none"]},
        scores={"camvid_miou": 12.5},
    )
    write_card(folder, card_tables(facts, hashlib.sha256(path.read_bytes()).hexdigest()))
    return folder


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Patches of colour with noise, rgb uint8 [h, w, 3]."""
    rng = np.random.default_rng(seed)
    width, height = SIZE_WH
    found = []
    for _ in range(count):
        patches = rng.integers(0, 256, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1)
        found.append(np.clip(patches + rng.normal(0, 12, patches.shape), 0, 255).astype(np.uint8))
    return found


def truth_of(picture: np.ndarray) -> np.ndarray:
    """What the network should say: the strongest colour, uint8 [h, w]."""
    return picture.argmax(2).astype(np.uint8)


def picture_folder(folder: Path, count: int, seed: int = 0, *, labels: bool = False) -> Path:
    """Write pictures as files: plain, or images/ with labels/."""
    import cv2

    places = [folder / "images", folder / "labels"] if labels else [folder]
    for place in places:
        place.mkdir(parents=True)
    for index, picture in enumerate(pictures(count, seed)):
        cv2.imwrite(str(places[0] / f"p{index}.png"), picture[..., ::-1])
        if labels:
            cv2.imwrite(str(places[1] / f"p{index}.png"), truth_of(picture))
    return folder
