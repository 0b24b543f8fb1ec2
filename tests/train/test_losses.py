from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.train import class_terms  # noqa: E402
from rtseg.train.class_terms import TargetMap  # noqa: E402
from rtseg.train.losses import LossSettings, build_loss, frequency_weights  # noqa: E402
from rtseg.train.targets import IGNORED, TargetTable  # noqa: E402

pytestmark = pytest.mark.needs_torch

TABLE = TargetTable(("a", "b", "c", "d"), ((0, 1), (0, 1, 2)))
COARSE, WIDE = 4, 5
ONLY = {"cross_entropy": 0.0}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def case(size=(2, 4, 8, 12), targets=(0, 1, 2, 3, COARSE, WIDE, IGNORED)):
    logits = torch.randn(size, requires_grad=True)
    ids = torch.tensor(targets)[torch.randint(len(targets), (size[0], size[2], size[3]))]
    return logits, ids.to(torch.uint8)


def only(name: str, table: TargetTable | None = TABLE, **settings):
    return build_loss(LossSettings(**{**ONLY, name: 1.0, **settings}), table)


def test_cross_entropy_of_classes_is_torchs():
    logits, target = case(targets=(0, 1, 2, 3, IGNORED))
    total, terms = build_loss(LossSettings(), TABLE)(logits, target)
    expected = F.cross_entropy(logits, target.long(), ignore_index=IGNORED)
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert terms["cross_entropy"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_group_is_right_by_the_sum_of_its_classes():
    logits, target = case()
    shares = logits.softmax(1)
    masks = torch.from_numpy(TABLE.membership()).float()
    known = target != IGNORED
    right = torch.einsum("nchw,nhwc->nhw", shares, masks[target.long().clamp(max=5)])
    expected = -right[known].log().mean()
    assert build_loss(LossSettings(), TABLE)(logits, target)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_gradients_are_those_of_the_definition():
    loss = build_loss(
        LossSettings(focal=0.7, dice=0.5, boundary=0.4, edge_weight=0.5, label_smoothing=0.1, ohem_share=0.5), TABLE
    )
    logits, target = case((1, 4, 6, 6))
    total, _ = loss(logits, target)
    total.backward()
    for index in ((0, 0, 1, 1), (0, 3, 4, 2)):
        step = torch.zeros_like(logits)
        step[index] = 1e-2
        with torch.no_grad():
            slope = (loss(logits + step, target)[0] - loss(logits - step, target)[0]) / 2e-2
        assert logits.grad[index].item() == pytest.approx(slope.item(), abs=2e-4)


def test_ignored_pixels_have_no_gradient_in_any_term():
    logits, target = case()
    build_loss(LossSettings(focal=1, dice=1, boundary=1, label_smoothing=0.1), TABLE)(logits, target)[0].backward()
    assert logits.grad.permute(0, 2, 3, 1)[target == IGNORED].abs().max() == 0
    assert logits.grad.permute(0, 2, 3, 1)[target != IGNORED].abs().min() > 0


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice", "boundary"])
def test_the_right_answer_costs_nothing_and_the_wrong_one_much(name):
    _, target = case((2, 4, 16, 16))
    blocks = target[:, ::8, ::8].repeat_interleave(8, 1).repeat_interleave(8, 2)
    allowed = torch.from_numpy(TABLE.membership())[blocks.long().clamp(max=5)].permute(0, 3, 1, 2)
    right = torch.where(allowed, 20.0, -20.0)
    loss = only(name)
    assert loss(right, blocks)[0].item() < 0.01
    assert loss(-right, blocks)[0].item() > 0.4


def test_focal_without_gamma_is_cross_entropy():
    logits, target = case()
    expected = build_loss(LossSettings(), TABLE)(logits, target)[0].item()
    assert only("focal", focal_gamma=0.0)(logits, target)[0].item() == pytest.approx(expected, rel=1e-5)
    assert only("focal", focal_gamma=2.0)(logits, target)[0].item() < expected


def test_dice_of_fine_labels_is_the_textbooks():
    logits, target = case(targets=(0, 1, 2, 3))
    shares = logits.softmax(1)
    truth = F.one_hot(target.long(), 4).permute(0, 3, 1, 2)
    both = (shares * truth).sum((0, 2, 3))
    expected = 1 - ((2 * both + 1) / (shares.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)).mean()
    assert only("dice")(logits, target)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_dice_does_not_blame_a_class_inside_the_group_of_a_pixel():
    target = torch.full((1, 4, 4), COARSE, dtype=torch.uint8)
    target[:, :2] = 0
    settled = torch.full((1, 4, 4, 4), -20.0)
    settled[:, 0] = 20
    other = settled.clone()
    other[:, 0, 2:], other[:, 1, 2:] = -20, 20
    outside = settled.clone()
    outside[:, 0, 2:], outside[:, 3, 2:] = -20, 20
    loss = only("dice")
    assert loss(other, target)[0].item() == pytest.approx(loss(settled, target)[0].item(), abs=1e-6)
    # Of the group the classes of the other half of the picture are found: Dice is 17 of 25 there, and 1 for the class.
    assert loss(outside, target)[0].item() == pytest.approx((1 - 17 / 25) / 2, abs=1e-4)


def test_hard_examples_are_the_unsure_ones_and_never_fewer_than_asked():
    losses = -torch.tensor([0.99, 0.95, 0.6, 0.2, 0.1, 0.05]).log()
    known = torch.tensor([True, True, True, True, True, False])
    kept = class_terms.hard_examples(losses, known, 0.2, 0.7)
    assert kept.tolist() == [False, False, True, True, True, False]
    assert class_terms.hard_examples(losses, known, 0.8, 0.15).tolist() == [False, True, True, True, True, False]
    assert class_terms.hard_examples(losses, known, 1.0, 0.7).equal(known)


def test_label_smoothing_is_torchs():
    logits, target = case(targets=(0, 1, 2, 3, IGNORED))
    found = build_loss(LossSettings(label_smoothing=0.2), TABLE)(logits, target)[0]
    expected = F.cross_entropy(logits, target.long(), ignore_index=IGNORED, label_smoothing=0.2)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_contour_runs_only_between_things_that_differ_for_certain():
    row = torch.tensor([[0, 0, COARSE, COARSE, 3, 3, IGNORED, IGNORED, 2, 2]], dtype=torch.uint8)
    band = class_terms.contour_band(row[None].expand(1, 3, 10), TargetMap(TABLE), 1)
    assert band[0, 1].tolist() == [False, False, False, True, True, False, False, False, False, False]
    wide = class_terms.contour_band(row[None].expand(1, 3, 10), TargetMap(TABLE), 2)
    assert wide[0, 1].tolist() == [False, False, True, True, True, True, False, False, False, False]


def test_the_boundary_term_sees_only_the_band():
    target = torch.zeros(1, 12, 12, dtype=torch.uint8)
    target[..., 6:] = 3
    logits = torch.zeros(1, 4, 12, 12, requires_grad=True)
    only("boundary", edge_px=2)(logits, target)[0].backward()
    touched = logits.grad.abs().sum(1)[0, 5] > 0
    assert touched.tolist() == [4 <= x < 8 for x in range(12)]


def test_targets_are_sampled_at_the_centres_of_larger_pixels():
    target = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 16).expand(1, 16, 16)
    assert class_terms.sampled(target, (4, 4))[0, 0].tolist() == [2, 6, 10, 14]
    assert class_terms.sampled(target, (5, 5))[0, 0].tolist() == [1, 4, 8, 11, 14]
    assert class_terms.sampled(target, (16, 16)) is target


def test_a_picture_at_half_size_is_learned_without_a_shift():
    target = torch.zeros(1, 16, 16, dtype=torch.uint8)
    target[..., 8:] = 3
    logits = torch.full((1, 4, 8, 8), -20.0)
    logits[:, 0, :, :4], logits[:, 3, :, 4:] = 20, 20
    assert build_loss(LossSettings(), TABLE)(logits, target)[0].item() < 1e-3
    assert build_loss(LossSettings(at="target"), TABLE)(logits, target)[0].item() < 1e-3


def test_class_weights_follow_the_share_within_bounds():
    weights = frequency_weights(np.array([9000, 900, 99, 1]), 0.5, (0.1, 6.0)).numpy()
    assert weights[1] / weights[0] == pytest.approx(math.sqrt(10), rel=1e-3)
    assert weights[3] == 6.0
    with pytest.raises(ConfigError, match="frequencies"):
        build_loss(LossSettings(class_weighting="frequency"), TABLE)


def test_auxiliary_outputs_are_weighed_and_named():
    logits, target = case()
    single = build_loss(LossSettings(), TABLE)(logits, target)[0].item()
    total, terms = build_loss(LossSettings(auxiliary=0.4), TABLE)((logits, [logits, logits]), target)
    assert total.item() == pytest.approx(1.8 * single, rel=1e-5)
    assert terms["auxiliary"].item() == pytest.approx(single, rel=1e-5)


def test_the_boundary_branch_learns_contours_and_points_at_hard_places():
    target = torch.zeros(1, 16, 16, dtype=torch.uint8)
    target[..., 8:] = 3
    logits = torch.zeros(1, 4, 16, 16)
    on_contour = torch.full((1, 1, 8, 8), -20.0)
    on_contour[..., 3:5] = 20.0
    loss = build_loss(LossSettings(), TABLE)
    _, right = loss((logits, [], on_contour), target)
    _, wrong = loss((logits, [], -on_contour), target)
    assert right["boundary_branch"].item() < 1e-4 < 1 < wrong["boundary_branch"].item()
    assert right["boundary_branch_classes"].item() == pytest.approx(math.log(4), rel=1e-4)
    _, silent = loss((logits, [], torch.full_like(on_contour, -20.0)), target)
    assert silent["boundary_branch_classes"].item() == 0


@pytest.mark.parametrize("task", ["semantic", "matte"])
def test_a_network_with_three_branches_trains_with_every_term(task):
    from rtseg.models.nets.pidnet import PidNet

    network = PidNet(4 if task == "semantic" else 1, 8, blocks=(1, 1), pool_channels=8, head_channels=8).train()
    settings = LossSettings(task=task, focal=0.5, dice=0.5, boundary=0.5, laplacian=0.5 if task == "matte" else 0.0)
    loss = build_loss(settings, TABLE if task == "semantic" else None)
    _, target = case((2, 4, 64, 64), targets=(0, 3, COARSE))
    total, terms = loss(network(torch.randn(2, 3, 64, 64)), target if task == "semantic" else target * 60)
    total.backward()
    assert {"boundary_branch", "boundary_branch_classes", "auxiliary", "dice"} <= set(terms)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_a_batch_without_truth_gives_zero_and_no_nan():
    logits = torch.randn(2, 4, 8, 8, requires_grad=True)
    target = torch.full((2, 8, 8), IGNORED, dtype=torch.uint8)
    total, _ = build_loss(LossSettings(focal=1, dice=1, boundary=1, ohem_share=0.3), TABLE)(logits, target)
    total.backward()
    assert total.item() == 0
    assert logits.grad.abs().max() == 0


def test_low_precision_logits_are_judged_in_float32():
    logits, target = case()
    total, terms = build_loss(LossSettings(dice=1), TABLE)(logits.to(torch.bfloat16), target)
    assert total.dtype == torch.float32
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in terms.values())


def test_matte_cross_entropy_is_torchs_and_leaves_out_the_unknown():
    logits, matte = torch.randn(2, 1, 8, 8), torch.randint(0, 256, (2, 8, 8), dtype=torch.uint8)
    ignored = torch.rand(2, 8, 8) < 0.3
    expected = F.binary_cross_entropy_with_logits(logits[:, 0][~ignored], matte[~ignored].float() / 255)
    found = build_loss(LossSettings(task="matte"))(logits, matte, ignored)[0]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_every_matte_term_prefers_the_right_matte():
    truth = torch.zeros(1, 32, 32, dtype=torch.uint8)
    truth[:, 8:24, 8:24] = 255
    right = torch.where(truth > 0, 12.0, -12.0)[:, None]
    shifted = right.roll(2, dims=3)
    for name in ("cross_entropy", "focal", "dice", "boundary", "laplacian"):
        loss = only(name, None, task="matte", edge_weight=1.0)
        assert loss(right, truth)[0].item() < 0.01 < loss(shifted, truth)[0].item(), name


def test_mattes_are_averaged_to_the_size_of_the_logits():
    truth = torch.zeros(1, 8, 8, dtype=torch.uint8)
    truth[..., 1::2] = 255
    loss = build_loss(LossSettings(task="matte"))
    best = loss(torch.zeros(1, 1, 4, 4), truth)[0]
    assert best < loss(torch.ones(1, 1, 4, 4), truth)[0]
    assert best < loss(-torch.ones(1, 1, 4, 4), truth)[0]


def test_an_empty_scene_is_learned_as_nothing():
    truth = torch.zeros(2, 16, 16, dtype=torch.uint8)
    loss = only("dice", None, task="matte")
    assert loss(torch.full((2, 1, 16, 16), -12.0), truth)[0] < 0.01 < loss(torch.zeros(2, 1, 16, 16), truth)[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"cross_entropy": 0.0},
        {"cross_entropy": -1.0},
        {"laplacian": 1.0},
        {"task": "matte", "label_smoothing": 0.1},
        {"ohem_share": 0.0},
        {"label_smoothing": 1.0},
        {"edge_px": 0},
    ],
)
def test_settings_that_cannot_be_right_are_refused(settings):
    with pytest.raises(ConfigError, match="loss"):
        LossSettings(**settings)


def taught(soft, batch: int = 2):
    return (soft * 255).round().to(torch.uint8), torch.ones(batch, dtype=torch.bool)


def test_distilling_is_cross_entropy_with_the_teacher_where_it_may_be_heard():
    logits, target = case()
    soft, heard = taught(torch.randn(2, 4, 8, 12).mul(3).softmax(1))
    loss = only("distil")
    total, terms = loss(logits, target, None, soft, heard)
    shares = soft.float() / soft.float().sum(1, keepdim=True)
    member = torch.cat([torch.from_numpy(TABLE.membership()).float(), torch.ones(1, 4)])
    right = member[torch.where(target == IGNORED, 6, target.long())].permute(0, 3, 1, 2)
    kept = (shares * right).sum(1) > 0.5
    expected = -(shares * logits.log_softmax(1)).sum(1)[kept].mean()
    assert 0 < kept.float().mean() < 1
    assert total.item() == pytest.approx(expected.item(), rel=1e-4)
    assert terms["distil"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_only_samples_that_a_teacher_answered_about_are_distilled():
    logits, target = case()
    soft, heard = taught(torch.randn(2, 4, 8, 12).mul(3).softmax(1))
    heard[1] = False
    only("distil")(logits, target, None, soft, heard)[0].backward()
    assert logits.grad[0].abs().sum() > 0
    assert logits.grad[1].abs().sum() == 0


def test_a_matte_teacher_is_not_heard_where_the_truth_contradicts_it():
    logits = torch.zeros(1, 1, 1, 4, requires_grad=True)
    target = torch.tensor([[[0, 255, 255, 0]]], dtype=torch.uint8)
    ignored = torch.tensor([[[False, False, False, True]]])
    soft, heard = taught(torch.tensor([[[[0.1, 0.9, 0.2, 0.8]]]]), 1)
    loss = build_loss(LossSettings(task="matte", cross_entropy=0.0, distil=1.0))
    total, _ = loss(logits, target, ignored, soft, heard)
    total.backward()
    assert total.item() == pytest.approx(math.log(2), rel=1e-3)
    assert [value != 0 for value in logits.grad.flatten().tolist()] == [True, True, False, True]


def test_answers_of_another_size_are_brought_to_the_logits():
    logits, target = case()
    soft, heard = taught(torch.full((2, 4, 4, 6), 0.25))
    total, _ = only("distil")(logits, torch.full_like(target, IGNORED), None, soft, heard)
    assert total.item() == pytest.approx(-logits.log_softmax(1).mean().item(), rel=1e-3)
