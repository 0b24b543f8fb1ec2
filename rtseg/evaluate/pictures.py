"""Score a model on labelled pictures.

Note [Scoring rule]
    `segmenter(rgb)` as it was loaded; its labels, at the size of the true ones, go through the taxonomy; pixels are
    pooled over the set, and a mean over classes is over those that the truth has. A matte is a person where alpha is
    above 0.5. Scores in the literature differ by points for the same weights because of such choices, so every report
    says its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from rtseg import metrics
from rtseg.datasets import Dataset, Sample, Taxonomy, map_labels
from rtseg.datasets.taxonomy import OTHER
from rtseg.errors import ConfigError, SourceError
from rtseg.evaluate.protocol import Model
from rtseg.geometry import resize_labels, resize_linear
from rtseg.types import FloatArray, Segmentation, UInt8Array

Size = Literal["label", "network"]
OnPicture = Callable[[int, int], None]
"""Called with the pictures done and their number."""

_RESIZE_RULES: Final[dict[str, str]] = {
    "label": "the mask goes to the size of the labels: a matte bilinearly, classes by nearest (half-pixel centres)",
    "network": "the labels go to the size of the network: mattes bilinearly or by area, classes by nearest",
}


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One line of the table; shares 0..1, NaN where the truth has none of the class."""

    name: str
    iou: float
    accuracy: float
    boundary_f: float
    pixels: int
    """True pixels."""


@dataclass(frozen=True, slots=True)
class PictureReport:
    """What a set says of a model."""

    classes: tuple[ClassScore, ...]
    """One a class of the taxonomy, in its order; merged and ignored classes are left out."""
    totals: dict[str, float]
    """miou, pixel_accuracy, mean_accuracy, frequency_weighted_iou, boundary_f; where they apply calibration_error,
    mad, mse and gradient."""
    headline: dict[str, float]
    """The score of the set: IoU of the classes that it is about, else miou."""
    call_ms: dict[str, float]
    """Median and 90th percentile of one call: rgb in, mask at frame size out."""
    protocol: dict[str, Any]
    """How all this was measured."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values; NaN becomes None."""
        return {
            "headline": plain(self.headline),
            "totals": plain(self.totals),
            "classes": {
                score.name: plain({"iou": score.iou, "accuracy": score.accuracy, "boundary_f": score.boundary_f})
                | {"pixels": score.pixels}
                for score in self.classes
            },
            "call_ms": plain(self.call_ms),
            "protocol": self.protocol,
        }


def plain(scores: dict[str, float]) -> dict[str, float | None]:
    """Return scores rounded to 6 digits, None for NaN."""
    return {name: None if math.isnan(value) else round(value, 6) for name, value in scores.items()}


def score_pictures(
    model: Model,
    dataset: Dataset,
    *,
    facts: Mapping[str, Any],
    size: str = "label",
    on_picture: OnPicture | None = None,
) -> PictureReport:
    """Score a model on a labelled set. See Note [Scoring rule].

    Args:
        model: a segmenter or an ensemble; where it gives scores, their calibration error is taken as well.
        dataset: the pictures.
        facts: what the protocol is to say of the model: `model_facts(segmenter)`, `ensemble.facts()`.
        size: "label" scores at the size of the true labels, "network" at that of the network.
        on_picture: told after each picture.

    Raises:
        ConfigError: the size is neither, or no class of the model is one of the taxonomy.
        SourceError: the set is empty or cannot be read.
    """
    if size not in get_args(Size):
        raise ConfigError(f"size: got {size!r}; expected label or network. Use label.")
    if not len(dataset):
        raise SourceError(f"dataset {dataset.name}: got no picture; expected at least one. Check split and list.")
    check_mapping(model.classes, dataset.taxonomy)
    tally = _Tally(model, dataset.taxonomy, size)
    for index, sample in enumerate(dataset):
        tally.add(sample)
        if on_picture is not None:
            on_picture(index + 1, len(dataset))
    return tally.report(dataset, facts)


def check_mapping(model_classes: Sequence[str], taxonomy: Taxonomy) -> None:
    """Raise ConfigError when no class of a model is one of the taxonomy."""
    if all(index == OTHER for index in taxonomy.prediction_table(model_classes)[: len(model_classes)]):
        raise ConfigError(
            f"taxonomy {taxonomy.name}: got a model with {', '.join(model_classes[:5])}; expected classes such as "
            f"{', '.join(taxonomy.classes[:5])}. Choose another taxonomy, or add a [map] to a file of your own."
        )


class _Tally:
    """Sums over the pictures of a set."""

    def __init__(self, model: Model, taxonomy: Taxonomy, size: str) -> None:
        self._model, self._taxonomy, self._size = model, taxonomy, size
        count = len(taxonomy.classes)
        self._confusion = metrics.ConfusionMatrix(count)
        self._boundary = metrics.BoundaryScore(count)
        self._calibration = metrics.Calibration()
        self._mattes = metrics.MatteErrors()
        self._call_ns: list[int] = []
        self._sizes_wh: set[tuple[int, int]] = set()

    def add(self, sample: Sample) -> None:
        """Segment and count one picture."""
        started_ns = time.perf_counter_ns()
        result = self._model(sample.rgb)
        _ = result.labels  # the mask at frame size belongs to the call: computed once, kept
        self._call_ns.append(time.perf_counter_ns() - started_ns)
        truth, alpha = sample.labels, sample.alpha
        if self._size == "network":
            result = result.at_network_size()
            alpha = None if alpha is None else resize_linear(alpha, result.size_wh)
            truth = resize_labels(truth, result.size_wh) if alpha is None else (alpha > 0.5).astype(np.uint8)
        self._sizes_wh.add(result.size_wh)
        self._count(result, truth, alpha)

    def _count(self, result: Segmentation, truth: UInt8Array, alpha: FloatArray | None) -> None:
        labels = map_labels(result.labels, self._model.classes, self._taxonomy)
        self._confusion.add(truth, labels)
        self._boundary.add(truth, labels)
        confidence = _confidence(result)
        if confidence is not None:
            known = truth < len(self._taxonomy.classes)
            self._calibration.add(confidence[known], (labels == truth)[known])
        if alpha is not None:
            found = result.alpha if result.alpha is not None else (labels == 1).astype(np.float32)
            self._mattes.add(found, alpha)

    def report(self, dataset: Dataset, facts: Mapping[str, Any]) -> PictureReport:
        """Return the scores with their protocol."""
        call_ms = np.array(self._call_ns) / 1e6
        iou = metrics.iou_by_class(self._confusion.counts)
        totals = self._totals()
        names = self._taxonomy.headline
        return PictureReport(
            classes=self._class_scores(),
            totals=totals,
            headline={n: float(iou[self._taxonomy.classes.index(n)]) for n in names} or {"miou": totals["miou"]},
            call_ms={"median": float(np.median(call_ms)), "p90": float(np.quantile(call_ms, 0.9))},
            protocol={**self._protocol(dataset), **facts},
        )

    def _totals(self) -> dict[str, float]:
        counts = self._confusion.counts
        totals = {
            "miou": metrics.mean_iou(counts),
            "pixel_accuracy": metrics.pixel_accuracy(counts),
            "mean_accuracy": metrics.mean_accuracy(counts),
            "frequency_weighted_iou": metrics.frequency_weighted_iou(counts),
            "boundary_f": self._boundary.mean(),
        }
        if self._calibration.pixels.any():
            totals["calibration_error"] = self._calibration.error()
        return totals | (self._mattes.mean() if self._mattes.pictures else {})

    def _class_scores(self) -> tuple[ClassScore, ...]:
        counts, taxonomy = self._confusion.counts, self._taxonomy
        iou, accuracy = metrics.iou_by_class(counts), metrics.accuracy_by_class(counts)
        boundary = self._boundary.by_class()
        hidden = {*taxonomy.merged, *(taxonomy.classes[i] for i in taxonomy.ignored_ids if i < len(taxonomy.classes))}
        return tuple(
            ClassScore(
                name, float(iou[index]), float(accuracy[index]), float(boundary[index]), int(counts[index].sum())
            )
            for index, name in enumerate(taxonomy.classes)
            if name not in hidden
        )

    def _protocol(self, dataset: Dataset) -> dict[str, Any]:
        taxonomy, classes = self._taxonomy, self._model.classes
        sizes = sorted(self._sizes_wh)
        return {
            "dataset": dataset.name,
            "layout": dataset.layout,
            "pictures": len(dataset),
            "split_hash": dataset.split_hash(),
            "taxonomy": taxonomy.name,
            "ignored_ids": sorted({*taxonomy.ignored_ids, metrics.IGNORED}),
            "merged": dict(taxonomy.merged),
            "class_mapping": {name: taxonomy.class_of(name) or "other (never right)" for name in classes},
            "scored_at": [f"{width}x{height}" for width, height in sizes],
            "resize_rule": _RESIZE_RULES[self._size],
            "pooling": "IoU and accuracy from pixels pooled over the set; means over the classes of the truth; "
            "mad, mse and gradient as means over pictures",
            "boundary_tolerance": f"{metrics.BOUNDARY_SHARE:.2%} of the diagonal",
        }


def _confidence(result: Segmentation) -> FloatArray | None:
    """Return how sure the result is of each label, float32 [H, W], 0..1; None where it does not say."""
    if (alpha := result.alpha) is not None:
        return np.asarray(np.maximum(alpha, np.float32(1) - alpha), np.float32)
    return result.scores
