"""Sets of people from COCO instances: outlines, crowds, and what a teacher may decide inside the boxes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "engines"))

import coco_people


def person(box_xywh, **more):
    x, y, w, h = box_xywh
    corners = [x, y, x + w - 1, y, x + w - 1, y + h - 1, x, y + h - 1]
    return {"image_id": 1, "category_id": 1, "bbox": box_xywh, "iscrowd": 0, "segmentation": [corners], **more}


def compressed(counts):
    """COCO's own text form, written here from its definition: differences to the last but one, five bits a letter."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            bits = value & 31
            value >>= 5
            done = (value == 0 and not bits & 16) or (value == -1 and bits & 16)
            text += chr(48 + (bits if done else bits | 32))
            if done:
                break
    return text


def test_run_lengths_go_down_the_columns() -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[1:3, 2:4] = True
    counts = [11, 2, 3, 2, 17]
    assert np.array_equal(coco_people.run_lengths(counts, (5, 7)), mask)


def test_compressed_run_lengths_are_the_same() -> None:
    counts = [3, 40, 900, 7, 5, 1000, 45]
    size = (40, 50)
    assert sum(counts) == size[0] * size[1]
    plain = coco_people.run_lengths(counts, size)
    assert np.array_equal(coco_people.run_lengths(compressed(counts), size), plain)


def test_a_person_before_a_crowd_is_known() -> None:
    crowd = {"segmentation": {"counts": [0, 20 * 30], "size": [20, 30]}, "iscrowd": 1}
    labels = coco_people.outlined([crowd, person([4, 5, 6, 7])], (30, 20))
    assert (labels[5:12, 4:10] == coco_people.PERSON).all()
    assert (labels == coco_people.PERSON).sum() == 42
    assert (labels == coco_people.UNKNOWN).sum() == 600 - 42


def test_a_teacher_decides_only_inside_the_boxes_and_where_it_is_sure() -> None:
    rgb = np.zeros((200, 300, 3), np.uint8)

    def left_half_sure(crop):
        alpha = np.ones(crop.shape[:2], np.float32)
        alpha[:, crop.shape[1] // 2 :] = 0.5
        return alpha

    labels = coco_people.seen_in_boxes(rgb, [person([100, 50, 80, 100])], left_half_sure)
    assert (labels[60:140, 105:135] == coco_people.PERSON).all()
    assert (labels[60:140, 145:175] == coco_people.UNKNOWN).all()
    assert (labels[:, :90] == 0).all()
    assert (labels[:, 190:] == 0).all()


@pytest.mark.parametrize("small", [[10, 10, 20, 20], [10, 10, 200, 30]])
def test_small_people_are_unknown(small) -> None:
    rgb = np.zeros((200, 300, 3), np.uint8)
    labels = coco_people.seen_in_boxes(rgb, [person(small)], lambda crop: np.zeros(crop.shape[:2], np.float32))
    x, y, w, h = small
    assert (labels[y : y + h, x : x + w] == coco_people.UNKNOWN).all()


def test_the_script_sorts_pictures_into_sets(tmp_path, monkeypatch, capsys) -> None:
    names = ["one.jpg", "two.jpg", "none.jpg", "absent.jpg"]
    people = [person([5, 5, 30, 40]), *[person([5, 5, 30, 40], image_id=2) for _ in range(2)]]
    content = {
        "images": [{"id": index + 1, "file_name": name} for index, name in enumerate(names)],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "annotations": [*people, person([1, 1, 9, 9], image_id=3, category_id=2)],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    for name in names[:3]:
        cv2.imwrite(str(tmp_path / name), np.full((100, 1280, 3), 90, np.uint8))
    out = tmp_path / "out"
    arguments = ["--instances", str(tmp_path / "instances.json"), "--pictures", str(tmp_path), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["coco_people.py", *arguments])
    coco_people.main()
    assert json.loads(capsys.readouterr().out) == {"coco_single": 1, "coco_few": 2}
    label = cv2.imread(str(out / "coco_single/labels/one.png"), cv2.IMREAD_UNCHANGED)
    assert label.shape == (50, 640)
    assert label.any()
    assert not cv2.imread(str(out / "coco_few/labels/none.png"), cv2.IMREAD_UNCHANGED).any()
