from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtseg.errors import ConfigError
from rtseg.train.kept import Kept
from rtseg.train.sets import SetSettings, open_set, targets_record
from rtseg.train.targets import IGNORED, target_table
from tests.train.pictures import blocks, write_set

FINE = target_table(("road", "traffic light", "traffic sign", "sky"), ("camvid11",))
SKY, SIGN, VOID = 0, 6, 11


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    labels = np.array([[SKY, SIGN], [3, VOID]], np.uint8).repeat(8, 0).repeat(8, 1)
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[:8, 8:] = (250, 10, 20)
    write_set(tmp_path / "camvid" / "train", dict.fromkeys(("a", "b", "c"), (rgb, labels)))
    return tmp_path


def test_labels_become_targets_of_the_run(camvid):
    found = open_set(SetSettings("camvid", "camvid", "camvid11", split="train"), camvid, FINE)
    picture = found.picture(1)
    assert [int(v) for v in picture.target[[0, 0, 15, 15], [0, 15, 0, 15]]] == [3, 4, 0, IGNORED]
    assert picture.rgb[0, 15].tolist() == [250, 10, 20]
    assert found.pseudo, "a sign may be a light or a sign"
    assert len(found) == 3


def test_environment_variables_stand_in_paths(camvid, monkeypatch):
    settings = SetSettings("camvid", "${PLACE_OF_TESTS}/camvid", "camvid11")
    monkeypatch.setenv("PLACE_OF_TESTS", str(camvid))
    assert len(open_set(settings, Path("/"), FINE)) == 3
    monkeypatch.delenv("PLACE_OF_TESTS")
    with pytest.raises(ConfigError, match="PLACE_OF_TESTS' not set") as caught:
        open_set(settings, Path("/"), FINE)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"set x: got .*nowhere, which does not exist") as caught:
        open_set(SetSettings("x", "nowhere", "camvid11"), tmp_path, FINE)
    assert "\n" not in str(caught.value)


def test_lists_leave_out_and_choose(camvid):
    (camvid / "lists.toml").write_text('camvid = ["b"]\nother = ["z"]\n')
    base = {"name": "camvid", "path": "camvid", "taxonomy": "camvid11"}
    assert open_set(SetSettings(**base, exclude="lists.toml"), camvid, FINE).names == ("a", "c")
    assert open_set(SetSettings(**base, only="lists.toml:camvid"), camvid, FINE).names == ("b",)
    for wrong in ("lists.toml:other", "lists.toml:none", "none.toml"):
        with pytest.raises(ConfigError, match="list"):
            open_set(SetSettings(**base, exclude=wrong), camvid, FINE)
    with pytest.raises(ConfigError, match="no picture"):
        open_set(SetSettings(**base, exclude="lists.toml", only="lists.toml"), camvid, FINE)


def test_people_become_mattes(tmp_path):
    labels = np.zeros((8, 8), np.uint8)
    labels[4:], labels[0, 0] = 1, 255
    write_set(tmp_path / "people", {"a": (np.zeros((8, 8, 3), np.uint8), labels)})
    picture = open_set(SetSettings("people", "people", "person"), tmp_path, None).picture(0)
    assert set(np.unique(picture.target)) == {0, 255}
    assert picture.target[5, 5] == 255
    assert np.argwhere(picture.ignored).tolist() == [[0, 0]]
    with pytest.raises(ConfigError, match="one of two"):
        open_set(SetSettings("people", "people", "camvid11"), tmp_path, None)


def test_a_soft_matte_keeps_its_levels(tmp_path):
    matte = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    write_set(tmp_path / "soft", {"a": (np.zeros((8, 8, 3), np.uint8), matte)})
    assert np.array_equal(open_set(SetSettings("s", "soft", "matte"), tmp_path, None).picture(0).target, matte)


def test_pictures_without_labels_are_open_and_empty_ones_are_not(tmp_path):
    write_set(tmp_path / "bare", {"a": (np.zeros((8, 8, 3), np.uint8), None)})
    street = open_set(SetSettings("u", "bare", labelled=False), tmp_path, FINE)
    assert (street.picture(0).target == IGNORED).all()
    unknown = open_set(SetSettings("u", "bare", labelled=False), tmp_path, None)
    assert unknown.picture(0).ignored.all()
    empty = open_set(SetSettings("rooms", "bare/images", empty=True), tmp_path, None)
    assert empty.picture(0).ignored is None
    assert not empty.picture(0).target.any()
    assert [street.pseudo, unknown.pseudo, empty.pseudo] == [True, True, False]


def test_longer_pictures_are_made_smaller_with_their_labels_in_place(tmp_path):
    labels = blocks(0, (128, 64), 2, block_px=16)
    rgb = (labels[..., None] * np.array([200, 100, 50])).astype(np.uint8)
    write_set(tmp_path / "big", {"a": (rgb, labels)})
    picture = open_set(SetSettings("big", "big", "person", longest_px=50), tmp_path, None).picture(0)
    assert picture.rgb.shape == (25, 50, 3)
    assert np.abs(picture.rgb[..., 0] / 200 - picture.target / 255).max() < 0.02


def test_memory_is_bounded_and_reading_is_saved(camvid, monkeypatch):
    settings = {"name": "camvid", "path": "camvid", "taxonomy": "camvid11"}
    kept = open_set(SetSettings(**settings, memory_mb=1), camvid, FINE)
    assert kept.picture(0) is kept.picture(0)
    unkept = open_set(SetSettings(**settings, memory_mb=0), camvid, FINE)
    assert unkept.picture(0) is not unkept.picture(0)
    small: Kept[str] = Kept(10)
    small.put(1, "a", 8)
    small.put(2, "b", 8)
    assert (small.get(1), small.get(2), len(small)) == ("a", None, 1)


def test_a_teachers_targets_stand_for_labels_if_they_are_of_the_same_run(camvid):
    folder = camvid / "made"
    folder.mkdir()
    for name in ("a", "b", "c"):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((16, 16), 2, np.uint8))
    settings = SetSettings("camvid", "camvid", "camvid11", targets="made")
    with pytest.raises(ConfigError, match="targets"):
        open_set(settings, camvid, FINE)
    (folder / "targets.json").write_text(json.dumps({"of": targets_record(FINE)}))
    assert (open_set(settings, camvid, FINE).picture(2).target == 2).all()
    with pytest.raises(ConfigError, match="other classes"):
        open_set(settings, camvid, target_table(("sky", "road"), ("camvid11",)))
    (folder / "b.png").unlink()
    with pytest.raises(ConfigError, match="none of b"):
        open_set(settings, camvid, FINE)


@pytest.mark.parametrize(
    "fields", [{"share": -1.0}, {"taxonomy": ""}, {"repeat": 0.0}, {"memory_mb": -1}, {"shares": (0.1, -0.1)}]
)
def test_a_table_that_cannot_be_right_is_refused(fields):
    with pytest.raises(ConfigError, match="set x"):
        SetSettings(**{"name": "x", "path": "x", "taxonomy": "person", **fields})


def test_empty_rooms_are_no_street(tmp_path):
    write_set(tmp_path / "bare", {"a": (np.zeros((8, 8, 3), np.uint8), None)})
    with pytest.raises(ConfigError, match="empty"):
        open_set(SetSettings("rooms", "bare", empty=True), tmp_path, FINE)
