"""Taxonomies: the committed ones say what the scoring rule says, and wrong files are refused."""

from __future__ import annotations

import numpy as np
import pytest

from rtseg.cityscapes import CITYSCAPES
from rtseg.datasets import list_taxonomies, load_taxonomy, map_labels
from rtseg.datasets.taxonomy import OTHER
from rtseg.errors import ConfigError

STREET = tuple(CITYSCAPES)
RULES = {
    "cityscapes19": list(range(19)),
    "camvid11": [3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10],
    "idd7": [0, 1, 5, 4, 4, 4, 4, 4, 5, 1, 6, 2, 2, 3, 3, 3, 3, 3, 3],
    "comma10k5": [0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3],
    "person": [0] * 11 + [1, 1] + [0] * 6,
    "matte": [0] * 11 + [1, 1] + [0] * 6,
}


def test_there_are_the_six():
    assert set(list_taxonomies()) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_the_19_classes_map_as_the_scoring_rule_says(name):
    labels = np.arange(19, dtype=np.uint8)[None]
    assert map_labels(labels, STREET, load_taxonomy(name)).tolist() == [RULES[name]]


def test_camvid_has_its_classes_in_order_and_ignores_the_twelfth():
    camvid = load_taxonomy("camvid11")
    assert " ".join(camvid.classes) == "sky building pole road pavement tree sign fence car pedestrian bicyclist"
    table = camvid.truth_table()
    assert table[:12].tolist() == [*range(11), 255]
    assert table[255] == 255
    assert (table[12:255] == -1).all()


def test_comma_scores_lane_marks_as_road_and_ignores_the_own_car():
    assert load_taxonomy("comma10k5").truth_table()[:5].tolist() == [0, 0, 2, 3, 255]


def test_an_unknown_class_is_other_and_never_right():
    labels = np.array([[0, 1, 2]], np.uint8)
    assert map_labels(labels, ("road", "giraffe", "sky"), load_taxonomy("camvid11")).tolist() == [[3, OTHER, 0]]


def test_true_labels_of_another_set_are_ignored_where_they_mean_nothing_here():
    table = load_taxonomy("camvid11").truth_table(["car", "giraffe", None])
    assert table[:3].tolist() == [8, 255, 255]
    assert load_taxonomy("person").truth_table(["car", "person", None])[:3].tolist() == [0, 1, 255]


def test_members_are_the_model_classes_that_a_coarse_class_takes_in():
    members = load_taxonomy("idd7").members(STREET)
    assert members[2] == (11, 12)
    assert sorted(sum(members, ())) == list(range(19))


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ('classes = ["a", "a"]', "different names"),
        ("classes = []", "different names"),
        ('class = ["a"]', "keys class"),
        ('classes = "a"', "list of names"),
        ('classes = ["a"]\nignored_ids = [999]', "0 to 255"),
        ('classes = ["a"]\ndefault = "b"', "b"),
        ('classes = ["a"]\n[map]\nx = "b"', "b"),
        ('classes = ["a"]\n[map]\nx = 3', "names to names"),
        ('classes = ["a"]\n[colors]\n"#zz" = "a"', "#zz"),
        ('classes = ["a"]\nkind = "matte"', "matte"),
        ("classes = [", "TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path, text, telling):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="taxonomy own") as caught:
        load_taxonomy(path)
    assert telling in str(caught.value)


def test_a_file_of_ones_own_works_and_an_unknown_name_lists_the_known(tmp_path):
    path = tmp_path / "fields.toml"
    path.write_text('classes = ["field", "forest"]\n[map]\ntrees = "forest"')
    assert load_taxonomy(path).class_of("trees") == "forest"
    with pytest.raises(ConfigError, match="camvid11"):
        load_taxonomy("camvid")
