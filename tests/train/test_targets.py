from __future__ import annotations

import numpy as np
import pytest

from rtseg.cityscapes import CITYSCAPES
from rtseg.datasets import Taxonomy, load_taxonomy
from rtseg.errors import ConfigError
from rtseg.train.targets import IGNORED, TargetTable, target_table

FINE = tuple(CITYSCAPES)


def names_of(table: TargetTable, target: int) -> set[str]:
    return {table.classes[index] for index in table.members[target]}


@pytest.mark.parametrize(
    ("taxonomy", "own", "members"),
    [
        ("camvid11", 6, {"traffic light", "traffic sign"}),
        ("camvid11", 3, {"road"}),
        ("camvid11", 10, {"rider", "motorcycle", "bicycle"}),
        ("idd7", 1, {"sidewalk", "terrain"}),
        ("idd7", 5, {"building", "vegetation"}),
        ("idd7", 3, {"car", "truck", "bus", "train", "motorcycle", "bicycle"}),
        ("comma10k5", 1, {"road"}),
        ("comma10k5", 3, {"person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"}),
    ],
)
def test_a_coarse_label_allows_exactly_its_fine_classes(taxonomy, own, members):
    table = target_table(FINE, ("camvid11", "idd7", "comma10k5", "cityscapes19"))
    assert names_of(table, table.lookup(load_taxonomy(taxonomy))[own]) == members


def test_void_and_unknown_ids_are_ignored():
    table = target_table(FINE, ("camvid11", "comma10k5"))
    assert table.lookup(load_taxonomy("camvid11"))[[11, 12, 200, 255]].tolist() == [IGNORED] * 4
    assert table.lookup(load_taxonomy("comma10k5"))[4] == IGNORED, "the own car teaches nothing"


def test_fine_labels_are_themselves_and_need_no_group():
    table = target_table(FINE, ("cityscapes19",))
    assert table.groups == ()
    assert table.lookup(load_taxonomy("cityscapes19"))[:19].tolist() == list(range(19))


def test_membership_has_one_row_a_target():
    table = target_table(("a", "b", "c"), (Taxonomy("t", ("x", "y"), mapping={"a": "x", "b": "x", "c": "y"}),))
    assert table.groups == ((0, 1),)
    assert table.membership().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]


def test_a_label_under_which_everything_is_right_says_nothing():
    everything = Taxonomy("t", ("thing",), mapping={"a": "thing", "b": "thing"})
    table = target_table(("a", "b"), (everything,))
    assert table.lookup(everything)[0] == IGNORED


def test_a_taxonomy_without_a_common_class_is_refused():
    with pytest.raises(ConfigError, match="no class"):
        target_table(("spoon",), ("camvid11",))


def test_a_group_that_was_not_asked_for_is_refused():
    with pytest.raises(ConfigError, match="Name its taxonomy"):
        target_table(FINE, ("cityscapes19",)).lookup(load_taxonomy("idd7"))


def test_finer_names_become_the_classes_of_a_coarse_network():
    camvid = load_taxonomy("camvid11")
    table = target_table(camvid.classes, (camvid,))
    lookup = table.of_names(FINE, camvid)
    assert camvid.classes[lookup[FINE.index("traffic light")]] == "sign"
    assert lookup[FINE.index("rider")] == camvid.classes.index("bicyclist")
    assert table.of_names(FINE)[FINE.index("rider")] == IGNORED


def test_targets_within_names_leave_out_groups_that_reach_further():
    table = target_table(FINE, ("camvid11", "idd7"))
    found = table.targets_within(("car", "truck", "bus", "train"))
    assert found[FINE.index("car")]
    assert found[table.members.index((13, 14, 15, 16))]
    assert not found[table.members.index((13, 14, 15, 16, 17, 18))]
    assert np.count_nonzero(found) == 5
