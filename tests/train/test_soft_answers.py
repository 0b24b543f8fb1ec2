"""A teacher's probabilities: kept once, moved along with the view, asked for about what was augmented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import ConfigError
from rtseg.train.augment import PROFILES
from rtseg.train.mixing import MixedSource
from rtseg.train.pseudo import Teacher
from rtseg.train.samples import TrainingSample
from rtseg.train.sets import SetSettings, open_set
from rtseg.train.soft_answers import SoftSet, TaughtSource, keep_answers, planes_of
from rtseg.train.targets import TargetTable, target_table
from tests.train.pictures import blocks, write_set

CLASSES = tuple(f"c{index}" for index in range(6))
TABLE = target_table(CLASSES)
COLOURS = np.array([[40 * index, 255 - 40 * index, 20 * index] for index in range(6)], np.uint8)


def by_colour(rgb):
    """Probabilities of a teacher that knows each class by its colour: [6, H, W]."""
    distance = np.abs(rgb[None].astype(int) - COLOURS[:, None, None].astype(int)).sum(3)
    return (distance == distance.min(0)).astype(np.float32)


class Counting:
    """Such a teacher, with its planes in another order, that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def teacher(self, name: str = "t", classes=CLASSES[::-1]) -> Teacher:
        def probabilities(rgb):
            self.asked += 1
            return by_colour(rgb)[::-1]

        return Teacher(name, classes, probabilities)


@pytest.fixture
def pictures(tmp_path: Path):
    labels = {f"p{seed}": blocks(seed, (64, 32), 6) for seed in range(3)}
    folder = write_set(tmp_path / "set", {name: (COLOURS[ids], ids) for name, ids in labels.items()})
    (folder / "six.toml").write_text(f"classes = {list(CLASSES)}\n")
    settings = SetSettings("set", str(folder), str(folder / "six.toml"))
    return open_set(settings, tmp_path, TABLE)


def test_answers_are_written_once_in_the_order_of_the_runs_classes(pictures, tmp_path):
    counting = Counting()
    kept = keep_answers(counting.teacher(), pictures, tmp_path / "soft")
    again = keep_answers(counting.teacher(), pictures, tmp_path / "soft")
    assert counting.asked == 3
    for each in (kept, again):
        picture = each.picture(1)
        planes = planes_of(picture.soft, len(CLASSES))
        assert planes.shape == (6, 32, 64)
        assert np.array_equal(planes.argmax(0), picture.target)
        assert set(np.unique(planes)) == {0, 255}


def test_answers_of_another_teacher_or_without_a_class_are_refused(pictures, tmp_path):
    keep_answers(Counting().teacher(), pictures, tmp_path / "soft")
    with pytest.raises(ConfigError, match="another teacher"):
        keep_answers(Counting().teacher("u"), pictures, tmp_path / "soft")
    with pytest.raises(ConfigError, match="no class c5"):
        keep_answers(Counting().teacher(classes=CLASSES[:5]), pictures, tmp_path / "other")


@pytest.mark.parametrize("seed", range(4))
def test_answers_move_with_the_picture(pictures, tmp_path, seed):
    kept: SoftSet = keep_answers(Counting().teacher(), pictures, tmp_path / "soft")
    views = replace(PROFILES["none"], whole_share=0.0, smallest_crop=0.5, largest_crop=0.7, rotation_degrees=4.0)
    sample = MixedSource([kept], [1], views, seed).draw(0, (128, 64))
    assert sample.soft is not None
    assert sample.soft.shape == (6, 32, 64)
    half = sample.target[1::2, 1::2]
    assert (sample.soft.argmax(0) == half).mean() > 0.85
    assert (sample.soft.argmax(0) == np.roll(half, 4, axis=1)).mean() < 0.75


def test_a_set_without_answers_says_nothing(pictures):
    assert MixedSource([pictures], [1], PROFILES["plain"], 0).draw(0, (64, 32)).soft is None


def test_a_matte_teacher_is_asked_about_the_sample_itself():
    class Bright:
        def draw(self, index, size_wh):
            rgb = np.full((size_wh[1], size_wh[0], 3), 10 * index, np.uint8)
            return TrainingSample(rgb, np.zeros((size_wh[1], size_wh[0]), np.uint8))

    teacher = Teacher("t", ("background", "person"), lambda rgb: rgb[None, :, :, 0].astype(np.float32) / 255)
    sample = TaughtSource(Bright(), teacher).draw(7, (8, 4))
    assert sample.soft.shape == (1, 4, 8)
    assert (sample.soft == 70).all()


def test_groups_of_the_table_are_no_planes(tmp_path):
    table = TargetTable(("a", "b"), ())
    assert planes_of(np.zeros((1, 3, 5, 4), np.uint8), len(table.classes)).shape == (2, 3, 5)
