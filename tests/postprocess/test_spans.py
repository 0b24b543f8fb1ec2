"""Spans cover a frame once, are flat where they say so, and are scaled as the whole plane is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg.postprocess.spans import SpanGrid

SIZES = [
    ((256, 256), (1280, 720)),
    ((256, 256), (960, 540)),
    ((256, 256), (640, 480)),
    ((64, 48), (333, 187)),
    ((32, 32), (32, 32)),
    ((7, 5), (91, 50)),
]


def blob(size_wh):
    width, height = size_wh
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height), (width // 4, height * 2 // 3), 0, 0, 360, 255, -1)
    return cv2.GaussianBlur(mask, (3, 3), 0)


@pytest.mark.parametrize(("mask_wh", "frame_wh"), SIZES)
def test_spans_cover_every_pixel_once_and_flat_ones_are_flat(mask_wh, frame_wh):
    mask = blob(mask_wh)
    scaled = cv2.resize(mask, frame_wh, interpolation=cv2.INTER_LINEAR)
    covered = np.zeros(scaled.shape, np.uint8)
    for span in SpanGrid(mask_wh, frame_wh).spans(mask, np.zeros_like(mask)):
        span.of(covered)[:] += 1
        if span.level is not None:
            assert (span.of(scaled) == span.level).all()
    assert (covered == 1).all()


@pytest.mark.parametrize(("mask_wh", "frame_wh"), SIZES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_part_has_the_values_of_the_whole(mask_wh, frame_wh, dtype):
    rng = np.random.default_rng(3)
    plane = rng.uniform(0, 255, mask_wh[::-1]).astype(dtype)
    whole = cv2.resize(plane, frame_wh, interpolation=cv2.INTER_LINEAR)
    grid, spans = SpanGrid(mask_wh, frame_wh), 0
    for span in grid.spans(blob(mask_wh), np.zeros(mask_wh[::-1], np.uint8)):
        if span.level is None:
            part = grid.part(plane, span)
            assert part.shape == span.of(whole).shape
            # OpenCV works out bytes with weights of 11 bits, which round by where a part begins.
            np.testing.assert_allclose(part.astype(float), span.of(whole), atol=1e-3 if dtype == np.float32 else 1)
            spans += 1
    assert spans


def test_most_of_a_picture_with_a_small_subject_is_flat():
    mask = np.zeros((256, 256), np.uint8)
    mask[100:140, 100:140] = 255
    area = sum(
        (span.rows.end - span.rows.start) * (span.columns.end - span.columns.start)
        for span in SpanGrid((256, 256), (1280, 720)).spans(mask, np.zeros_like(mask))
        if span.level is None
    )
    assert 0 < area < 0.15 * 1280 * 720


def test_places_that_are_named_restless_are_not_flat():
    mask, restless = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)
    grid = SpanGrid((32, 32), (320, 320))
    assert all(span.level == 0 for span in grid.spans(mask, restless))
    restless[20, 20] = 1
    busy = np.zeros((320, 320), np.uint8)
    for span in grid.spans(mask, restless):
        span.of(busy)[:] = span.level is None
    assert busy[195:216, 195:216].all()
    assert busy.mean() < 0.1
