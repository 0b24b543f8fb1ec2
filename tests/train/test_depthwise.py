"""The quick gradients equal torch's own, and only the slow convolutions are replaced."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.train.depthwise import QuickDepthwise, quicken  # noqa: E402

pytestmark = pytest.mark.needs_torch


@pytest.mark.parametrize("size_hw", [(12, 20), (11, 13)])
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_quick_gradients_equal_torch_own(side, stride, size_hw):
    torch.manual_seed(side * stride)
    plain = torch.nn.Conv2d(8, 8, side, stride, side // 2, groups=8, bias=False).double()
    quick = torch.nn.Conv2d(8, 8, side, stride, side // 2, groups=8, bias=False).double()
    quick.load_state_dict(plain.state_dict())
    quick.__class__ = QuickDepthwise
    batch = torch.randn(2, 8, *size_hw, dtype=torch.float64)
    found = []
    for convolution in (plain, quick):
        entry = batch.clone().requires_grad_()
        out = convolution(entry)
        (out * torch.arange(out.numel(), dtype=out.dtype).reshape(out.shape).sin()).sum().backward()
        found.append((entry.grad, convolution.weight.grad))
    for expected, got in zip(*found, strict=True):
        assert torch.allclose(expected, got, atol=1e-10)


def test_quicken_takes_only_the_slow_convolutions():
    layers = [torch.nn.Conv2d(8, 8, k, s, k // 2, groups=8, bias=False) for k, s in ((3, 1), (5, 1), (3, 2))]
    dilated = torch.nn.Conv2d(8, 8, 3, 2, 2, dilation=2, groups=8, bias=False)
    network = quicken(torch.nn.Sequential(*layers, torch.nn.Conv2d(8, 8, 5, bias=False), dilated))
    assert [isinstance(m, QuickDepthwise) for m in network] == [False, True, True, False, False]
