"""Networks by name, and weights carried over to other classes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.train.networks import (  # noqa: E402
    NetworkSettings,
    build_network,
    carry_over,
    head_weights,
    network_from,
    network_names,
    network_table,
)

pytestmark = pytest.mark.needs_torch
TINY = NetworkSettings(
    name="BiSeNetV2", settings={"width": 0.125, "semantic_width": 0.5, "head_channels": 64, "fine": True}
)


@pytest.mark.parametrize("name", network_names())
def test_every_network_can_be_built_and_its_head_is_found(name):
    network = NetworkSettings(name=name)
    heads = head_weights(network, 5)
    state = build_network(network, 5).state_dict()
    assert heads
    assert all(state[weight].shape[0] == 5 * rows for weight, rows in heads.items())


def test_logits_are_at_the_heads_size_to_train_and_full_to_export():
    batch = torch.zeros(1, 3, 64, 64)
    sides = [build_network(TINY, 3, full_size=full).eval()(batch).shape[-1] for full in (False, True)]
    assert sides == [32, 64]


def test_a_table_reads_back():
    assert network_from(network_table(TINY), "network") == TINY
    with pytest.raises(ConfigError, match='expected a table with name = "…"'):
        network_from({"width": 1}, "network")


def test_settings_that_do_not_fit_fail():
    with pytest.raises(ConfigError, match=r"expected settings that its constructor takes"):
        build_network(NetworkSettings(name="DdrNet", settings={"planes": "many"}), 3)


def test_a_head_takes_the_rows_of_the_classes_it_knows():
    torch.manual_seed(0)
    old, new = build_network(TINY, 4), build_network(TINY, 3)
    heads = head_weights(TINY, 3)
    assert heads["head.last.weight"] == 4  # a pixel shuffle of 2 x 2
    fresh = {name: new.state_dict()[name].clone() for name in heads}
    carry_over(new, old.state_dict(), heads, [(2,), (), (0, 3)])
    for name, rows in heads.items():
        before, after = (network.state_dict()[name] for network in (old, new))
        assert torch.equal(after[:rows], before[2 * rows : 3 * rows]), name
        assert torch.equal(after[rows : 2 * rows], fresh[name][rows : rows + 1].expand_as(after[:rows])), name
        assert torch.allclose(after[2 * rows :], (before[:rows] + before[3 * rows :]) / 2), name
    body = next(iter(old.state_dict()))
    assert torch.equal(new.state_dict()[body], old.state_dict()[body])


def test_a_known_class_gives_the_same_logits_after_it_moved():
    torch.manual_seed(0)
    old, new = build_network(TINY, 4).eval(), build_network(TINY, 2).eval()
    carry_over(new, old.state_dict(), head_weights(TINY, 2), [(3,), (1,)])
    batch = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(new(batch), old(batch)[:, [3, 1]], atol=1e-5)


def test_weights_of_another_network_fail():
    other = NetworkSettings(name="BiSeNetV2", settings={**TINY.settings, "width": 0.25})
    with pytest.raises(ConfigError, match=r"weights: got .* of \[.*\]; expected \["):
        carry_over(build_network(TINY, 3), build_network(other, 3).state_dict(), {}, None)
    with pytest.raises(ConfigError, match=r"names that differ"):
        carry_over(build_network(TINY, 3), {"x": torch.zeros(1)}, {}, None)
