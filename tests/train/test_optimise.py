"""Which weights decay, and that a restored optimiser goes on with the same bits."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.train.optimise import (  # noqa: E402
    OptimiserSettings,
    build_optimiser,
    restore_state,
    set_rate,
    state_tensors,
)

pytestmark = pytest.mark.needs_torch


def small():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 7, 3), torch.nn.BatchNorm2d(7), torch.nn.Conv2d(7, 2, 1))
    return network.to(memory_format=torch.channels_last)


def move(network, optimiser, seed):
    torch.manual_seed(seed)
    optimiser.zero_grad()
    network(torch.randn(2, 3, 8, 8)).square().mean().backward()
    optimiser.step()


def test_only_weights_of_convolutions_decay():
    network = small()
    optimiser = build_optimiser(network, OptimiserSettings(decay=0.1))
    decays = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert {name: decays[id(p)] for name, p in network.named_parameters()} == {
        "0.weight": 0.1, "0.bias": 0, "1.weight": 0, "1.bias": 0, "2.weight": 0.1, "2.bias": 0,
    }  # fmt: skip


def test_fresh_heads_learn_faster():
    network = small()
    optimiser = build_optimiser(network, OptimiserSettings(head_rate=5), heads=["2.weight", "2.bias"])
    set_rate(optimiser, 0.01)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert [rates[id(p)] for p in network.parameters()] == [0.01] * 4 + [0.05] * 2


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
def test_a_restored_optimiser_goes_on_with_the_same_bits(name):
    network = small()
    optimiser = build_optimiser(network, OptimiserSettings(name=name))
    for seed in range(3):
        move(network, optimiser, seed)
    tensors = {key: value.clone().contiguous() for key, value in state_tensors(optimiser).items()}
    assert tensors
    other = copy.deepcopy(network)
    resumed = build_optimiser(other, OptimiserSettings(name=name))
    restore_state(resumed, tensors)
    for seed in range(3, 6):
        move(network, optimiser, seed)
        move(other, resumed, seed)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_without_the_state_it_would_not():
    network = small()
    optimiser = build_optimiser(network, OptimiserSettings())
    move(network, optimiser, 0)
    other = copy.deepcopy(network)
    forgetful = build_optimiser(other, OptimiserSettings())
    move(network, optimiser, 1)
    move(other, forgetful, 1)
    assert not torch.equal(network[0].weight, other[0].weight)


def test_a_momentum_above_one_fails():
    with pytest.raises(ConfigError, match=r"expected momentum in 0\.\.1"):
        OptimiserSettings(momentum=1.5)
