"""How much faster a built file is than the float one, both timed in one run, taking turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from rtseg.backends.base import Backend, EngineRequest, Precision
from rtseg.backends.registry import create_backend
from rtseg.builder.parity import BACKEND
from rtseg.network import NetworkSpec
from rtseg.types import UInt8Array

ROUNDS: Final = 40
WARM_UP: Final = 3
MOST_SECONDS: Final = 20.0
"""A slow network is timed on fewer rounds, five at least."""
_FEWEST_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """Times of one picture through both networks: bytes in, mask out, one picture at a time, every core."""

    float_ms: float
    """Median of the float file at the machine's own default precision."""
    built_ms: float
    """Median of the built file."""
    float_precision: str
    """Arithmetic of the float file."""
    rounds: int
    device: str

    @property
    def ratio(self) -> float:
        """How many times faster the built file is."""
        return self.float_ms / self.built_ms

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "speed_up": round(self.ratio, 3),
            f"median_ms_{self.float_precision}": round(self.float_ms, 3),
            "median_ms": round(self.built_ms, 3),
            "against": self.float_precision,
            "rounds": self.rounds,
            "how": "one picture at a time through each in turn, in one run; medians",
            "device": self.device,
        }


def measure_speed(
    network: NetworkSpec, built_path: Path, precision: Precision, pictures: Sequence[UInt8Array], rounds: int = ROUNDS
) -> SpeedUp:
    """Time both files on the same pictures, one after the other in turn, so that a busy machine slows both.

    Args:
        network: the float network, run at precision auto.
        built_path: the built file of the same network.
        precision: of the built file.
        pictures: rgb uint8 [h, w, 3] at the network's size.
        rounds: at most so many.
    """
    with ExitStack() as stack:
        plain = stack.enter_context(_loaded(network, "auto"))
        built = stack.enter_context(_loaded(replace(network, onnx_path=built_path), precision))
        times: dict[Backend, list[float]] = {plain: [], built: []}
        started = time.perf_counter()
        for index in range(WARM_UP + rounds):
            for backend in times:
                milliseconds = _timed_ms(backend, pictures[index % len(pictures)])
                if index >= WARM_UP:
                    times[backend].append(milliseconds)
            if len(times[built]) >= _FEWEST_ROUNDS and time.perf_counter() - started > MOST_SECONDS:
                break
        info = plain.info
        return SpeedUp(median(times[plain]), median(times[built]), info.precision, len(times[built]), info.device)


def _loaded(network: NetworkSpec, precision: Precision) -> Backend:
    backend, _ = create_backend(BACKEND)
    backend.load(EngineRequest(network, precision, "latency"))
    return backend


def _timed_ms(backend: Backend, picture: UInt8Array) -> float:
    started_ns = time.perf_counter_ns()
    backend.infer(picture)
    return (time.perf_counter_ns() - started_ns) / 1e6
