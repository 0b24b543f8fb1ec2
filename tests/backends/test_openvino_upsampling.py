"""Labels taken in phases are those of the scaled-up planes."""

from __future__ import annotations

import numpy as np
import openvino as ov
import openvino.opset13 as op
import pytest

from rtseg.backends.openvino_upsampling import argmax_before_upsampling, tap_weights

PLANES, SMALL_HW = 7, (9, 14)


def scaled_up(small, size_hw, **changed):
    how = {
        "mode": "linear_onnx",
        "shape_calculation_mode": "sizes",
        "pads_begin": [0, 0, 0, 0],
        "pads_end": [0, 0, 0, 0],
        "coordinate_transformation_mode": "half_pixel",
        "nearest_mode": "floor",
        "antialias": False,
        "cube_coeff": -0.75,
        **changed,
    }
    sizes, axes = op.constant(np.array(size_hw, np.int64)), op.constant(np.array([2, 3], np.int64))
    return op.interpolate(small, sizes, *how.values(), axes)


def argmax(planes):
    winner = op.topk(planes, op.constant(np.int64(1)), 1, "max", "value", "i32", stable=True)
    return op.convert(winner.output(1), "u8")


def labels_of(build, planes):
    source = op.parameter(list(planes.shape), ov.Type.f32)
    model = ov.Model([op.result(build(source))], [source], "labels")
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([planes])[0]


def exactly_scaled(planes, times):
    """Bilinear with half-pixel centres and repeated borders, float64, from its definition."""
    for axis in (2, 3):
        side = planes.shape[axis]
        at = (np.arange(side * times) + 0.5) / times - 0.5
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        first, second = (np.take(planes, np.clip(low + step, 0, side - 1), axis) for step in (0, 1))
        planes = first * (1 - share) + second * share
    return planes


@pytest.mark.parametrize("times", [2, 3, 4])
def test_phases_are_the_argmax_of_the_planes_scaled_up(times):
    planes = np.random.default_rng(times).normal(size=(1, PLANES, *SMALL_HW)).astype(np.float32)
    size_hw = [side * times for side in SMALL_HW]

    def build(source):
        return argmax_before_upsampling(op, scaled_up(source, size_hw).output(0), 1, argmax)

    exact = exactly_scaled(planes.astype(np.float64), times)
    found = labels_of(build, planes)
    assert found.shape == (1, 1, *size_hw)
    np.testing.assert_array_equal(found[0, 0], exact[0].argmax(0))
    nearest = planes[0].argmax(0).repeat(times, 0).repeat(times, 1)
    assert (found[0, 0] != nearest).mean() > 0.05  # labels scaled up instead would be seen


def test_equal_planes_give_the_lowest_class():
    planes = np.ones((1, PLANES, *SMALL_HW), np.float32)
    size_hw = [2 * side for side in SMALL_HW]
    found = labels_of(
        lambda source: argmax_before_upsampling(op, scaled_up(source, size_hw).output(0), 1, argmax), planes
    )
    assert not found.any()


@pytest.mark.parametrize(
    ("size_hw", "changed"),
    [
        ((18, 42), {}),
        ((20, 28), {}),
        ((72, 112), {}),
        ((18, 28), {"mode": "nearest"}),
        ((18, 28), {"mode": "cubic"}),
        ((18, 28), {"coordinate_transformation_mode": "align_corners"}),
        ((18, 28), {"coordinate_transformation_mode": "asymmetric"}),
        ((18, 28), {"pads_begin": [0, 0, 1, 0]}),
    ],
)
def test_other_ways_of_scaling_are_left_alone(size_hw, changed):
    source = op.parameter([1, PLANES, *SMALL_HW], ov.Type.f32)
    output = scaled_up(source, size_hw, **changed).output(0)
    assert argmax_before_upsampling(op, output, 1, argmax) is None
    assert argmax_before_upsampling(op, op.relu(output).output(0), 1, argmax) is None


def test_weights_of_a_block_sum_to_one_and_mirror_each_other():
    assert [(before, weights.tolist()) for before, weights in tap_weights(2)] == [(1, [0.25, 0.75]), (0, [0.75, 0.25])]
    for times in (3, 4):
        places = tap_weights(times)
        assert all(weights.sum() == pytest.approx(1) for _, weights in places)
        assert places[0][1].tolist() == pytest.approx(places[-1][1][::-1].tolist())
