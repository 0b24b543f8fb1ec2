"""The averaged weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.train.averages import AverageSettings, WeightAverage  # noqa: E402

pytestmark = pytest.mark.needs_torch


def test_the_average_follows_weights_and_statistics():
    network = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    average = WeightAverage(network, AverageSettings(horizon=100))
    expected = float(network[0].weight.detach())
    for step in range(20):
        with torch.no_grad():
            network[0].weight.fill_(step)
            network[1].running_mean.fill_(2 * step)
            network[1].num_batches_tracked.fill_(step)
        average.update(step)
        keep = min(0.99, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * step
    assert float(average.network[0].weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert 0 < float(average.network[1].running_mean) < 38
    assert int(average.network[1].num_batches_tracked) == 19
    assert not average.network.training
    assert not any(p.requires_grad for p in average.network.parameters())


def test_a_horizon_of_one_is_the_network_itself():
    network = torch.nn.Linear(2, 2)
    average = WeightAverage(network, AverageSettings(horizon=1))
    with torch.no_grad():
        network.weight.fill_(3.0)
    average.update(0)
    assert torch.equal(average.network.weight, network.weight)
    with pytest.raises(ConfigError, match="at least 1 step"):
        AverageSettings(horizon=0)
