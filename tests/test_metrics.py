"""The metrics against cases worked out by hand and against SciPy or plain loops."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.spatial import distance

from rtseg import metrics
from rtseg.errors import ConfigError

TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)
LABELS = np.array([[0, 1, 1, 1], [0, 0, 7, 0]], np.uint8)


@pytest.fixture
def maps():
    """Blobs of four classes with a void, and the same moved and with noise; class 3 is not in the truth."""
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.normal(size=(60, 80)), 5)
    truth = np.digitize(noise, np.quantile(noise, [0.3, 0.6])).astype(np.uint8)
    labels = np.roll(truth, (1, 3), (0, 1))
    labels[rng.random(labels.shape) < 0.05] = 3
    truth[:9, :14] = 255
    return truth, labels


def test_confusion_by_hand():
    assert metrics.confusion_matrix(TRUTH, LABELS, 2).tolist() == [[3, 1, 0], [0, 2, 1]]


def test_scores_by_hand():
    counts = metrics.confusion_matrix(TRUTH, LABELS, 3)
    assert metrics.iou_by_class(counts)[:2] == pytest.approx([3 / 4, 2 / 4])
    assert math.isnan(metrics.iou_by_class(counts)[2])
    assert metrics.mean_iou(counts) == pytest.approx(0.625)
    assert metrics.pixel_accuracy(counts) == pytest.approx(5 / 7)
    assert metrics.mean_accuracy(counts) == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert metrics.frequency_weighted_iou(counts) == pytest.approx((4 * 0.75 + 3 * 0.5) / 7)


def test_what_is_predicted_under_ignored_truth_does_not_count():
    changed = LABELS.copy()
    changed[1, 3] = 1
    assert np.array_equal(metrics.confusion_matrix(TRUTH, LABELS, 2), metrics.confusion_matrix(TRUTH, changed, 2))


def test_confusion_and_iou_agree_with_scipy(maps):
    truth, labels = maps
    known = truth != 255
    expected = coo_matrix((np.ones(known.sum(), int), (truth[known], labels[known])), shape=(4, 5)).toarray()
    counts = metrics.confusion_matrix(truth, labels, 4)
    assert np.array_equal(counts, expected)
    for index in range(3):
        jaccard = 1 - distance.jaccard((truth == index)[known], (labels == index)[known])
        assert metrics.iou_by_class(counts)[index] == pytest.approx(jaccard)


def test_pooling_is_over_pixels_not_over_pictures():
    pooled = metrics.ConfusionMatrix(2)
    pooled.add(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
    pooled.add(np.zeros((1, 9), np.uint8), np.ones((1, 9), np.uint8))
    assert metrics.iou_by_class(pooled.counts)[0] == pytest.approx(0.1)


def test_nothing_scored_is_nan():
    counts = metrics.confusion_matrix(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 2)
    for score in (metrics.mean_iou, metrics.pixel_accuracy, metrics.mean_accuracy, metrics.frequency_weighted_iou):
        assert math.isnan(score(counts))


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ConfigError, match="expected"):
        metrics.confusion_matrix(TRUTH, LABELS[:, :3], 2)


def square(left):
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, left : left + 20] = 1
    return mask


@pytest.mark.parametrize(("shift", "tolerance", "perfect"), [(0, 1, True), (2, 2, True), (3, 2, False)])
def test_a_border_moved_within_the_tolerance_is_right(shift, tolerance, perfect):
    counts = metrics.boundary_counts(square(10), square(10 + shift), 2, tolerance)
    predicted, matched, true, true_matched = counts[1].tolist()
    assert predicted == true == 4 * 19
    assert (matched == predicted and true_matched == true) is perfect


def by_loops(truth, labels, index, tolerance):
    """Matches of one class by comparing every pair of border pixels."""
    ignored = np.argwhere(truth >= 4)

    def border(mask, blind):
        points = []
        for row, column in np.argwhere(mask):
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                r, c = row + down, column + right
                inside = 0 <= r < mask.shape[0] and 0 <= c < mask.shape[1]
                if inside and not mask[r, c] and not (blind and truth[r, c] >= 4):
                    points.append((row, column))
                    break
        return np.array(points).reshape(-1, 2)

    def near(points, others):
        if not len(others):
            return np.zeros(len(points), bool)
        return (np.hypot(*(points[:, None] - others[None]).transpose(2, 0, 1)) <= tolerance).any(1)

    true, found = border(truth == index, True), border(labels == index, False)
    judged = found[~near(found, ignored)]
    return [len(judged), near(judged, true).sum(), len(true), near(true, found).sum()]


def test_boundary_counts_agree_with_plain_loops(maps):
    truth, labels = maps
    counts = metrics.boundary_counts(truth, labels, 4, 2.5)
    for index in range(4):
        assert counts[index].tolist() == by_loops(truth, labels, index, 2.5)


def test_boundary_score_is_one_for_the_truth_zero_for_a_miss_and_nan_for_no_border():
    score = metrics.BoundaryScore(3)
    score.add(square(10), square(10))
    assert score.by_class()[:2] == pytest.approx([1, 1])
    assert math.isnan(score.by_class()[2])
    missed = metrics.BoundaryScore(3)
    missed.add(square(10), np.zeros((40, 40), np.uint8))
    assert missed.by_class()[:2].tolist() == [0, 0]


def test_the_tolerance_is_a_share_of_the_diagonal():
    assert metrics.boundary_tolerance_px((480, 360)) == pytest.approx(4.5)
    assert metrics.boundary_tolerance_px((20, 20)) == 1


def test_calibration_by_hand():
    calibration = metrics.Calibration(bins=10)
    calibration.add(np.array([0.95, 0.95, 0.55, 0.55], np.float32), np.array([True, True, True, False]))
    assert calibration.error() == pytest.approx((2 * 0.05 + 2 * 0.05) / 4, abs=1e-6)


def test_calibration_agrees_with_a_loop_and_is_small_for_honest_confidence():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 5000).astype(np.float32)
    correct = rng.random(5000) < confidence
    calibration = metrics.Calibration()
    for part in np.array_split(np.arange(5000), 7):
        calibration.add(confidence[part], correct[part])
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert calibration.error() == pytest.approx(expected, abs=1e-5)
    assert calibration.error() < 0.04
    boast = metrics.Calibration()
    boast.add(np.ones(5000, np.float32), correct)
    assert boast.error() == pytest.approx(1 - correct.mean(), abs=1e-6)


def test_matte_errors_by_hand():
    truth = np.zeros((4, 5), np.float32)
    alpha = truth + np.float32(0.2)
    alpha[0, 0] = 0.7
    errors = metrics.MatteErrors()
    errors.add(alpha, truth)
    errors.add(truth, truth)
    mean = errors.mean()
    assert mean["mad"] == pytest.approx((19 * 0.2 + 0.7) / 20 / 2)
    assert mean["mse"] == pytest.approx((19 * 0.04 + 0.49) / 20 / 2)
    assert all(math.isnan(value) for value in metrics.MatteErrors().mean().values())


def test_gradient_error_agrees_with_scipy():
    rng = np.random.default_rng(5)
    mattes = [ndimage.gaussian_filter(rng.random((30, 24)), sigma).astype(np.float32) for sigma in (1, 2)]
    at = np.arange(-4, 5)
    kernel = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.4**2)) * at[None]
    kernel /= np.linalg.norm(kernel)

    def magnitude(matte):
        exact = matte.astype(float)
        return np.hypot(*(ndimage.convolve(exact, k, mode="nearest") for k in (kernel, kernel.T)))

    expected = ((magnitude(mattes[0]) - magnitude(mattes[1])) ** 2).sum() / 1000
    assert metrics.gradient_error(*mattes) == pytest.approx(expected, rel=1e-6)
    assert metrics.gradient_error(mattes[0], mattes[0]) == 0


def textured(seed=0, size=(120, 160)):
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.integers(0, 255, size).astype(np.float32), (0, 0), 2.5)
    return np.clip((picture - picture.mean()) * 6 + 128, 0, 255).astype(np.uint8)


def flips(lumas, labels, fps=25):
    stability = metrics.TemporalStability()
    for index, (luma, label) in enumerate(zip(lumas, labels, strict=True)):
        stability.add(luma, label, index / fps)
    return stability


def test_one_flip_a_frame_on_a_still_picture_by_hand():
    luma = textured()
    off, on = np.zeros((120, 160), np.uint8), np.zeros((120, 160), np.uint8)
    on[40:60, 50:60] = 1
    stability = flips([luma] * 5, [off, on, off, on, off])
    assert stability.unchanged_share == [1.0] * 4
    assert stability.flips == 4 * 200
    assert stability.flips_per_pixel_second() == pytest.approx(200 * 25 / (120 * 160))
    assert flips([luma] * 5, [on] * 5).flips_per_pixel_second() == 0


def test_labels_that_move_with_the_picture_do_not_flip_and_labels_that_stay_behind_do():
    wide = textured(size=(120, 260))
    mask = np.zeros((120, 260), np.uint8)
    mask[30:90, 90:150] = 1
    steps = range(0, 36, 4)
    lumas = [np.ascontiguousarray(wide[:, s : s + 160]) for s in steps]
    carried = flips(lumas, [np.ascontiguousarray(mask[:, s : s + 160]) for s in steps])
    left_behind = flips(lumas, [mask[:, 20:180].copy()] * len(steps))
    assert np.mean(carried.unchanged_share) > 0.8
    assert carried.flips_per_pixel_second() < 0.02
    assert left_behind.flips_per_pixel_second() > 10 * max(carried.flips_per_pixel_second(), 0.01)


@pytest.mark.parametrize("size", [(40, 60), (60, 640)])
def test_pictures_on_which_the_flow_may_crash_are_refused(size):
    with pytest.raises(ConfigError, match="larger video"):
        flips([np.zeros(size, np.uint8)], [np.zeros(size, np.uint8)])


def test_rows_that_are_not_contiguous_are_taken():
    wide = textured(size=(120, 320))
    assert flips([wide[:, ::2]] * 2, [np.zeros((120, 160), np.uint8)] * 2).flips == 0


def test_where_the_picture_changes_labels_may():
    lumas = [textured(seed) for seed in range(4)]
    labels = [np.full((120, 160), seed % 2, np.uint8) for seed in range(4)]
    stability = flips(lumas, labels)
    assert np.mean(stability.unchanged_share) < 0.15
    assert math.isnan(flips(lumas[:1], labels[:1]).flips_per_pixel_second())
