"""The parity report: a built network held against the float one in fp32, on the same frames.

Note [When a quantized network passes]
    With labels: its mean IoU is at most one point below that of the float network. Without labels, or where the float
    network itself is lost on them (mean IoU under 30 %, where a loss says nothing): at least 98 % of the labels are the
    float network's, and a matte differs by at most 0.01 on average. The quantized network is run as users run it, 8-bit
    layers with the rest in the machine's own small format; the float one in fp32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from rtseg import metrics
from rtseg.backends.base import EngineRequest, Precision
from rtseg.backends.registry import create_backend
from rtseg.builder.parity_frames import ParityFrames
from rtseg.geometry import resize_labels, resize_linear
from rtseg.network import NetworkSpec
from rtseg.types import UInt8Array

MOST_LOSS: Final = 0.01
"""Of mean IoU, 0..1: one point."""
LEAST_AGREEMENT: Final = 0.98
"""Share of labels, where IoU cannot tell."""
MOST_MAD: Final = 0.01
"""Mean absolute difference of mattes, 0..1, where IoU cannot tell."""
LEAST_TELLING_MIOU: Final = 0.3
"""Below this the float network's own score makes no measure."""

BACKEND: Final = "openvino"
"""Runs both networks."""
OnFrame = Callable[[], None]


@dataclass(frozen=True, slots=True)
class ClassParity:
    """One class of the truth; shares 0..1."""

    name: str
    iou_float: float
    iou_built: float
    pixels: int
    """True pixels."""

    @property
    def loss(self) -> float:
        """IoU lost; negative where it rose."""
        return self.iou_float - self.iou_built


@dataclass(frozen=True, slots=True)
class Parity:
    """What the comparison found; without labels the float network's labels are the truth."""

    frames: int
    data: str
    """Name of the set."""
    labelled: bool
    miou_float: float
    miou_built: float
    agreement: float
    """Share of pixels with the float network's label, 0..1."""
    alpha_mad: float | None
    """Mean absolute difference of the mattes, 0..1; None for class labels."""
    classes: tuple[ClassParity, ...]
    """Those that the truth has."""
    facts: dict[str, Any]
    """More about the data."""

    @property
    def miou_loss(self) -> float:
        """Mean IoU lost, 0..1; negative where it rose."""
        return self.miou_float - self.miou_built

    @property
    def worst_class(self) -> ClassParity | None:
        """The class that lost most."""
        return max(self.classes, key=lambda one: one.loss, default=None)

    @property
    def by_labels(self) -> bool:
        """True where the loss of mean IoU decides, False where the agreement does."""
        return self.labelled and self.miou_float >= LEAST_TELLING_MIOU

    @property
    def accepted(self) -> bool:
        """True where it passes. See Note [When a quantized network passes]."""
        if self.by_labels:
            return self.miou_loss <= MOST_LOSS
        return self.agreement >= LEAST_AGREEMENT and (self.alpha_mad is None or self.alpha_mad <= MOST_MAD)

    def verdict(self) -> str:
        """Return in one line what was asked and what was found."""
        if self.by_labels:
            bound, found = f"at most {MOST_LOSS * 100:g}", f"a mean IoU loss of {self.miou_loss * 100:.2f} points"
        else:
            bound = f"at least {LEAST_AGREEMENT:.0%} of the float network's labels"
            found = f"an agreement of {self.agreement:.2%}"
            if self.alpha_mad is not None:
                bound, found = f"{bound}, MAD up to {MOST_MAD}", f"{found}, MAD {self.alpha_mad:.4f}"
        return f"{'accepted' if self.accepted else 'refused'}: got {found} on {self.frames} frames; expected {bound}"

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        worst = self.worst_class
        return {
            "accepted": self.accepted,
            "verdict": self.verdict(),
            "data": self.data,
            "frames": self.frames,
            "labelled": self.labelled,
            "miou_fp32": _plain(self.miou_float),
            "miou": _plain(self.miou_built),
            "miou_loss": _plain(self.miou_loss),
            "label_agreement": _plain(self.agreement),
            "alpha_mad": None if self.alpha_mad is None else _plain(self.alpha_mad),
            "largest_class_loss": None if worst is None else {"class": worst.name, "iou_loss": _plain(worst.loss)},
            "classes": {
                one.name: {"iou_fp32": _plain(one.iou_float), "iou": _plain(one.iou_built), "pixels": one.pixels}
                for one in self.classes
            },
            **self.facts,
        }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


class ParityGate:
    """Holds built files against the float network, which is run once."""

    def __init__(self, network: NetworkSpec, frames: ParityFrames, *, on_frame: OnFrame | None = None) -> None:
        """Run the float network on every frame in fp32.

        Raises:
            EngineError: OpenVINO cannot run it.
        """
        self._network, self._frames = network, frames
        self._on_frame = on_frame
        self._expected = self._masks(network, "fp32")

    def measure(self, path: Path, precision: Precision) -> Parity:
        """Return how a file of the same network compares.

        Args:
            path: the file.
            precision: what it is run in.

        Raises:
            EngineError: OpenVINO cannot run it.
        """
        return self.compare(self._masks(replace(self._network, onnx_path=path), precision))

    @property
    def expected(self) -> tuple[UInt8Array, ...]:
        """What the float network gives for each frame in fp32: labels, or mattes 0..255, uint8 [h, w]."""
        return tuple(self._expected)

    def compare(self, found: Sequence[UInt8Array]) -> Parity:
        """Return how masks of the same frames compare, however they were made; uint8 [h, w] as `expected`."""
        frames = self._frames
        counts = metrics.ConfusionMatrix(len(frames.classes)), metrics.ConfusionMatrix(len(frames.classes))
        agreements, differences = [], []
        for index, (expected, built) in enumerate(zip(self._expected, found, strict=True)):
            labels = self._labels(expected), self._labels(built)
            agreements.append(float((labels[0] == labels[1]).mean()))
            truth = labels[0] if frames.truths is None else frames.truths[index]
            for count, one in zip(counts, labels, strict=True):
                count.add(truth, one)
            differences.append(float(np.abs(expected.astype(np.int16) - built.astype(np.int16)).mean() / 255))
        return self._report(counts, agreements, differences)

    def _report(
        self,
        counts: tuple[metrics.ConfusionMatrix, metrics.ConfusionMatrix],
        agreements: list[float],
        differences: list[float],
    ) -> Parity:
        frames = self._frames
        ious = [metrics.iou_by_class(count.counts) for count in counts]
        pixels = counts[0].counts.sum(1)
        return Parity(
            frames=len(frames.pictures),
            data=frames.name,
            labelled=frames.truths is not None,
            miou_float=metrics.mean_iou(counts[0].counts),
            miou_built=metrics.mean_iou(counts[1].counts),
            agreement=float(np.mean(agreements)),
            alpha_mad=float(np.mean(differences)) if self._network.is_matte else None,
            classes=tuple(
                ClassParity(name, float(ious[0][index]), float(ious[1][index]), int(pixels[index]))
                for index, name in enumerate(frames.classes)
                if pixels[index]
            ),
            facts=frames.facts,
        )

    def _masks(self, network: NetworkSpec, precision: Precision) -> list[UInt8Array]:
        """Return labels or mattes as bytes, uint8 [h, w]."""
        backend, _ = create_backend(BACKEND)
        masks: list[UInt8Array] = []
        backend.load(EngineRequest(network, precision, "latency"))
        with backend:
            for picture in self._frames.pictures:
                output = backend.infer(picture)
                mask = output.labels if output.alpha is None else output.alpha
                if mask is not None:
                    masks.append(mask)
                if self._on_frame is not None:
                    self._on_frame()
        return masks

    def _labels(self, mask: UInt8Array) -> UInt8Array:
        """Return a mask as ids of the truth's classes at the size of the pictures, uint8 [h, w]."""
        size_wh = self._network.size_wh
        if self._network.is_matte:
            mask = (resize_linear(mask, size_wh) > 127).astype(np.uint8)
        return np.asarray(self._frames.table[resize_labels(mask, size_wh)], np.uint8)
