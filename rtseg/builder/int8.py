"""A bundle's network in 8 bits: quantized, judged, and mended layer by layer until it loses no more than allowed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import onnx

from rtseg.builder.calibration import Calibration, some
from rtseg.builder.layers import quantized_layers, with_quantized
from rtseg.builder.onnx_graph import store_half
from rtseg.builder.parity import Parity, ParityGate
from rtseg.builder.parity_frames import ParityFrames
from rtseg.builder.quantize import float_model, quantize
from rtseg.builder.sensitivity import PICTURES, OutputError, Sensitivity, rank
from rtseg.builder.speed import ROUNDS, SpeedUp, measure_speed
from rtseg.models.bundle import Bundle
from rtseg.stats import machine_facts, package_version

MOST_IN_FLOAT: Final = 0.5
"""Share of the layers; a network with fewer than half of them quantized is not worth its loss."""

OnStep = Callable[[str], None]
"""Told each time a picture or a layer is done, with what is being done."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8Build:
    """The quantized network with its report."""

    model: onnx.ModelProto
    parity: Parity
    layers: int
    """How many layers could be quantized."""
    left_in_float: tuple[Sensitivity, ...]
    """Those that are not, the most sensitive first."""
    calibration: Calibration
    speed: SpeedUp | None
    """None for a network that was refused."""
    float_bytes: int
    """Size of the bundle's float file."""
    fp32_bytes: int
    """Size of the same network with plain fp32 weights."""

    @property
    def int8_bytes(self) -> int:
        """Size of the quantized file."""
        return int(self.model.ByteSize())

    def report(self) -> dict[str, Any]:
        """Return the parity report as plain values."""
        return {
            **self.parity.to_json(),
            "layers": self.layers,
            "left_in_higher_precision": {one.layer: round(one.error, 6) for one in self.left_in_float},
            "calibration": {"source": self.calibration.source, "frames": len(self.calibration.pictures)},
            "bytes": {"fp32": self.fp32_bytes, "float_file": self.float_bytes, "int8_file": self.int8_bytes},
            "speed": None if self.speed is None else self.speed.to_json(),
            "nncf": package_version("nncf"),
            "machine": machine_facts(),
        }


def build_int8(
    bundle: Bundle,
    calibration: Calibration,
    frames: ParityFrames,
    *,
    rounds: int = ROUNDS,
    on_step: OnStep | None = None,
) -> Int8Build:
    """Return the bundle's network quantized, with as few layers in higher precision as pass the parity gate.

    Deterministic but for the times in the report: the same bundle and pictures give the same bytes.

    Args:
        bundle: the float network.
        calibration: pictures that the ranges are taken from.
        frames: what the result is judged on.
        rounds: of the timing, at most.
        on_step: for a progress bar.

    Returns:
        The build; `parity.accepted` says whether it may be used.

    Raises:
        BackendUnavailable: NNCF, onnx or onnxruntime is not installed.
        EngineError: the network cannot be quantized or run.
    """
    step = on_step or _say_nothing
    network = bundle.network
    original = float_model(network.onnx_path)
    quantized = quantize(original, calibration.pictures, network, on_picture=lambda: step("calibrating"))
    gate = ParityGate(network, frames, on_frame=lambda: step("comparing"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "trial.int8.onnx"
        layers = quantized_layers(quantized)

        def judge(left: Sequence[str]) -> Parity:
            onnx.save(_stored(quantized, original, [one for one in layers if one not in left]), str(path))
            return gate.measure(path, "int8")

        error = OutputError(quantized, original, network, some(calibration.pictures, PICTURES), folder)
        ranking = rank(layers, _counted(error, step))
        left, parity = fewest_in_float(ranking, judge, most=int(len(layers) * MOST_IN_FLOAT))
        names = {one.layer for one in left}
        model = _stored(quantized, original, [one for one in layers if one not in names])
        onnx.save(model, str(path))
        timed = measure_speed(network, path, "int8", frames.pictures, rounds) if parity.accepted else None
    return Int8Build(
        model=model,
        parity=parity,
        layers=len(layers),
        left_in_float=left,
        calibration=calibration,
        speed=timed,
        float_bytes=network.onnx_path.stat().st_size,
        fp32_bytes=int(original.ByteSize()),
    )


def fewest_in_float(
    ranking: Iterator[Sensitivity], judge: Callable[[Sequence[str]], Parity], *, most: int
) -> tuple[tuple[Sensitivity, ...], Parity]:
    """Return the layers to leave in higher precision, and how the network compares then.

    None, 1, 2, 4 … of the most sensitive layers are left out until the network passes; then the number is halved
    between the last that failed and the first that passed. Where `most` is not enough, the last try is returned.

    Args:
        ranking: layers in falling sensitivity; only as many are asked for as are needed.
        judge: compares the network with these layers left in higher precision.
        most: how many layers may be left.
    """
    known: list[Sensitivity] = []
    failed, parity = 0, judge(())
    if parity.accepted:
        return (), parity
    count = 1
    while True:
        count = min(count, most)
        known += islice(ranking, count - len(known))
        count = min(count, len(known))
        parity = judge([one.layer for one in known[:count]])
        if parity.accepted or count <= failed or count == most:
            break
        failed, count = count, 2 * count
    while parity.accepted and count - failed > 1:
        middle = (failed + count) // 2
        trial = judge([one.layer for one in known[:middle]])
        if trial.accepted:
            count, parity = middle, trial
        else:
            failed = middle
    return tuple(known[:count]), parity


def _stored(quantized: onnx.ModelProto, original: onnx.ModelProto, layers: Sequence[str]) -> onnx.ModelProto:
    """Return the network with these layers quantized, as it is written to disk."""
    model = with_quantized(quantized, original, layers)
    store_half(model)
    return model


def _counted(error: OutputError, step: OnStep) -> Callable[[Sequence[str]], float]:
    def measured(layers: Sequence[str]) -> float:
        step("ranking layers")
        return error(layers)

    return measured


def _say_nothing(_doing: str) -> None:
    """Show no progress."""
