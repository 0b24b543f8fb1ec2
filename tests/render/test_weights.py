from __future__ import annotations

import numpy as np
import pytest

from rtseg.render.weights import Mask, lookup_table, premultiplied_bytes, weight_bytes
from tests.render.parts import person_result, street_result


def test_weights_are_clipped_to_bytes():
    np.testing.assert_array_equal(weight_bytes([-0.1, 0.5, 1.2]), [0, 128, 255])


def test_premultiplied_colours_never_exceed_their_weight():
    weights = np.arange(256, dtype=np.uint8)
    for value in (0, 1, 127, 255):
        assert (premultiplied_bytes(weights, [value] * 256) <= weights).all()


def test_a_matte_runs_between_its_two_classes():
    table = lookup_table(np.array([255, 0], np.uint8), is_matte=True)
    np.testing.assert_array_equal(table, 255 - np.arange(256))


def test_labels_without_a_class_weigh_nothing():
    table = lookup_table(np.full(19, 200, np.uint8), is_matte=False)
    assert table[18] == 200
    assert not table[19:].any()


def test_where_a_weight_is_zero_its_colour_is_too():
    """Smoothing and scaling round both; the colour must never outlive its weight, or frames would change unseen."""
    weights = weight_bytes([0.01 * (index % 3) for index in range(19)])
    colors = premultiplied_bytes(weights, [255] * 19)
    for result in (street_result((301, 203)), person_result((301, 203))):
        mask = Mask(result)
        for size_wh in ((301, 203), (64, 32), (20, 11)):
            weight, color = mask.scaled(weights, size_wh), mask.scaled(colors, size_wh)
            assert (color <= weight).all()


def test_edges_of_labels_are_soft_and_flat_areas_exact():
    result = street_result((320, 160))
    weight = Mask(result).scaled(weight_bytes([1.0] + [0.0] * 18), (320, 160))
    assert weight[-1, 160] == 255
    assert weight[0, 0] == 0
    assert len(np.unique(weight)) > 50


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("make", [street_result, person_result])
def test_several_tables_at_once_are_those_one_by_one(make, count):
    rng = np.random.default_rng(4)
    mask = Mask(make((320, 180)))
    tables = [rng.integers(0, 256, 19, np.uint8) for _ in range(count)]
    together = mask.look_up_all(tables)
    assert len(together) == count
    for plane, table in zip(together, tables, strict=True):
        np.testing.assert_array_equal(plane, mask.look_up(table))
