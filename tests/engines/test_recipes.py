"""The parts of the training recipes that could be wrong without anyone noticing: labels, warps, gradients, lists."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the recipes need the extra `train`")

ENGINES = Path(__file__).resolve().parents[2] / "engines"
sys.path.insert(0, str(ENGINES))

import augment  # noqa: E402
import cards  # noqa: E402
import depthwise  # noqa: E402
import taxonomy  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_every_fine_class_belongs_to_one_coarse_class() -> None:
    for sets in (taxonomy.CAMVID_TO_FINE, taxonomy.IDD_TO_FINE):
        members = sorted(c for s in sets for c in s)
        assert set(members) <= set(range(19))
        assert len(members) == len(set(members))
    assert sorted(c for s in taxonomy.IDD_TO_FINE for c in s) == list(range(19))


def test_targets_and_scores_use_the_same_classes() -> None:
    to_target, to_own = taxonomy.extended_ids(taxonomy.CAMVID_TO_FINE), taxonomy.coarse_ids(taxonomy.CAMVID_TO_FINE)
    allowed = taxonomy.membership()
    for own in range(11):
        assert {to_own[c] for c in np.flatnonzero(allowed[to_target[own]])} == {own}
    assert to_target[11] == taxonomy.IGNORED


def test_coarse_loss_is_the_logarithm_of_the_summed_probability() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 19, 1, 3, requires_grad=True)
    vehicles = 19 + taxonomy.COARSE_SETS.index((13, 14, 15, 16))
    targets = torch.tensor([[[vehicles, 10, taxonomy.IGNORED]]])
    loss = taxonomy.MixedTaxonomyLoss(torch.ones(19 + len(taxonomy.COARSE_SETS)))(logits, targets)
    shares = logits.detach().softmax(1)[0, :, 0]
    expected = -(shares[13:17, 0].sum().log() + shares[10, 1].log()) / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    loss.backward()
    assert logits.grad[0, :, 0, 2].abs().max() == 0
    # Every class of the set is drawn up, none outside it.
    assert (logits.grad[0, 13:17, 0, 0] < 0).all()
    assert (logits.grad[0, :13, 0, 0] > 0).all()


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_quick_gradients_equal_torch_own(side: int, stride: int) -> None:
    torch.manual_seed(side * stride)
    plain = torch.nn.Conv2d(8, 8, side, stride, side // 2, groups=8, bias=False).double()
    quick = torch.nn.Conv2d(8, 8, side, stride, side // 2, groups=8, bias=False).double()
    quick.load_state_dict(plain.state_dict())
    quick.__class__ = depthwise.QuickDepthwise
    batch = torch.randn(2, 8, 12, 20, dtype=torch.float64)
    found = []
    for convolution in (plain, quick):
        entry = batch.clone().requires_grad_()
        out = convolution(entry)
        (out * torch.arange(out.numel(), dtype=out.dtype).reshape(out.shape).sin()).sum().backward()
        found.append((entry.grad, convolution.weight.grad))
    for expected, got in zip(*found, strict=True):
        assert torch.allclose(expected, got, atol=1e-10)


def test_quicken_takes_only_the_slow_convolutions() -> None:
    layers = [torch.nn.Conv2d(8, 8, k, s, k // 2, groups=8, bias=False) for k, s in ((3, 1), (5, 1), (3, 2))]
    network = depthwise.quicken(torch.nn.Sequential(*layers, torch.nn.Conv2d(8, 8, 5, bias=False)))
    assert [isinstance(m, depthwise.QuickDepthwise) for m in network] == [False, True, True, False]


def test_an_unchanged_warp_moves_nothing() -> None:
    rng = np.random.default_rng(0)
    whole = augment.WarpRange(whole_share=1.0, flip=False)
    rgb = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    ids = rng.integers(0, 19, (24, 32), dtype=np.uint8)
    matrix = augment.random_warp((32, 24), (32, 24), whole, rng)
    seen, moved = augment.warp(rgb, ids, matrix, (32, 24), 255, soft=False)
    assert np.array_equal(seen, rgb)
    assert np.array_equal(moved, ids)


@pytest.mark.parametrize("size_wh", [(64, 48), (160, 120)])  # the second is halved first, for its sharpness
def test_picture_and_labels_stay_together(size_wh: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    width, height = size_wh
    ids = np.zeros((height, width), np.uint8)
    ids[height // 4 : height // 2, width // 3 : width // 2] = 1
    rgb = np.repeat(ids[..., None] * 255, 3, axis=2)
    for _ in range(20):
        matrix = augment.random_warp(size_wh, (40, 30), augment.WarpRange(rotation_degrees=10), rng)
        seen, moved = augment.warp(rgb, ids, matrix, (40, 30), 255, soft=False)
        known = moved != 255
        assert ((seen[..., 0] > 127) == (moved == 1))[known].mean() > 0.985


def test_the_committed_lists_are_the_hash() -> None:
    lists = tomllib.loads((ENGINES / "splits" / "validation.toml").read_text())
    assert set(lists) == {"idd_lite", "portraits", "fashion"}
    for name, stems in lists.items():
        assert len(stems) == len(set(stems)) > 50
        assert all(int(hashlib.sha256(f"{name}/{s}".encode()).hexdigest(), 16) % 10 == 0 for s in stems)


@pytest.mark.parametrize("kind", ["street", "person"])
def test_card_text_is_toml_with_the_agreed_keys(kind: str) -> None:
    card = tomllib.loads(cards.card_text(kind, "0" * 64, "2026-01-01", 10, 1.0, {"iou": 0.5}, synthetic_frames=3))
    assert set(card) == {"model", "files", "input", "output", "classes", "defaults", "training", "scores"}
    assert len(card["classes"]["names"]) == len(card["classes"]["palette"]) == (19 if kind == "street" else 2)
    assert card["training"]["sources"][-1]["pairs"] == 3
