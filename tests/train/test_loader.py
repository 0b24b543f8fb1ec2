"""Batches in the order of the requests, whatever the threads do."""

from __future__ import annotations

import threading
import time
from itertools import count

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import SourceError  # noqa: E402
from rtseg.train.loader import BatchLoader, BatchRequest, stacked  # noqa: E402
from rtseg.train.samples import TrainingSample  # noqa: E402

pytestmark = pytest.mark.needs_torch


class Numbered:
    """A sample is its index; early ones take longer, so that threads finish out of order."""

    def __init__(self, broken_at=None):
        self.broken_at = broken_at

    def draw(self, index, size_wh):
        if index == self.broken_at:
            raise SourceError("picture 5: got nothing; expected a picture. Look.")
        time.sleep(0.004 * (4 - index % 4))
        shape = (size_wh[1], size_wh[0])
        return TrainingSample(np.full((*shape, 3), index, np.uint8), np.full(shape, index, np.uint8))


def requests(source, batches):
    numbers = iter(range(batches))

    def ask():
        number = next(numbers, None)
        return None if number is None else BatchRequest(source, 2 * number, 2, (8, 4))

    return ask


def seen(loader):
    found = []
    while (batch := loader.next()) is not None:
        found.append(batch.targets[:, 0, 0].tolist())
    return found


@pytest.mark.parametrize("threads", [1, 4])
def test_the_order_does_not_depend_on_the_threads(threads):
    with BatchLoader(requests(Numbered(), 7), threads=threads) as loader:
        assert seen(loader) == [[2 * n, 2 * n + 1] for n in range(7)]


def test_no_thread_is_left_and_what_was_begun_is_dropped():
    before = threading.active_count()
    endless = count()
    with BatchLoader(lambda: BatchRequest(Numbered(), 2 * next(endless), 2, (8, 4)), threads=3) as loader:
        assert loader.next().pictures.shape == (2, 4, 8, 3)
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_an_error_of_a_sample_comes_out_at_its_turn():
    with BatchLoader(requests(Numbered(broken_at=5), 7), threads=2) as loader:
        assert [loader.next().targets[0, 0, 0].item() for _ in range(2)] == [0, 2]
        with pytest.raises(SourceError, match="picture 5"):
            loader.next()


def test_samples_with_and_without_unknown_pixels_stack():
    rgb, target = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8)
    unknown = np.eye(2, dtype=bool)
    batch = stacked([TrainingSample(rgb, target), TrainingSample(rgb, target, unknown, pseudo=True)])
    assert batch.ignored.tolist() == [[[False] * 2] * 2, unknown.tolist()]
    assert batch.pseudo.tolist() == [False, True]
    assert stacked([TrainingSample(rgb, target)]).ignored is None


def test_a_teachers_answers_are_stacked_beside_samples_without():
    def sample(soft=None):
        return TrainingSample(np.zeros((4, 8, 3), np.uint8), np.zeros((4, 8), np.uint8), soft=soft)

    batch = stacked([sample(), sample(np.full((3, 2, 4), 9, np.uint8))])
    assert batch.soft.shape == (2, 3, 2, 4)
    assert batch.soft.flatten(1).max(1).values.tolist() == [0, 9]
    assert batch.taught.tolist() == [False, True]
    assert stacked([sample(), sample()]).soft is None
