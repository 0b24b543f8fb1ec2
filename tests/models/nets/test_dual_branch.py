"""DDRNet, PIDNet, PP-LiteSeg, RegSeg: size and cost against the papers, shapes, gradients, deployment, export."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need the extra `train`")

from torch import nn  # noqa: E402

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.models.nets.blocks import inference_output  # noqa: E402
from rtseg.models.nets.counting import count_cost  # noqa: E402
from rtseg.models.nets.ddrnet import DdrNet, ddrnet23_slim, ddrnet_compact  # noqa: E402
from rtseg.models.nets.deploy import deployed  # noqa: E402
from rtseg.models.nets.pidnet import LightBoundaryFusion, PidNet, PixelAttention, pidnet_compact, pidnet_small  # noqa: E402
from rtseg.models.nets.pp_liteseg import PpLiteSeg, StdcClassifier, cell_means, pp_liteseg_compact  # noqa: E402
from rtseg.models.nets.regseg import DilatedPair, RegSeg  # noqa: E402
from rtseg.models.nets.residual import PyramidScales  # noqa: E402

pytestmark = pytest.mark.needs_torch

Build = Callable[[], Any]
# The exact layout at a third of the width: quick, and every branch is there.
NARROW: dict[str, Build] = {
    "ddrnet": lambda: DdrNet(5, 8, pool_channels=16, head_channels=16),
    "ddrnet fine": lambda: DdrNet(5, 8, pool_channels=16, head_channels=16, fine=True),
    "pidnet": lambda: PidNet(5, 8, pool_channels=16, head_channels=16),
    "pidnet fine": lambda: PidNet(5, 8, pool_channels=16, head_channels=16, fine=True),
    "pp_liteseg": lambda: PpLiteSeg(5, 0.125, (16, 16, 32)),
    "regseg": lambda: RegSeg(5, 0.25, ((1,), (1, 2), (1, 4))),
}
HEAD_SCALES = {"ddrnet": 8, "ddrnet fine": 2, "pidnet": 8, "pidnet fine": 2, "pp_liteseg": 8, "regseg": 4}
each_network = pytest.mark.parametrize("build", NARROW.values(), ids=NARROW.keys())


def seeded(build: Build) -> Any:
    torch.manual_seed(0)
    return build()


def total(network: Any) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def unsettled(network: Any) -> Any:
    """Return the network with batch-norm statistics far from 0 and 1, so that a forgotten fold would show."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return network


@pytest.mark.parametrize(
    ("build", "parameters", "multiply_adds"),
    [
        # DDRNet's paper, at 2048x1024: 5.7 M, 36.3 G. Measured 5.690 M, 36.28 G.
        (ddrnet23_slim, 5.7e6, 36.3e9),
        # PIDNet's paper, at 2048x1024: 7.6 M, 47.6 G. Measured 7.618 M, 47.19 G (0.9 % less; the products of feature
        # maps that attention makes are not counted here).
        (pidnet_small, 7.6e6, 47.6e9),
    ],
    ids=["ddrnet", "pidnet"],
)
def test_deployed_size_and_cost_are_the_paper_s(build: Build, parameters: float, multiply_adds: float) -> None:
    # The printed values have two and three digits: 1 % is their rounding.
    cost = count_cost(build().deploy(), (2048, 1024))
    assert cost.parameters == pytest.approx(parameters, rel=0.01)
    assert cost.multiply_adds == pytest.approx(multiply_adds, rel=0.01)


def test_the_encoder_of_pp_liteseg_has_the_paper_s_size_and_cost() -> None:
    # STDC's paper: STDC1 8.44 M and 813 M at 224x224. Measured 8.444 M and 806.1 M, 0.9 % less; batch norms
    # and pooling are not counted here. PP-LiteSeg's paper prints neither for the whole network.
    cost = count_cost(StdcClassifier(), (224, 224))
    assert cost.parameters == pytest.approx(8.44e6, rel=0.002)
    assert cost.multiply_adds == pytest.approx(813e6, rel=0.01)


def test_regseg_has_the_paper_s_size_and_cost() -> None:
    # At 2048x1024: 3.34 M, 39.1 G. Measured 3.335 M, 38.35 G, 1.9 % less; batch norms, which are not counted here,
    # would add 0.47 G as two operations a value.
    cost = count_cost(RegSeg(), (2048, 1024))
    assert cost.parameters == pytest.approx(3.34e6, rel=0.005)
    assert cost.multiply_adds == pytest.approx(39.1e9, rel=0.025)


def test_folding_takes_one_number_a_channel() -> None:
    # A pair's scale and shift become one bias; batch norms that precede a ReLU stay as they are.
    network = ddrnet23_slim()
    in_heads = total(network.auxiliary)
    pairs = sum(
        before.out_channels
        for name, sequence in network.named_modules()
        if isinstance(sequence, nn.Sequential) and not name.startswith("auxiliary")
        for before, after in itertools.pairwise(sequence)
        if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d)
    )
    assert pairs > 4000
    assert total(network) - in_heads - total(network.deploy()) == pairs


@pytest.mark.parametrize("build", [ddrnet_compact, pidnet_compact, pp_liteseg_compact])
def test_compact_variants_may_ship(build: Build) -> None:
    assert 2e6 < total(build().deploy()) < 3.9e6


@each_network
@pytest.mark.parametrize("size_hw", [(64, 128), (129, 161), (150, 254)])
def test_logits_have_the_input_size_at_any_size(build: Build, size_hw: tuple[int, int]) -> None:
    assert inference_output(seeded(build), torch.zeros(1, 3, *size_hw)).shape == (1, 5, *size_hw)


@pytest.mark.parametrize(("name", "scale"), HEAD_SCALES.items())
def test_the_head_s_own_size(name: str, scale: int) -> None:
    network = seeded(NARROW[name])
    network.full_size = False
    assert inference_output(network, torch.zeros(1, 3, 128, 64)).shape == (1, 5, 128 // scale, 64 // scale)


def test_training_adds_the_auxiliary_logits() -> None:
    batch = torch.randn(2, 3, 128, 64)
    logits, auxiliary = seeded(NARROW["ddrnet"]).train()(batch)
    assert [logits.shape, *(a.shape for a in auxiliary)] == [(2, 5, 128, 64), (2, 5, 16, 8)]
    logits, auxiliary, boundary = seeded(NARROW["pidnet"]).train()(batch)
    assert [logits.shape, *(a.shape for a in auxiliary)] == [(2, 5, 128, 64), (2, 5, 16, 8)]
    assert boundary.shape == (2, 1, 16, 8)
    logits, auxiliary = seeded(NARROW["pp_liteseg"]).train()(batch)
    assert [logits.shape, *(a.shape for a in auxiliary)] == [(2, 5, 128, 64), (2, 5, 8, 4), (2, 5, 4, 2)]


def _tensors(outputs: Any) -> list[Any]:
    return [outputs] if isinstance(outputs, torch.Tensor) else [t for part in outputs for t in _tensors(part)]


# Shifts just before the pyramid, the final head or its entry, whose batch norm takes them out again.
DDRNET_IDLE = {
    f"body.{last}.{part}.bias" for last in ("last_deep", "last_detail") for part in ("body.2.1", "shortcut.1")
}
PIDNET_IDLE = {"context.embed.1.body.2.1.bias", "fuse.of_context.1.bias", "fuse.of_detail.1.bias"}


@pytest.mark.parametrize(
    ("name", "expected_idle"),
    [
        ("ddrnet", DDRNET_IDLE),
        ("ddrnet fine", DDRNET_IDLE),
        ("pidnet", PIDNET_IDLE),
        ("pidnet fine", PIDNET_IDLE),
        ("pp_liteseg", set()),
        ("regseg", set()),
    ],
)
def test_every_weight_gets_a_gradient(name: str, expected_idle: set[str]) -> None:
    # Double precision and random targets: what a batch norm takes out again is 1e-13, everything else above 1.
    network = seeded(NARROW[name]).double().train()
    outputs = _tensors(network(torch.randn(4, 3, 128, 192, dtype=torch.double)))
    sum((output * torch.randn_like(output)).sum() for output in outputs).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert {name for name, p in network.named_parameters() if p.grad.abs().max() < 1e-6} == expected_idle


@each_network
def test_deployment_agrees_and_has_no_training_only_part(build: Build) -> None:
    network = unsettled(seeded(build))
    batch = torch.randn(1, 3, 96, 160)
    expected = inference_output(network, batch)
    plain = network.deploy()
    assert not plain.training
    assert not [n for n, _ in plain.named_parameters() if n.startswith(("auxiliary", "boundary_head"))]
    difference = (inference_output(plain, batch) - expected).abs().max()
    # Measured 4e-7 to 3e-6 of the spread in float32 (4e-6 for PIDNet-S at its full width).
    assert difference <= 3e-5 * (expected.max() - expected.min())
    assert isinstance(plain.train()(torch.randn(2, 3, 128, 128)), torch.Tensor)


@each_network
def test_deployment_leaves_the_original_trainable(build: Build) -> None:
    network = seeded(build).train()
    before = total(network)
    network.deploy()
    assert total(network) == before
    assert network.training
    network(torch.randn(2, 3, 64, 64))


def test_batch_norms_stay_only_where_no_convolution_precedes() -> None:
    for name in ("pp_liteseg", "regseg"):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in seeded(NARROW[name]).deploy().modules())
    plain = seeded(NARROW["ddrnet"]).deploy()
    left = [name for name, module in plain.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(left) == 12  # eleven in the pyramid, one at the head's entry; each precedes a ReLU
    assert all(name.startswith(("body.pyramid.", "head.0")) for name in left)


def test_a_network_that_names_no_training_parts_is_refused() -> None:
    with pytest.raises(ConfigError, match="which has no TRAINING_ONLY"):
        deployed(nn.Conv2d(3, 3, 1))


@each_network
@pytest.mark.filterwarnings("ignore")
def test_exported_graph_agrees_with_torch(build: Build, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    network, path, size_hw = unsettled(seeded(build)).deploy(), tmp_path / "net.onnx", (96, 160)
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, *size_hw),),
        str(path),
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamo=False,
    )
    graph = onnx.load(str(path)).graph
    assert [d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == [1, 5, *size_hw]
    assert not {node.op_type for node in graph.node} & {"If", "Loop", "NonZero", "ScatterND", "ConstantOfShape"}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    spikes = np.zeros((1, 3, *size_hw), np.float32)
    spikes[0, 1, 17, 33] = 40.0
    for batch in (np.random.default_rng(5).normal(0, 2, spikes.shape).astype(np.float32), spikes, spikes - 2.1):
        expected = inference_output(network, torch.from_numpy(batch)).numpy()
        found = session.run(["logits"], {"image": batch})[0]
        # Measured 4e-7 to 7e-6 of the spread (6e-6 for PIDNet-S at its full width).
        assert np.abs(found - expected).max() <= 5e-5 * max(1.0, np.ptp(expected))


def test_pyramid_views_run_from_narrow_to_global() -> None:
    scales = PyramidScales(2, 2).eval()
    for view in scales.views:
        nn.init.dirac_(view[1][2].weight)
    picture = torch.zeros(1, 2, 33, 33)
    picture[:, :, 16, 16] = 1000.0
    with torch.inference_mode():
        peaks = [float(view.max()) for view in scales(picture)]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] == pytest.approx(1000 / 33**2, rel=1e-3)


def test_pixel_attention_takes_the_context_where_both_agree() -> None:
    attention = PixelAttention(4, 4).eval()
    for branch in (attention.of_detail, attention.of_context):
        nn.init.dirac_(branch[0].weight)
    detail, context = torch.full((1, 4, 4, 4), 3.0), torch.full((1, 4, 2, 2), 5.0)
    assert torch.allclose(attention(detail, context), torch.tensor(5.0), atol=1e-3)
    assert torch.allclose(attention(-detail, context), torch.tensor(-3.0), atol=1e-3)


def test_boundary_fusion_takes_the_detail_at_edges_and_the_context_elsewhere() -> None:
    fusion = LightBoundaryFusion(1).eval()
    for branch in (fusion.of_detail, fusion.of_context):
        nn.init.ones_(branch[0].weight)
    detail, context = torch.full((1, 1, 1, 2), 10.0), torch.full((1, 1, 1, 2), 1.0)
    fused = fusion(detail, context, torch.tensor([[[[30.0, -30.0]]]]))
    # At an edge: detail + (context + detail); elsewhere: (context + detail) + context.
    assert torch.allclose(fused.flatten(), torch.tensor([21.0, 12.0]), atol=1e-3)


def test_dilated_shares_see_their_own_distance() -> None:
    pair = DilatedPair(4, (1, 3), group_width=2, stride=1)
    for convolution in pair.convolutions:
        nn.init.ones_(convolution.weight)
    spike = torch.zeros(1, 4, 9, 9)
    spike[:, :, 4, 4] = 1.0
    with torch.inference_mode():
        seen = pair(spike)[0]
    assert seen[0].nonzero().min(0).values.tolist() == [3, 3]
    assert seen[3].nonzero().min(0).values.tolist() == [1, 1]


@pytest.mark.parametrize("size_hw", [(8, 16), (3, 7), (5, 4), (2, 3)])
@pytest.mark.parametrize("cells", [1, 2, 4])
def test_cell_means_are_the_adaptive_pool_s(size_hw: tuple[int, int], cells: int) -> None:
    batch = torch.randn(2, 3, *size_hw)
    assert torch.allclose(cell_means(batch, cells), nn.functional.adaptive_avg_pool2d(batch, cells), atol=1e-6)
