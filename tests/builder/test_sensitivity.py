"""Ranking by halves finds the worst layers first, and measures little."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

pytest.importorskip("onnx", reason="building needs the extra `train`")

from rtseg.builder.sensitivity import rank

pytestmark = pytest.mark.needs_torch


class Sum:
    """Errors of layers that add up, as the noise of independent layers about does."""

    def __init__(self, errors: dict[str, float]) -> None:
        self.errors = errors
        self.measured = 0

    def __call__(self, layers):
        self.measured += 1
        return sum(self.errors[layer] for layer in layers)


def test_layers_come_in_falling_order_of_their_error():
    values = np.random.default_rng(2).permutation(40) ** 4.0
    errors = {f"layer{index}": float(value) for index, value in enumerate(values)}
    found = list(rank(tuple(errors), Sum(errors)))
    assert len(found) == 40
    assert sorted(found, key=lambda one: -one.error)[:3] == found[:3]
    assert {one.layer: one.error for one in found} == errors


def test_the_worst_of_a_hundred_takes_few_measurements():
    errors = {f"layer{index}": 0.001 for index in range(100)} | {"layer37": 1.0, "layer80": 0.5}
    error_of = Sum(errors)
    found = [one.layer for one in islice(rank(tuple(errors), error_of), 2)]
    assert found == ["layer37", "layer80"]
    assert error_of.measured <= 30  # one by one it would be a hundred


def test_equal_errors_keep_the_order_of_the_graph():
    names = ("c", "a", "b")
    assert [one.layer for one in rank(names, lambda _layers: 1.0)] == ["c", "a", "b"]
    assert list(rank((), lambda _layers: 1.0)) == []
