"""Counting: hand-made cases, a second counter, and MobileNetV3 and LRASPP against their papers."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the networks need the extra `train`")

from torch import nn  # noqa: E402

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.models.nets.counting import count_cost  # noqa: E402
from rtseg.models.nets.lraspp_mobilenetv3 import LrasppMobileNetV3  # noqa: E402
from rtseg.models.nets.mobilenetv3 import MobileNetV3Classifier  # noqa: E402

pytestmark = pytest.mark.needs_torch


class Mixed(nn.Module):
    """One of each kind that is counted, one of them called twice, and products that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(8, 8, 5, padding=2, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 5)

    def forward(self, batch_nchw: torch.Tensor) -> torch.Tensor:
        features = self.grouped(self.grouped(self.first(batch_nchw)))
        return self.last(self.norm(self.up(features * features)).mean(dim=(2, 3)))


def test_hand_made_counts() -> None:
    cost = count_cost(Mixed(), (10, 6))
    assert cost.by_module == {
        "first": 5 * 3 * 8 * 3 * 9,
        "grouped": 2 * 5 * 3 * 8 * 2 * 25,
        "up": 5 * 3 * 8 * 6 * 4,
        "last": 6 * 5,
    }
    assert cost.multiply_adds == sum(cost.by_module.values())
    assert cost.parameters == (8 * 27 + 8) + 8 * 2 * 25 + (8 * 6 * 4 + 6) + 12 + 35


def test_counting_leaves_the_network_as_it_was() -> None:
    network = Mixed().train()
    count_cost(network, (8, 8))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())


def test_within_sums_a_part_by_its_dotted_name() -> None:
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)), nn.Conv2d(4, 2, 1))
    cost = count_cost(network, (3, 3))
    assert (cost.within("0"), cost.within("0.1"), cost.within("1")) == (9 * 12 + 9 * 16, 9 * 16, 9 * 8)


def test_agrees_with_torch_s_own_counter() -> None:
    counter = pytest.importorskip("torch.utils.flop_counter")
    network = LrasppMobileNetV3(19, "small").eval()
    with counter.FlopCounterMode(display=False) as count, torch.inference_mode():
        network(torch.zeros(1, 3, 64, 96))
    assert 2 * count_cost(network, (96, 64)).multiply_adds == count.get_total_flops()


def test_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="got a picture of 0x8"):
        count_cost(Mixed(), (0, 8))


@pytest.mark.parametrize(
    ("variant", "parameters", "public", "multiply_adds"),
    [("large", 5.4e6, 5_483_032, 219e6), ("small", 2.5e6, 2_542_856, 56e6)],
)
def test_classifiers_are_those_of_the_paper(variant: str, parameters: float, public: int, multiply_adds: float) -> None:
    # The paper: large 5.4 M and 219 M multiply-adds, small 2.5 M and 56 M. Measured 5.483 M and 216.6 M,
    # 2.543 M and 56.5 M: 2 % is the rounding of the printed values. torchvision's counts are met exactly.
    cost = count_cost(MobileNetV3Classifier(variant), (224, 224))
    assert cost.parameters == public
    assert cost.parameters == pytest.approx(parameters, rel=0.02)
    assert cost.multiply_adds == pytest.approx(multiply_adds, rel=0.02)


def test_lite_aspp_costs_what_the_public_implementation_says() -> None:
    # torchvision prints 3,221,538 parameters and 2.086 G operations at 520x520 for its 21 classes.
    cost = count_cost(LrasppMobileNetV3(21, "large", reduced_tail=False), (520, 520))
    assert cost.parameters == 3_221_538
    assert cost.multiply_adds == pytest.approx(2.086e9, rel=1e-3)


@pytest.mark.parametrize("variant", ["large", "small"])
def test_the_classifier_s_body_loads_into_the_segmenter(variant: str) -> None:
    classifier = MobileNetV3Classifier(variant, classes=7, width=0.5)
    network = LrasppMobileNetV3(3, variant, width=0.5, reduced_tail=False)
    network.body.load_state_dict(classifier.body.state_dict())
    assert classifier.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


def test_every_weight_of_the_classifier_gets_a_gradient() -> None:
    torch.manual_seed(0)
    network = MobileNetV3Classifier("small", classes=5, width=0.5).train()
    network(torch.randn(4, 3, 64, 64)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_folded_classifier_agrees() -> None:
    torch.manual_seed(0)
    network = MobileNetV3Classifier("small", classes=5, width=0.5).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    batch = torch.randn(2, 3, 64, 64)
    plain = network.deploy()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    with torch.inference_mode():
        assert torch.allclose(plain(batch), network(batch), atol=1e-4, rtol=1e-4)
