"""The fake backend does what the tests of other rooms rely on."""

from __future__ import annotations

import time

import numpy as np
import pytest

from rtseg.backends.base import EngineRequest
from rtseg.backends.fake import FakeBackend
from rtseg.errors import InferenceError


def loaded(network, **options):
    backend = FakeBackend(**options)
    backend.load(EngineRequest(network))
    return backend


@pytest.fixture
def labels_spec(spec):
    return spec("logits_nchw")


@pytest.fixture
def alpha_spec(spec):
    return spec("alpha_any_size", output_kind="alpha", class_count=2)


def test_masks_follow_from_the_picture(labels_spec, alpha_spec, picture):
    brightness = picture.astype(int).sum(axis=2) // 3
    np.testing.assert_array_equal(loaded(labels_spec).infer(picture).labels, brightness * 4 // 256)
    np.testing.assert_array_equal(loaded(alpha_spec).infer(picture).alpha, picture[..., 0])


def test_pictures_in_flight_take_their_time_one_after_the_other(labels_spec, picture):
    backend = loaded(labels_spec, delay_seconds=0.03)
    started = time.monotonic()
    pending = [backend.submit(picture), backend.submit(picture)]
    submitted_seconds = time.monotonic() - started
    for one in pending:
        one.result()
    assert submitted_seconds < 0.03 <= 0.06 <= time.monotonic() - started


@pytest.mark.parametrize("on_submit", [False, True])
def test_it_fails_on_the_picture_asked_for_and_only_there(labels_spec, picture, on_submit):
    backend = loaded(labels_spec, fail_at=1, fail_on_submit=on_submit)
    backend.infer(picture)
    with pytest.raises(InferenceError, match="picture 1"):
        backend.infer(picture)
    backend.infer(picture)
    backend.infer(picture)


@pytest.mark.parametrize("fault", ["shift", "class", "stale"])
@pytest.mark.parametrize("kind", ["labels_spec", "alpha_spec"])
def test_each_fault_changes_the_mask(request, picture, fault, kind):
    network = request.getfixturevalue(kind)
    right, wrong = loaded(network), loaded(network, fault=fault)
    wrong.infer(picture)  # a stale mask needs one before it
    other = picture[::-1].copy()
    ours, theirs = right.infer(other), wrong.infer(other)
    mask, faulty = (ours.labels, theirs.labels) if ours.alpha is None else (ours.alpha, theirs.alpha)
    assert (mask != faulty).mean() > 0.2


def test_more_in_flight_than_allowed_fails(labels_spec, picture):
    backend = loaded(labels_spec, in_flight=1)
    backend.submit(picture)
    with pytest.raises(InferenceError, match="more than 1"):
        backend.submit(picture)
