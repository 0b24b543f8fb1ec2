"""How good masks are: class labels, their borders, their confidence, soft mattes, and calm over time.

Every score of labels comes out of a confusion matrix pooled over the pixels of a whole set, int64 [K, K + 1]: truth by
prediction, with a last column for what is none of the K classes and is never right. Shares are 0..1; a class that
the truth never has scores NaN and stays out of every mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.errors import ConfigError
from rtseg.types import FloatArray, UInt8Array

CountArray: TypeAlias = npt.NDArray[np.int64]
ScoreArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

IGNORED: Final = 255
"""The truth of a pixel that is not scored."""
BOUNDARY_SHARE: Final = 0.0075
"""Tolerance of the boundary score as a share of the picture's diagonal (4.5 px at 480x360)."""
CALIBRATION_BINS: Final = 15
"""Bins of confidence, of equal width."""
GRADIENT_SIGMA_PX: Final = 1.4
"""Width of the Gaussian whose derivatives give a matte's gradient."""


def confusion_matrix(truth: UInt8Array, labels: UInt8Array, class_count: int) -> CountArray:
    """Count pixels by truth and prediction, int64 [K, K + 1].

    Args:
        truth: class ids uint8 [H, W]; ids of K and above are ignored.
        labels: predicted ids uint8 [H, W]; ids of K and above count in the last column, as wrong.
        class_count: K.
    """
    _check_same_shape(truth, labels)
    known = truth < class_count
    found = np.minimum(labels[known], class_count).astype(np.int64)
    joint = truth[known].astype(np.int64) * (class_count + 1) + found
    counts = np.bincount(joint, minlength=class_count * (class_count + 1))
    return np.asarray(counts.reshape(class_count, class_count + 1), dtype=np.int64)


def iou_by_class(confusion: CountArray) -> ScoreArray:
    """Return intersection over union of each class, float64 [K]; NaN where the truth has none of it."""
    inside, truth, found = _inside_truth_found(confusion)
    return _shares(inside, truth + found - inside, truth > 0)


def accuracy_by_class(confusion: CountArray) -> ScoreArray:
    """Return the share of each class' true pixels that was found (recall), float64 [K]; NaN for absent classes."""
    inside, truth, _ = _inside_truth_found(confusion)
    return _shares(inside, truth, truth > 0)


def mean_iou(confusion: CountArray) -> float:
    """Return the mean IoU over the classes that the truth has."""
    return mean_of_present(iou_by_class(confusion))


def mean_accuracy(confusion: CountArray) -> float:
    """Return the mean over classes of the share of their pixels that was found."""
    return mean_of_present(accuracy_by_class(confusion))


def pixel_accuracy(confusion: CountArray) -> float:
    """Return the share of scored pixels whose class is right; NaN without a pixel."""
    inside, truth, _ = _inside_truth_found(confusion)
    return float(inside.sum() / truth.sum()) if truth.sum() else math.nan


def frequency_weighted_iou(confusion: CountArray) -> float:
    """Return the mean IoU, each class weighted by its share of the true pixels.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks", 2015, arXiv 1411.4038.
    """
    _, truth, _ = _inside_truth_found(confusion)
    return float(np.nansum(iou_by_class(confusion) * truth) / truth.sum()) if truth.sum() else math.nan


def mean_of_present(scores: ScoreArray) -> float:
    """Return the mean of the scores that are not NaN; NaN where all are."""
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if known.size else math.nan


class ConfusionMatrix:
    """Confusion pooled over a set."""

    def __init__(self, class_count: int) -> None:
        self.counts: CountArray = np.zeros((class_count, class_count + 1), np.int64)
        """Pixels by truth and prediction, int64 [K, K + 1]."""

    def add(self, truth: UInt8Array, labels: UInt8Array) -> None:
        """Count one picture: ids uint8 [H, W] of truth and prediction."""
        self.counts += confusion_matrix(truth, labels, len(self.counts))


def boundary_tolerance_px(size_wh: tuple[int, int]) -> float:
    """Return how far, in pixels, a border may be off: `BOUNDARY_SHARE` of the picture's diagonal, 1 at least."""
    return max(1.0, BOUNDARY_SHARE * math.hypot(*size_wh))


def boundary_counts(truth: UInt8Array, labels: UInt8Array, class_count: int, tolerance_px: float) -> CountArray:
    """Count border pixels of each class, int64 [K, 4]: predicted, of these matched, true, of these matched.

    A border pixel has a neighbour of another class on one of its four sides (the picture's edge is no border). It is
    matched when the other side has a border pixel of the class within the tolerance. Where the truth is ignored, and
    as far around it as the tolerance reaches, the true border is not known and predicted ones are not judged.

    Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013.
    """
    _check_same_shape(truth, labels)
    ignored = truth >= class_count
    judged = ~_within(ignored, tolerance_px) if ignored.any() else ~ignored
    counts = np.zeros((class_count, 4), np.int64)
    for index in np.unique(np.concatenate([np.unique(truth), np.unique(labels)])):
        if index >= class_count:
            continue
        true_edge = _inner_border(truth == index, ignored)
        found_edge = _inner_border(labels == index, np.zeros_like(ignored))
        predicted = found_edge & judged
        counts[index] = (
            predicted.sum(),
            (predicted & _within(true_edge, tolerance_px)).sum(),
            true_edge.sum(),
            (true_edge & _within(found_edge, tolerance_px)).sum(),
        )
    return counts


class BoundaryScore:
    """Boundary F-score of each class, from border pixels pooled over a set."""

    def __init__(self, class_count: int) -> None:
        self.counts: CountArray = np.zeros((class_count, 4), np.int64)
        """Predicted, matched, true and matched border pixels of each class, int64 [K, 4]."""

    def add(self, truth: UInt8Array, labels: UInt8Array) -> None:
        """Count one picture: ids uint8 [H, W] of truth and prediction; the tolerance follows from its size."""
        tolerance_px = boundary_tolerance_px((truth.shape[1], truth.shape[0]))
        self.counts += boundary_counts(truth, labels, len(self.counts), tolerance_px)

    def by_class(self) -> ScoreArray:
        """Return the harmonic mean of precision and recall, float64 [K]; NaN where the truth has no border."""
        predicted, matched, true, true_matched = self.counts.T.astype(np.float64)
        precision = _shares(matched, predicted, predicted > 0, otherwise=0.0)
        recall = _shares(true_matched, true, true > 0)
        return _shares(2 * precision * recall, precision + recall, precision + recall > 0, otherwise=0.0 * recall)

    def mean(self) -> float:
        """Return the mean over the classes that have a border in the truth."""
        return mean_of_present(self.by_class())


class Calibration:
    """Expected calibration error: how far confidence is from accuracy, weighted by how many pixels are so sure.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017, arXiv 1706.04599.
    """

    def __init__(self, bins: int = CALIBRATION_BINS) -> None:
        self._bins = bins
        self.pixels: ScoreArray = np.zeros(bins)
        """Pixels of each bin of confidence."""
        self.confidence: ScoreArray = np.zeros(bins)
        """Sum of their confidence."""
        self.correct: ScoreArray = np.zeros(bins)
        """How many of them are right."""

    def add(self, confidence: FloatArray, correct: BoolArray) -> None:
        """Count pixels: the probability 0..1 of what was said, float32 [N], and whether it is right, bool [N]."""
        index = np.clip(np.ceil(confidence * self._bins).astype(np.int64) - 1, 0, self._bins - 1)
        self.pixels += np.bincount(index, minlength=self._bins)
        self.confidence += np.bincount(index, weights=confidence, minlength=self._bins)
        self.correct += np.bincount(index, weights=correct, minlength=self._bins)

    def error(self) -> float:
        """Return the expected calibration error, 0..1; NaN without a pixel."""
        total = self.pixels.sum()
        return float(np.abs(self.confidence - self.correct).sum() / total) if total else math.nan


def mean_absolute_difference(alpha: FloatArray, truth: FloatArray) -> float:
    """Return the mean of |alpha - truth| over a picture, both float32 [H, W], 0..1."""
    _check_same_shape(truth, alpha)
    return float(np.abs(alpha - truth).mean(dtype=np.float64))


def mean_squared_error(alpha: FloatArray, truth: FloatArray) -> float:
    """Return the mean of (alpha - truth)^2 over a picture, both float32 [H, W], 0..1."""
    _check_same_shape(truth, alpha)
    return float(np.square(alpha - truth).mean(dtype=np.float64))


def gradient_error(alpha: FloatArray, truth: FloatArray) -> float:
    """Return the gradient error of a matte in thousands: the sum of squared differences of gradient magnitude.

    Gradients come from first derivatives of a Gaussian of 1.4 px, normalised to unit energy.

    Args:
        alpha: predicted matte, float32 [H, W], 0..1.
        truth: true matte, the same.

    Source: Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.
    """
    _check_same_shape(truth, alpha)
    difference = _gradient_magnitude(alpha) - _gradient_magnitude(truth)
    return float(np.square(difference).sum() / 1000)


@dataclass(slots=True)
class MatteErrors:
    """Errors of mattes, each picture weighing the same."""

    pictures: int = 0
    _sums: ScoreArray = field(default_factory=lambda: np.zeros(3))

    def add(self, alpha: FloatArray, truth: FloatArray) -> None:
        """Count one picture: mattes float32 [H, W], 0..1."""
        self.pictures += 1
        self._sums += (
            mean_absolute_difference(alpha, truth),
            mean_squared_error(alpha, truth),
            gradient_error(alpha, truth),
        )

    def mean(self) -> dict[str, float]:
        """Return `mad` and `mse` (0..1) and `gradient` (thousands a picture), NaN without a picture."""
        values = self._sums / self.pictures if self.pictures else np.full(3, math.nan)
        return dict(zip(("mad", "mse", "gradient"), (float(value) for value in values), strict=True))


def _inside_truth_found(confusion: CountArray) -> tuple[ScoreArray, ScoreArray, ScoreArray]:
    """Return pixels of each class that are right, true and predicted, float64 [K] each."""
    count = len(confusion)
    inside = np.diag(confusion[:, :count]).astype(np.float64)
    return inside, confusion.sum(1).astype(np.float64), confusion[:, :count].sum(0).astype(np.float64)


def _shares(
    part: ScoreArray, whole: ScoreArray, defined: BoolArray, otherwise: ScoreArray | float = math.nan
) -> ScoreArray:
    """Return part / whole where it is defined, else `otherwise`."""
    return np.where(defined, part / np.where(defined, whole, 1.0), otherwise)


def _check_same_shape(truth: npt.NDArray[np.generic], found: npt.NDArray[np.generic]) -> None:
    if truth.shape != found.shape:
        raise ConfigError(f"score: got a mask {found.shape}; expected {truth.shape}, as the truth has. Resize it.")


def _inner_border(inside: BoolArray, unknown: BoolArray) -> BoolArray:
    """Return the pixels of a region with a 4-neighbour outside of it; unknown neighbours do not count as outside."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    kept = cv2.erode((inside | unknown).astype(np.uint8), cross)  # beyond the picture's edge counts as inside
    return np.asarray(inside & (np.asarray(kept) == 0))


def _within(marked: BoolArray, distance_px: float) -> BoolArray:
    """Return where a marked pixel lies within the distance (Euclidean, from centre to centre)."""
    if not marked.any():
        return np.zeros_like(marked)
    away = cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.asarray(away) <= distance_px)


def _gradient_magnitude(alpha: FloatArray) -> ScoreArray:
    """Return the length of the gradient, float64 [H, W]; the border pixels are repeated outwards."""
    radius = math.ceil(GRADIENT_SIGMA_PX * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * GRADIENT_SIGMA_PX * 0.01)))
    at = np.arange(-radius, radius + 1, dtype=np.float64)
    bell = np.exp(-np.square(at) / (2 * GRADIENT_SIGMA_PX**2))
    slope = -at * bell
    scale = math.sqrt(np.square(np.outer(bell, slope)).sum())
    exact = alpha.astype(np.float64)
    across, down = (
        np.asarray(cv2.sepFilter2D(exact, cv2.CV_64F, x, y, borderType=cv2.BORDER_REPLICATE))
        for x, y in ((slope, bell / scale), (bell, slope / scale))
    )
    return np.asarray(np.hypot(across, down), dtype=np.float64)


STILL_LEVELS: Final = 4.0
"""Levels of luma 0..255, averaged over 5x5, by which a pixel may differ from where it came from and be unchanged."""
STILL_PX: Final = 0.5
"""Motion under which a pixel stands still and its label must be exactly the one before."""
RETURN_PX: Final = 1.0
"""How far flow there and back may miss the start before the pixel counts as covered or lost."""
LEAST_PX: Final = 48
"""Shortest side in which motion is sought."""
NARROWEST: Final = 10
"""Longest side, in shortest ones, in which motion is sought."""


class TemporalStability:
    """Label flips per pixel per second where the picture does not change; 0 is perfectly calm.

    The picture before is brought onto the new one by dense optical flow. A pixel is counted when it comes from inside
    the picture, the flow back from there returns, and its luma is that of where it came from; or else when its luma
    stays at its place. It flips when its label differs from the one it had there; while it moves, from all nine around
    there, because a label map that moves by a part of a pixel must round.

    Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016, arXiv 1603.03590 (the flow).
    """

    def __init__(self) -> None:
        self.flips = 0
        """Flips so far."""
        self.pixel_seconds = 0.0
        """Unchanged pixels so far, each times the seconds since the frame before."""
        self.unchanged_share: list[float] = []
        """Share of unchanged pixels of each pair of frames."""
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._before: tuple[UInt8Array, UInt8Array, float] | None = None

    def add(self, luma: UInt8Array, labels: UInt8Array, pts_seconds: float) -> None:
        """Count one frame: luma uint8 [H, W], labels uint8 [H, W] and its time.

        Raises:
            ConfigError: the sizes differ, or the picture is too small or too narrow to find motion in.
        """
        _check_same_shape(luma, labels)
        if min(luma.shape) < LEAST_PX or min(luma.shape) * NARROWEST < max(luma.shape):  # OpenCV's flow may crash
            raise ConfigError(
                f"flow: got {luma.shape[1]}x{luma.shape[0]}; expected {LEAST_PX} px a side or more, and sides of at "
                f"most 1:{NARROWEST}. Take a larger video."
            )
        before, self._before = self._before, (np.ascontiguousarray(luma), labels, pts_seconds)
        if before is None or before[0].shape != luma.shape or pts_seconds <= before[2]:
            return
        unchanged, flipped = self._compare(before[0], self._before[0], before[1], labels)
        self.flips += int((flipped & unchanged).sum())
        self.pixel_seconds += float(unchanged.sum()) * (pts_seconds - before[2])
        self.unchanged_share.append(float(unchanged.mean()))

    def flips_per_pixel_second(self) -> float:
        """Return the score; NaN where nothing was unchanged."""
        return self.flips / self.pixel_seconds if self.pixel_seconds else math.nan

    def _compare(
        self, luma_before: UInt8Array, luma: UInt8Array, labels_before: UInt8Array, labels: UInt8Array
    ) -> tuple[BoolArray, BoolArray]:
        """Return where the picture is unchanged and where the label is another, bool [H, W] each."""
        back, forth = self._flow_between(luma, luma_before), self._flow_between(luma_before, luma)
        height, width = luma.shape
        x = np.arange(width, dtype=np.float32)[None, :] + back[..., 0]
        y = np.arange(height, dtype=np.float32)[:, None] + back[..., 1]
        smooth, smooth_before = _smooth(luma), _smooth(luma_before)
        came_from = cv2.remap(smooth_before, x, y, cv2.INTER_LINEAR)
        same_luma = np.abs(smooth - np.asarray(came_from)) <= STILL_LEVELS
        returned = np.hypot(*np.moveaxis(back + np.asarray(cv2.remap(forth, x, y, cv2.INTER_LINEAR)), 2, 0))
        inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
        carried = inside & same_luma & (returned <= RETURN_PX)
        still = np.abs(smooth - smooth_before) <= STILL_LEVELS  # flow gets lost where there is nothing to hold on to
        moving = carried & (np.hypot(back[..., 0], back[..., 1]) > STILL_PX)
        down = np.where(moving, np.rint(y), np.arange(height)[:, None]).clip(0, height - 1)
        right = np.where(moving, np.rint(x), np.arange(width)[None, :]).clip(0, width - 1)
        rows, columns = down.astype(np.intp), right.astype(np.intp)
        return carried | still, _differs(labels, labels_before, rows, columns, moving)

    def _flow_between(self, start: UInt8Array, end: UInt8Array) -> FloatArray:
        """Return where each pixel of `start` has gone in `end`, float32 [H, W, 2], x and y in pixels."""
        standing_still = np.zeros((*start.shape, 2), np.float32)  # what the search begins with
        return np.asarray(self._flow.calc(start, end, standing_still), dtype=np.float32)


def _smooth(luma: UInt8Array) -> FloatArray:
    return np.asarray(cv2.blur(luma.astype(np.float32), (5, 5)), dtype=np.float32)


def _differs(
    labels: UInt8Array,
    before: UInt8Array,
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    moving: BoolArray,
) -> BoolArray:
    """Return where a label is not the one before at (row, column), nor, where it moves, one of the eight around."""
    height, width = labels.shape
    differs: BoolArray = np.asarray(labels != before[rows, columns])
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near = before[np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1)]
            differs &= ~moving | (labels != near)
    return differs
