"""A batch in parts: the gradients are those of the whole, the statistics the mean, and nothing stays behind."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.train.loader import stacked  # noqa: E402
from rtseg.train.replicas import Replicas  # noqa: E402
from rtseg.train.samples import TrainingSample  # noqa: E402

pytestmark = pytest.mark.needs_torch


def plain():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1)).train()


def with_statistics():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4, momentum=1.0)).train()


def batch_of(count):
    draw = np.random.default_rng(5)
    return stacked(
        [
            TrainingSample(draw.integers(0, 255, (16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8))
            for _ in range(count)
        ]
    )


def loss_of(network, part):
    pictures = part.pictures.permute(0, 3, 1, 2).float() / 255
    return network(pictures).square().mean()


@pytest.mark.parametrize(("samples", "replicas"), [(8, 2), (7, 2), (9, 3), (8, 1)])
def test_the_gradients_are_those_of_the_whole_batch(samples, replicas):
    whole, parted, batch = plain(), plain(), batch_of(samples)
    expected = loss_of(whole, batch)
    expected.backward()
    with Replicas(parted, replicas, on_cpu=True) as split:
        found = split.backward(batch, loss_of)
        assert torch.allclose(found, expected.detach(), rtol=1e-5)
        for mine, theirs in zip(parted.parameters(), whole.parameters(), strict=True):
            assert torch.allclose(mine.grad, theirs.grad, rtol=1e-4, atol=1e-7)
        again = [parameter.grad.clone() for parameter in parted.parameters()]
        split.backward(batch, loss_of)  # the gradients of the step before are gone
        assert all(torch.equal(a, p.grad) for a, p in zip(again, parted.parameters(), strict=True))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("replica")]


def test_weights_are_shared_and_statistics_are_averaged():
    network, batch = with_statistics(), batch_of(8)
    parts = [copy.deepcopy(network) for _ in range(2)]
    for part, piece in zip(parts, batch.parts(2), strict=True):
        loss_of(part, piece)
    with Replicas(network, 2, on_cpu=True) as split:
        split.backward(batch, loss_of)
        mean = (parts[0][1].running_mean + parts[1][1].running_mean) / 2
        assert torch.allclose(network[1].running_mean, mean, rtol=1e-5)
        with torch.no_grad():
            network[0].weight.zero_()
            network[0].bias.fill_(2.0)
        found = split.backward(batch, lambda net, part: net[0](part.pictures.permute(0, 3, 1, 2).float()).mean())
    assert found == pytest.approx(2.0)  # a replica with weights of its own would say something else of its half


def test_a_part_that_fails_fails_the_step_once_the_others_are_done():
    batch, seen = batch_of(8), []

    def failing(network, part):
        seen.append(len(part))
        if threading.current_thread().name.startswith("replica"):
            raise ValueError("no")
        return loss_of(network, part)

    with Replicas(plain(), 2, on_cpu=True) as split, pytest.raises(ValueError, match="no"):
        split.backward(batch, failing)
    assert seen == [4, 4]


def test_a_batch_too_small_to_part_stays_whole():
    assert [len(part) for part in batch_of(3).parts(2)] == [3]
    assert [len(part) for part in batch_of(5).parts(2)] == [3, 2]


@pytest.mark.parametrize(
    ("network", "count", "on_cpu", "words"),
    [
        (torch.nn.Conv2d(3, 1, 1), 0, True, "expected 1 or more"),
        (torch.nn.Conv2d(3, 1, 1), 2, False, "a GPU"),
        (torch.nn.Sequential(torch.nn.Dropout(0.1)), 2, True, "dropout"),
    ],
)
def test_where_there_can_be_none_it_is_said(network, count, on_cpu, words):
    with pytest.raises(ConfigError, match=words):
        Replicas(network, count, on_cpu=on_cpu)
