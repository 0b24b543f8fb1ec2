"""The layouts of public sets, each made by hand in its smallest form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtseg.datasets import open_dataset
from rtseg.errors import ConfigError, SourceError
from tests.datasets.parts import make_folder, write_labels, write_palette_png, write_picture


def only_sample(dataset):
    (sample,) = dataset
    return sample


def test_splits_of_a_folder(tmp_path):
    make_folder(tmp_path / "train")
    assert len(open_dataset(tmp_path, "person")) == 2
    make_folder(tmp_path / "extra", names=["x"])
    with pytest.raises(ConfigError, match="extra, train"):
        open_dataset(tmp_path, "person")
    assert len(open_dataset(tmp_path, "person", split="extra")) == 1
    make_folder(tmp_path / "val", names=["v"])
    assert open_dataset(tmp_path, "person").pairs[0].name == "v"
    with pytest.raises(ConfigError, match="got split test"):
        open_dataset(tmp_path, "person", split="test")


def test_camvid_in_the_folders_of_segnet(tmp_path):
    labels = np.array([[0, 3, 10, 11]], np.uint8)
    for split in ("train", "val"):
        write_picture(tmp_path / split / "0016E5_07959.png", (4, 1))
        write_labels(tmp_path / f"{split}annot" / "0016E5_07959.png", labels)
    dataset = open_dataset(tmp_path, "camvid11")
    assert (dataset.layout, dataset.name) == ("camvid", f"{tmp_path.name}/val")
    assert only_sample(dataset).labels.tolist() == [[0, 3, 10, 255]]
    person = open_dataset(tmp_path, "person", split="train")
    assert only_sample(person).labels.tolist() == [[0, 0, 0, 255]]  # void is not background


def make_cityscapes(root, mark, labels):
    write_picture(root / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", (labels.shape[1], 1))
    write_labels(root / f"gtFine/val/ulm/ulm_1_gtFine_{mark}.png", labels)


def test_cityscapes_label_ids_become_train_ids(tmp_path):
    make_cityscapes(tmp_path, "labelIds", np.array([[7, 8, 26, 33, 4, 0]], np.uint8))
    dataset = open_dataset(tmp_path, "cityscapes19")
    assert only_sample(dataset).name == "val/ulm/ulm_1"
    assert only_sample(dataset).labels.tolist() == [[0, 1, 13, 18, 255, 255]]
    assert only_sample(open_dataset(tmp_path, "camvid11")).labels.tolist() == [[3, 4, 8, 10, 255, 255]]
    assert only_sample(open_dataset(tmp_path, "comma10k5")).labels.tolist() == [[0, 2, 3, 3, 255, 255]]


def test_cityscapes_train_ids_are_taken_where_there_are_any(tmp_path):
    make_cityscapes(tmp_path, "labelIds", np.array([[7, 7]], np.uint8))
    make_cityscapes(tmp_path, "labelTrainIds", np.array([[13, 255]], np.uint8))
    assert only_sample(open_dataset(tmp_path, "cityscapes19")).labels.tolist() == [[13, 255]]


def test_a_cityscapes_picture_without_labels_is_named(tmp_path):
    make_cityscapes(tmp_path, "labelIds", np.array([[7]], np.uint8))
    (tmp_path / "gtFine/val/ulm/ulm_1_gtFine_labelIds.png").unlink()
    with pytest.raises(SourceError, match="ulm_1_leftImg8bit"):
        open_dataset(tmp_path, "cityscapes19")


def test_voc_takes_the_palette_indices_of_its_split(tmp_path):
    for name in ("2007_1", "2007_2"):
        write_picture(tmp_path / f"JPEGImages/{name}.jpg", (4, 1))
        write_palette_png(tmp_path / f"SegmentationClass/{name}.png", np.array([[0, 15, 7, 255]], np.uint8))
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("2007_2\n")
    dataset = open_dataset(tmp_path, "person")
    assert only_sample(dataset).name == "2007_2"
    assert only_sample(dataset).labels.tolist() == [[0, 1, 0, 255]]
    assert only_sample(open_dataset(tmp_path, "camvid11")).labels.tolist() == [[255, 9, 8, 255]]


def make_coco(root, known=(5, 70000)):
    ids = np.array([[0, 5, 70000]])
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    write_picture(root / "images/p1.jpg", (3, 1))
    write_labels(root / "panoptic/p1.png", rgb)
    segments = [{"id": i, "category_id": c} for i, c in zip(known, (1, 149), strict=True)]
    written = {
        "categories": [{"id": 1, "name": "person"}, {"id": 149, "name": "road"}],
        "images": [{"id": 8, "file_name": "p1.jpg"}],
        "annotations": [{"image_id": 8, "file_name": "p1.png", "segments_info": segments}],
    }
    (root / "panoptic.json").write_text(json.dumps(written))


def test_coco_panoptic_segments_become_classes(tmp_path):
    make_coco(tmp_path)
    assert only_sample(open_dataset(tmp_path, "cityscapes19")).labels.tolist() == [[255, 11, 0]]
    person = open_dataset(tmp_path / "panoptic.json", "person")
    assert person.layout == "coco-panoptic"
    assert only_sample(person).labels.tolist() == [[255, 1, 0]]
    first = person.split_hash()
    make_coco(tmp_path, known=(70000, 5))
    assert open_dataset(tmp_path, "person").split_hash() != first  # the JSON file says what the PNG means


def test_a_segment_that_coco_does_not_know_is_named(tmp_path):
    make_coco(tmp_path, known=(5, 6))
    with pytest.raises(SourceError, match="70000"):
        only_sample(open_dataset(tmp_path, "person"))
    (tmp_path / "panoptic.json").write_text("{}")
    with pytest.raises(SourceError, match="COCO panoptic JSON"):
        open_dataset(tmp_path, "person")


@pytest.mark.parametrize(
    ("path", "options", "telling"),
    [
        ("nowhere", {}, "does not exist"),
        ("empty", {}, "images/"),
        ("set", {"layout": "pascal"}, "cityscapes"),
        ("set", {"layout": "alpha"}, "alpha with matte"),
        ("set", {"taxonomy": "people"}, "person"),
    ],
)
def test_what_cannot_be_opened_says_why(tmp_path, path, options, telling):
    make_folder(tmp_path / "set")
    (tmp_path / "empty").mkdir()
    chosen = {"taxonomy": "person"} | options
    with pytest.raises((SourceError, ConfigError)) as caught:
        open_dataset(tmp_path / path, **chosen)
    assert telling in str(caught.value)
