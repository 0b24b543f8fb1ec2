"""What is scored, and what of it belongs into every report."""

from __future__ import annotations

from typing import Any, Protocol

from rtseg.segmenter import Segmenter
from rtseg.stats import machine_facts
from rtseg.types import Segmentation, UInt8Array


class Model(Protocol):
    """What can be scored on pictures: a segmenter, an ensemble."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""

    def __call__(self, rgb: UInt8Array, /) -> Segmentation:
        """Return the segmentation of one picture, rgb uint8 [H, W, 3]."""


def model_facts(segmenter: Segmenter) -> dict[str, Any]:
    """Return name, digest, input size, backend, precision and machine, as plain values."""
    bundle, info = segmenter.bundle, segmenter.info
    width, height = segmenter.size_wh
    return {
        "model": bundle.name,
        "model_version": bundle.version,
        "model_sha256": bundle.sha256_for(info.precision),
        "network_size": f"{width}x{height}",
        "backend": f"{info.name} {info.version}",
        "device": info.device,
        "precision": info.precision,
        "reasons": [*segmenter.backend_reasons, *info.reasons],
        "machine": machine_facts(),
    }
