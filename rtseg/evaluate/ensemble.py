"""Several networks, or several views of a picture, averaged into one answer: for labelling and as an upper bound.

All run in fp32 through OpenVINO. What is averaged are the probabilities of the classes, or the mattes, each resized
bilinearly to the largest network's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np

from rtseg.backends.openvino_planes import OpenVINOPlanes
from rtseg.errors import ConfigError, EngineError
from rtseg.models.bundle import Bundle
from rtseg.preprocess import check_rgb, to_network
from rtseg.segmenter import snapped
from rtseg.stats import machine_facts
from rtseg.types import FloatArray, Segmentation, UInt8Array

TTA: Final = ("flip", "scale")
"""flip: the picture and its mirror image; scale: input sizes of 3/4, 1 and 5/4 (for networks that take any size)."""
SCALES: Final = (0.75, 1.0, 1.25)
STEP_PX: Final = 32
"""Scaled input sizes are multiples of it."""


class Ensemble:
    """Averages bundles and views; is called like a segmenter.

    Threading: one thread at a time.
    """

    def __init__(self, bundles: Sequence[Bundle], *, tta: Sequence[str] = ()) -> None:
        """Compile every network at every size.

        Args:
            bundles: one or more, of the same classes and task.
            tta: which views to average over, some of `TTA`.

        Raises:
            ConfigError: the bundles do not fit together, or a view is unknown.
            EngineError: a network cannot be used, or not at another size.
        """
        if unknown := sorted(set(tta) - set(TTA)):
            raise ConfigError(f"tta: got {', '.join(unknown)}; expected some of {', '.join(TTA)}. Drop the rest.")
        if len({(bundle.classes, bundle.task) for bundle in bundles}) != 1:
            names = ", ".join(bundle.name for bundle in bundles)
            raise ConfigError(f"ensemble: got {names}; expected bundles of the same classes. Choose others.")
        self.bundles = tuple(bundles)
        """The bundles, in order."""
        self.tta = tuple(view for view in TTA if view in tta)
        """The views, in order."""
        scales = SCALES if "scale" in tta else (1.0,)
        self._planes = [_planes_of(bundle, scale) for bundle in bundles for scale in scales]
        self.size_wh = max((bundle.network.size_wh for bundle in bundles), key=lambda size: size[0] * size[1])
        """Width and height at which the average is taken."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""
        return self.bundles[0].classes

    def probabilities(self, rgb: UInt8Array) -> FloatArray:
        """Return class probabilities float32 [K, h, w], or a matte [1, h, w], at `size_wh`, of rgb uint8 [H, W, 3].

        Raises:
            ConfigError: the picture is not uint8 [H, W, 3].
            InferenceError: a network failed.
        """
        picture = check_rgb(rgb)
        found = [self._resized(view) for planes in self._planes for view in self._views(planes, picture)]
        return np.asarray(np.mean(found, axis=0), dtype=np.float32)

    def __call__(self, rgb: UInt8Array) -> Segmentation:
        """Return the segmentation of one picture rgb uint8 [H, W, 3], with the scores of class labels.

        Raises:
            ConfigError: the picture is not uint8 [H, W, 3].
            InferenceError: a network failed.
        """
        shares = self.probabilities(rgb)
        size_wh = (rgb.shape[1], rgb.shape[0])
        if self.bundles[0].task == "matte":
            alpha = snapped(np.rint(shares[0] * 255).astype(np.uint8))
            return Segmentation(self.classes, size_wh, network_alpha=alpha)
        labels = np.asarray(shares.argmax(0), dtype=np.uint8)
        return Segmentation(self.classes, size_wh, network_labels=labels, network_scores=shares.max(0))

    def facts(self) -> dict[str, Any]:
        """Return what belongs into a report, as plain values."""
        width, height = self.size_wh
        return {
            "model": "+".join(bundle.name for bundle in self.bundles),
            "model_sha256": [bundle.sha256 for bundle in self.bundles],
            "network_size": f"{width}x{height}",
            "average_of": [f"{planes.network.size_wh[0]}x{planes.network.size_wh[1]}" for planes in self._planes],
            "tta": list(self.tta),
            "backend": f"openvino {self._planes[0].version}",
            "precision": "fp32",
            "machine": machine_facts(),
        }

    def _views(self, planes: OpenVINOPlanes, picture: UInt8Array) -> list[FloatArray]:
        """Return the planes of a picture and, where asked for, those of its mirror image, turned back."""
        small = to_network(picture, planes.network.size_wh).rgb
        found = [planes(small)]
        if "flip" in self.tta:
            found.append(planes(np.ascontiguousarray(small[:, ::-1]))[:, :, ::-1])
        return found

    def _resized(self, planes: FloatArray) -> FloatArray:
        """Return planes [K, h, w] at the size of the average."""
        if (planes.shape[2], planes.shape[1]) == self.size_wh:
            return planes
        return np.stack([np.asarray(cv2.resize(plane, self.size_wh), np.float32) for plane in planes])


def _planes_of(bundle: Bundle, scale: float) -> OpenVINOPlanes:
    if scale == 1:
        return OpenVINOPlanes(bundle.network)
    size_wh = _scaled(bundle.network.size_wh, scale)
    try:
        return OpenVINOPlanes(bundle.network, size_wh=size_wh)
    except EngineError as error:
        raise EngineError(
            f"tta scale: got {bundle.name}, which does not run at {size_wh[0]}x{size_wh[1]}; expected a network that "
            "takes any size. Leave scale out."
        ) from error


def _scaled(size_wh: tuple[int, int], scale: float) -> tuple[int, int]:
    width, height = (max(STEP_PX, round(side * scale / STEP_PX) * STEP_PX) for side in size_wh)
    return width, height
