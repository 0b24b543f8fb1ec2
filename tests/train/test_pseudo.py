from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rtseg.errors import ConfigError
from rtseg.train.pseudo import Teacher, label_set, pseudo_matte, pseudo_targets
from rtseg.train.sets import SetSettings, open_set
from rtseg.train.targets import IGNORED, TargetTable, target_table
from tests.train.pictures import ListedSet, write_set

TABLE = TargetTable(("a", "b", "c"), ((0, 1),))
GROUP = 3


def one(shares: list[float], target: int, confidence: float = 0.6, beside: int = 2) -> int:
    """Return what becomes of one pixel, with another of known truth beside it."""
    planes = np.array([[shares, [0.0, 0.0, 1.0]]], np.float32).transpose(2, 0, 1)
    return int(pseudo_targets(planes, np.array([[target, beside]], np.uint8), TABLE, confidence)[0, 0])


@pytest.mark.parametrize(
    ("shares", "target", "expected"),
    [
        ([0.5, 0.1, 0.4], GROUP, 0),  # sure inside the group, though not in all
        ([0.3, 0.25, 0.45], GROUP, GROUP),  # not sure which
        ([0.1, 0.02, 0.88], GROUP, GROUP),  # does not believe in the group at all
        ([0.0, 0.0, 1.0], 0, 0),  # a class is the truth, whatever the teacher says
        ([1.0, 0.0, 0.0], IGNORED, IGNORED),  # void in a labelled picture
    ],
)
def test_the_teacher_only_chooses_inside_the_truth(shares, target, expected):
    assert one(shares, target) == expected


def test_a_picture_without_truth_is_labelled_where_the_teacher_is_sure():
    planes = np.array([[[0.7, 0.5]], [[0.2, 0.4]], [[0.1, 0.1]]], np.float32)
    found = pseudo_targets(planes, np.full((1, 2), IGNORED, np.uint8), TABLE, 0.6)
    assert found.tolist() == [[0, IGNORED]]


def test_unknown_mattes_are_filled_softly_where_the_teacher_is_sure():
    shares = np.array([[0.97, 0.5, 0.02]], np.float32)
    matte, unknown = pseudo_matte(shares, np.zeros((1, 3), np.uint8), np.ones((1, 3), np.bool_), 0.9)
    assert matte[0, [0, 2]].tolist() == [247, 5]
    assert unknown.tolist() == [[False, True, False]]


def test_a_passer_by_without_a_label_becomes_unknown_but_an_edge_does_not():
    truth, shares = np.zeros((20, 60), np.uint8), np.zeros((20, 60), np.float32)
    truth[:, :20], shares[:, :22], shares[:, 40:50] = 255, 0.99, 0.99
    matte, unknown = pseudo_matte(shares, truth, None)
    assert np.array_equal(matte, truth)
    assert np.array_equal(np.flatnonzero(unknown[10]), np.arange(40, 50))


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    labels = np.array([[6, 6, 3, 11]], np.uint8).repeat(4, 0)
    write_set(tmp_path / "s", {name: (np.full((4, 4, 3), 9, np.uint8), labels) for name in ("a", "b", "c")})
    return tmp_path


FINE = target_table(("road", "traffic light", "traffic sign"), ("camvid11",))


def teacher(calls: list[int], name: str = "t", classes=("traffic sign", "sky", "road", "traffic light")) -> Teacher:
    def probabilities(rgb):
        calls.append(1)
        shares = np.zeros((len(classes), 2, 2), np.float32)
        shares[0] = 1.0
        return shares

    return Teacher(name, classes, probabilities)


def test_a_teachers_labels_are_written_once_and_read_back(streets):
    calls: list[int] = []
    settings = SetSettings("s", "s", "camvid11")
    pictures = open_set(settings, streets, FINE)
    folder = label_set(teacher(calls), pictures, streets / "made")
    assert len(calls) == 3
    (folder / "b.png").unlink()
    label_set(teacher(calls), pictures, streets / "made")
    assert len(calls) == 4
    assert not list(folder.glob("*.part"))
    labelled = open_set(SetSettings("s", "s", "camvid11", targets="made"), streets, FINE)
    sign = FINE.classes.index("traffic sign")
    assert labelled.picture(1).target[0].tolist() == [sign, sign, 0, IGNORED]


def test_a_folder_of_another_teacher_is_not_mixed_up(streets):
    pictures = open_set(SetSettings("s", "s", "camvid11"), streets, FINE)
    label_set(teacher([]), pictures, streets / "made")
    with pytest.raises(ConfigError, match="another teacher"):
        label_set(teacher([], "other"), pictures, streets / "made")
    with pytest.raises(ConfigError, match="another teacher"):
        label_set(teacher([]), pictures, streets / "made", confidence=0.9)
    assert json.loads((streets / "made" / "targets.json").read_text())["teacher"] == "t"


def test_a_teacher_without_a_class_of_the_run_is_refused(streets):
    pictures = open_set(SetSettings("s", "s", "camvid11"), streets, FINE)
    with pytest.raises(ConfigError, match="traffic light"):
        label_set(teacher([], classes=("traffic sign", "road")), pictures, streets / "made")


def test_a_matte_teacher_labels_unlabelled_people(tmp_path):
    write_set(tmp_path / "u", {"a": (np.zeros((4, 8, 3), np.uint8), None)})
    shares = np.array([[[0.99, 0.99, 0.99, 0.99, 0.5, 0.5, 0.0, 0.0]]], np.float32).repeat(4, 1)
    pictures = open_set(SetSettings("u", "u", labelled=False), tmp_path, None)
    label_set(Teacher("t", ("background", "person"), lambda rgb: shares), pictures, tmp_path / "made", confidence=0.9)
    found = open_set(SetSettings("u", "u", labelled=False, targets="made"), tmp_path, None).picture(0)
    assert found.target[0, [0, 7]].tolist() == [252, 0]
    assert found.ignored[0].tolist() == [False] * 4 + [True] * 2 + [False] * 2


def test_rendered_frames_need_no_teacher(streets):
    rendered = ListedSet(SetSettings("s", "synthetic:street"), FINE, [])
    with pytest.raises(ConfigError, match="on disk"):
        label_set(teacher([]), rendered, streets / "made")
