"""A bundle's network with its weights stored as fp16: half the bytes, the same graph, the same arithmetic."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx

from rtseg.builder.onnx_graph import fold_casts, store_half
from rtseg.builder.parity import Parity, ParityGate
from rtseg.builder.parity_frames import ParityFrames
from rtseg.errors import ConfigError
from rtseg.models.bundle import Bundle
from rtseg.stats import machine_facts

LEAST_AGREEMENT: Final = 0.995
"""Share of labels that rounding the weights may not change."""


@dataclass(frozen=True, slots=True, eq=False)
class HalfBuild:
    """The network with half weights, and how it compares."""

    model: onnx.ModelProto
    parity: Parity
    float_bytes: int
    """Size of the bundle's file as it was."""

    @property
    def accepted(self) -> bool:
        """True where at least `LEAST_AGREEMENT` of the labels stayed."""
        return self.parity.agreement >= LEAST_AGREEMENT

    def verdict(self) -> str:
        """Return in one line what was asked and what was found."""
        word = "accepted" if self.accepted else "refused"
        return f"{word}: got an agreement of {self.parity.agreement:.2%}; expected at least {LEAST_AGREEMENT:.1%}"

    def report(self) -> dict[str, Any]:
        """Return the parity report as plain values."""
        return {
            **self.parity.to_json(),
            "accepted": self.accepted,
            "verdict": self.verdict(),
            "bytes": {"float_file": self.float_bytes, "fp16_file": int(self.model.ByteSize())},
            "machine": machine_facts(),
        }


def build_half(bundle: Bundle, frames: ParityFrames) -> HalfBuild:
    """Return the bundle's float network with its larger weights rounded to fp16, judged in fp32.

    Raises:
        ConfigError: the file stores them so already.
        EngineError: the network cannot be run.
    """
    network = bundle.network
    model = onnx.load(str(network.onnx_path))
    halved = fold_casts(model)
    if store_half(model) <= halved:
        raise ConfigError(
            f"build {bundle.name}: got a file whose weights are fp16 already; expected fp32 ones. Nothing is to be "
            "done: runtimes choose their own arithmetic with rtseg run --precision."
        )
    gate = ParityGate(network, frames)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "half.onnx"
        onnx.save(model, str(path))
        parity = gate.measure(path, "fp32")
    return HalfBuild(model, parity, network.onnx_path.stat().st_size)
