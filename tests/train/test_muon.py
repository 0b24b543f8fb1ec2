"""Muon: the orthogonal factor against an SVD, which weights take it, and that it learns."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.train.muon import Muon, orthogonal_factor, suits_muon  # noqa: E402
from rtseg.train.optimise import OptimiserSettings, build_optimiser  # noqa: E402

pytestmark = pytest.mark.needs_torch


@pytest.mark.parametrize("shape", [(16, 144), (144, 16), (32, 32)])
def test_the_factor_is_near_that_of_a_decomposition(shape):
    torch.manual_seed(1)
    matrix = torch.randn(shape) @ torch.diag(torch.logspace(-0.3, 0.3, shape[1]))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal_factor(matrix)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3
    assert values.max() < 1.3
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.97


def test_nothing_stays_nothing():
    assert torch.equal(orthogonal_factor(torch.zeros(4, 8)), torch.zeros(4, 8))


def test_full_convolutions_take_it_and_the_rest_does_not():
    full, depthwise, colours, head = (
        torch.nn.Conv2d(8, 16, 3),
        torch.nn.Conv2d(8, 8, 3, groups=8),
        torch.nn.Conv2d(3, 16, 3),
        torch.nn.Conv2d(16, 2, 1),
    )
    assert [suits_muon(layer.weight) for layer in (full, depthwise, colours, head)] == [True, False, False, False]
    assert not suits_muon(full.bias)


def test_a_step_has_the_agreed_size_and_decays():
    torch.manual_seed(2)
    weight = torch.nn.Parameter(torch.randn(16, 8, 3, 3))
    before = weight.detach().clone()
    optimiser = Muon(
        [{"params": [weight], "spectral": True, "weight_decay": 0.5}], lr=0.1, momentum=0.9, second_momentum=0.99
    )
    weight.grad = torch.randn_like(weight)
    optimiser.step()
    moved = weight.detach() - before * (1 - 0.1 * 0.5)
    assert moved.square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.15)
    assert (moved * weight.grad).sum() < 0


def test_what_is_left_to_adamw_moves_as_adamw_moves_it():
    def moved(name):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Conv2d(8, 2, 1))
        optimiser = build_optimiser(network, OptimiserSettings(name=name))
        for seed in range(3):
            torch.manual_seed(seed)
            optimiser.zero_grad()
            network(torch.randn(2, 3, 8, 8)).square().mean().backward()
            optimiser.step()
        return list(network.parameters())

    for mine, theirs in zip(moved("muon"), moved("adamw"), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-7)


def test_it_fits_a_network_of_two_layers():
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(4, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 4, 1, bias=False)
    )
    truth = torch.nn.Conv2d(4, 4, 3, padding=1)
    optimiser = build_optimiser(network, OptimiserSettings(name="muon", momentum=0.95, decay=0.0))
    losses = []
    for step in range(200):
        for group in optimiser.param_groups:
            group["lr"] = 0.03 * (1 - step / 200)
        pictures = torch.randn(8, 4, 12, 12)
        loss = (network(pictures) - truth(pictures).detach()).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]
