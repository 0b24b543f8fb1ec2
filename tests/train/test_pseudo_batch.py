from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rtseg.train.pseudo import pseudo_matte, pseudo_targets  # noqa: E402
from rtseg.train.pseudo_batch import pseudo_batch, pseudo_matte_batch  # noqa: E402
from rtseg.train.targets import IGNORED, TargetTable  # noqa: E402

pytestmark = pytest.mark.needs_torch

TABLE = TargetTable(("a", "b", "c", "d"), ((0, 1), (1, 2, 3)))
MEMBERSHIP = torch.from_numpy(TABLE.membership())


def batch():
    torch.manual_seed(0)
    logits = 3 * torch.randn(3, 4, 16, 16)
    choices = torch.tensor([0, 1, 2, 3, 4, 5, IGNORED], dtype=torch.uint8)
    targets = choices[torch.randint(len(choices), (3, 16, 16))]
    targets[2] = IGNORED
    return logits, targets


def test_a_batch_follows_the_rule_of_single_pictures():
    logits, targets = batch()
    found = pseudo_batch(logits, targets, MEMBERSHIP, torch.ones(3, dtype=torch.bool), 0.6)
    for index in range(3):
        expected = pseudo_targets(logits[index].softmax(0).numpy(), targets[index].numpy(), TABLE, 0.6)
        assert np.array_equal(found[index].numpy(), expected)
    assert (found[2] != IGNORED).float().mean() > 0.3
    assert not found.equal(targets)


def test_samples_that_may_not_be_filled_stay_as_they_are():
    logits, targets = batch()
    found = pseudo_batch(logits, targets, MEMBERSHIP, torch.tensor([False, True, False]), 0.6)
    assert found[0].equal(targets[0])
    assert found[2].equal(targets[2])
    assert not found[1].equal(targets[1])


def test_smaller_logits_are_enlarged():
    logits = torch.full((1, 4, 2, 2), -9.0)
    logits[:, 0, :, 0] = logits[:, 3, :, 1] = 9.0
    targets = torch.full((1, 8, 8), IGNORED, dtype=torch.uint8)
    found = pseudo_batch(logits, targets, MEMBERSHIP, torch.tensor([True]), 0.6)
    assert found[0, 0, [0, 1, 6, 7]].tolist() == [0, 0, 3, 3]


def test_a_batch_of_mattes_follows_the_rule_of_single_pictures():
    torch.manual_seed(1)
    logits = 4 * torch.randn(2, 1, 8, 8)
    mattes = torch.randint(0, 256, (2, 8, 8), dtype=torch.uint8)
    ignored = torch.rand(2, 8, 8) < 0.5
    found, unknown = pseudo_matte_batch(logits, mattes, ignored, torch.tensor([True, False]), 0.9)
    expected, still = pseudo_matte(torch.sigmoid(logits[0, 0]).numpy(), mattes[0].numpy(), ignored[0].numpy(), 0.9)
    assert np.array_equal(unknown[0].numpy(), still)
    known = ~still
    assert np.array_equal(found[0].numpy()[known], expected[known])
    assert found[1].equal(mattes[1])
    assert unknown[1].equal(ignored[1])
