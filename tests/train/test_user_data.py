"""A user's own folder: every way to say what its labels mean, and every mistake in one line."""

from __future__ import annotations

import tomllib

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.builder.toml_text import toml_text
from rtseg.datasets import Taxonomy, load_taxonomy
from rtseg.errors import ConfigError, SourceError
from rtseg.models.bundle import load_bundle
from rtseg.train.user_data import (
    members_of,
    open_user_data,
    taxonomy_tables,
    trained_classes,
)
from tests.train.tiny import write_squares

pytestmark = pytest.mark.needs_torch


@pytest.fixture(scope="module")
def street():
    return load_bundle("street")


@pytest.fixture(scope="module")
def person():
    return load_bundle("person")


def test_classes_are_names_on_the_command_line(street, tmp_path):
    data = open_user_data(write_squares(tmp_path), street, "field, forest")
    assert data.taxonomy.classes == ("field", "forest")
    assert len(data.training) + len(data.held_out) == 6
    assert len(data.held_out) >= 1


def test_classes_are_in_a_file_of_the_folder(street, tmp_path):
    write_squares(tmp_path)
    (tmp_path / "classes.txt").write_text("field\n\nforest\n")
    assert open_user_data(tmp_path, street).taxonomy.classes == ("field", "forest")
    (tmp_path / "classes.toml").write_text('classes = ["a", "b"]\n[map]\n"road" = "a"\n')
    assert open_user_data(tmp_path, street).taxonomy.mapping == {"road": "a"}


def test_without_classes_the_bundles_count(street, tmp_path):
    assert open_user_data(write_squares(tmp_path), street).taxonomy.classes == street.classes


def test_labels_may_be_drawn_in_colours(street, tmp_path):
    write_squares(tmp_path)
    colors = np.array([[0, 0, 0], [10, 200, 30]], np.uint8)
    for path in (tmp_path / "labels").iterdir():
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), colors[ids][..., ::-1])
    (tmp_path / "classes.txt").write_text("field #000000\nforest #0ac81e\n")
    data = open_user_data(tmp_path, street)
    assert set(np.unique(data.training.sample(0).labels)) == {0, 1}
    (tmp_path / "classes.txt").write_text("field #000000\nforest #0ac81f\n")
    with pytest.raises(SourceError, match=r"got the colours #0ac81e"):
        open_user_data(tmp_path, street)


@pytest.mark.parametrize(("subject", "layout"), [(1, "folder"), (255, "binary")])
def test_masks_of_people_are_told_apart(person, tmp_path, subject, layout):
    data = open_user_data(write_squares(tmp_path, subject=subject), person)
    assert (data.layout, data.taxonomy.name) == (layout, "person")
    assert set(np.unique(data.training.sample(0).labels)) == {0, 1}


def test_mattes_are_told_apart_from_masks(person, tmp_path):
    write_squares(tmp_path, subject=255)
    for path in (tmp_path / "labels").iterdir():
        cv2.imwrite(str(path), cv2.GaussianBlur(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), (0, 0), 2))
    data = open_user_data(tmp_path, person)
    assert (data.layout, data.taxonomy.kind) == ("alpha", "matte")


def test_the_split_is_by_name_and_stays_when_pictures_are_added(street, tmp_path):
    few = open_user_data(write_squares(tmp_path / "few", 40), street, "a,b")
    more = open_user_data(write_squares(tmp_path / "more", 80), street, "a,b")
    held_out = [{pair.name for pair in data.held_out.pairs} for data in (few, more)]
    trained = [{pair.name for pair in data.training.pairs} for data in (few, more)]
    assert held_out[0] <= held_out[1]
    assert trained[0] <= trained[1]
    assert not held_out[1] & trained[1]
    assert 4 <= len(held_out[1]) <= 22


def test_splits_of_its_own_are_kept(street, tmp_path):
    write_squares(tmp_path / "train", 3)
    write_squares(tmp_path / "val", 2)
    data = open_user_data(tmp_path, street, "a,b")
    assert (data.splits, len(data.training), len(data.held_out)) == (("train", "val"), 3, 2)


def test_two_pictures_are_one_to_train_on_and_one_to_score(street, tmp_path):
    data = open_user_data(write_squares(tmp_path, 2), street, "a,b")
    assert (len(data.training), len(data.held_out)) == (1, 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: None, r"--data: got .*gone, no folder"),
        (lambda root: root.mkdir(), r"has no images/ and labels/"),
        (lambda root: (write_squares(root, 3) / "labels").rename(root / "masks"), r"got no folder .*labels"),
        (lambda root: (write_squares(root, 3) / "labels" / "1.png").unlink(), r"1 pictures without a label"),
        (lambda root: write_squares(root, 1), r"got 1 picture with labels; expected at least 2"),
        (lambda root: write_squares(root, 3, subject=7), r"got the ids 7; expected 0, 1, 255"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(street, tmp_path, spoil, message):
    root = tmp_path / "gone"
    spoil(root)
    with pytest.raises(SourceError, match=message) as caught:
        open_user_data(root, street, "a,b")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("field", r"expected names such as road,car,other"),
        ("a,a", r"'a', empty or twice"),
        ("none.txt", r"expected a class name a line"),
        ("none.toml", r"taxonomy: got"),
    ],
)
def test_classes_that_cannot_be_right_fail(street, tmp_path, classes, message):
    with pytest.raises(ConfigError, match=message):
        open_user_data(write_squares(tmp_path, 2), street, classes)


@pytest.mark.parametrize("name", ["camvid11", "cityscapes19", "idd7", "comma10k5", "person", "matte"])
def test_a_taxonomy_reads_back_from_its_tables(name, tmp_path):
    taxonomy = load_taxonomy(name)
    path = tmp_path / f"{name}.toml"
    path.write_text(toml_text(taxonomy_tables(taxonomy)))
    assert load_taxonomy(path) == taxonomy
    assert tomllib.loads(path.read_text())["classes"] == list(taxonomy.classes)


def test_only_what_is_scored_can_be_learnt():
    taxonomy = Taxonomy("t", ("a", "b", "c", "d"), ignored_ids=(1,), merged={"d": "a"})
    assert trained_classes(taxonomy) == ("a", "c")


def test_a_class_begins_as_its_namesake_or_as_what_is_mapped_to_it():
    taxonomy = Taxonomy(
        "t", ("car", "way", "new"), mapping={"truck": "car", "road": "way", "lane": "way"}, default="new"
    )
    assert members_of(taxonomy.classes, ("road", "car", "truck", "lane", "sky"), taxonomy) == ((1,), (0, 3), ())
