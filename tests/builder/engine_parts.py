"""Networks that say exactly what the fake backend says, frames for them, and backends that go wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtseg.backends.base import EngineRequest
from rtseg.backends.fake import FakeBackend
from rtseg.builder.parity_frames import ParityFrames
from rtseg.network import NetworkSpec

SIZE_WH = (48, 32)
BANDS = 4


def constant(values, name: str) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def save(path: Path, nodes, output, constants) -> Path:
    width, height = SIZE_WH
    source = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])
    graph = helper.make_graph(nodes, "exact", [source], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


def bands(path: Path) -> NetworkSpec:
    """Labels are bands of brightness, as those of FakeBackend: floor(floor(sum / 3) * BANDS / 256)."""
    width, height = SIZE_WH
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], "mean", axes=[1], keepdims=1),
        helper.make_node("Add", ["mean", "little"], ["above"], "above"),
        helper.make_node("Floor", ["above"], ["brightness"], "brightness"),
        helper.make_node("Mul", ["brightness", "share"], ["scaled"], "scaled"),
        helper.make_node("Floor", ["scaled"], ["band"], "band"),
        helper.make_node("Sub", ["band", "indices"], ["away"], "away"),
        helper.make_node("Abs", ["away"], ["distance"], "distance"),
        helper.make_node("Neg", ["distance"], ["logits"], "nearest"),
    ]
    constants = [
        constant(0.01, "little"),  # a mean of whole thirds is never just below a whole number then
        constant(BANDS / 256, "share"),
        constant(np.arange(BANDS).reshape(1, BANDS, 1, 1), "indices"),
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, BANDS, height, width])
    return NetworkSpec(save(path, nodes, output, constants), SIZE_WH, BANDS, scale=1.0)


def red(path: Path) -> NetworkSpec:
    """The matte is the red channel, as that of FakeBackend."""
    width, height = SIZE_WH
    nodes = [
        helper.make_node("Split", ["image", "parts"], ["red", "green", "blue"], "split", axis=1),
        helper.make_node("Mul", ["red", "all"], ["alpha"], "same"),
    ]
    parts = numpy_helper.from_array(np.array([1, 1, 1], np.int64), "parts")
    output = helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, height, width])
    path = save(path, nodes, output, [parts, constant(1.0, "all")])
    return NetworkSpec(path, SIZE_WH, 2, scale=1 / 255, output_kind="alpha")


def frames(count: int = 32, *, same: bool = False) -> ParityFrames:
    """Blobs of brightness, another picture each; with `same` one picture again and again."""
    pictures = []
    for index in range(count):
        rng = np.random.default_rng(0 if same else index)
        width, height = SIZE_WH
        coarse = rng.integers(0, 256, (height // 8, width // 8, 1))
        picture = coarse.repeat(8, 0).repeat(8, 1).repeat(3, 2)
        pictures.append(np.clip(picture + rng.integers(0, 8, picture.shape), 0, 255).astype(np.uint8))
    classes = tuple(f"band {index}" for index in range(BANDS))
    return ParityFrames("blobs", tuple(pictures), None, classes, np.arange(256, dtype=np.uint8), {})


def loaded(network: NetworkSpec, fault: str = "none", **options) -> FakeBackend:
    """A fake backend with this network loaded."""
    kind = options.pop("kind", FakeBackend)
    backend = kind(fault=fault, **options)
    backend.load(EngineRequest(network))
    return backend


class StaleOnce(FakeBackend):
    """Gives one frame the mask of the one before it."""

    at = 17

    def _faulty(self, output):
        before, self._before = getattr(self, "_before", output), output
        return before if self.submitted - 1 == self.at else output


class SwapsTwo(FakeBackend):
    """Takes two classes for each other."""

    def _faulty(self, output):
        table = np.array([0, 2, 1, 3], np.uint8)
        return type(output)(labels=table[output.labels])


class TornOnce(FakeBackend):
    """Gives one frame with its lower half empty, as if it had been read too early."""

    def _faulty(self, output):
        mask = output.labels if output.alpha is None else output.alpha
        if self.submitted - 1 == 9:
            mask[mask.shape[0] // 2 :] = 0
        return output


class Noisy(FakeBackend):
    """Gets a share of the labels wrong, evenly."""

    share = 0.01

    def _faulty(self, output):
        rng = np.random.default_rng(self.submitted)
        wrong = rng.random(output.labels.shape) < self.share
        return type(output)(labels=np.where(wrong, (output.labels + 1) % BANDS, output.labels).astype(np.uint8))
