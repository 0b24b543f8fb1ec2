"""Reading labelled sets: ids, masks, mattes, errors, parts and the hash."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg.datasets import open_dataset
from rtseg.datasets.files import read_values
from rtseg.errors import ConfigError, SourceError
from tests.datasets.parts import LABELS, make_folder, write_labels, write_palette_png, write_picture


def test_a_folder_is_read_in_natural_order_as_rgb_and_ids(tmp_path):
    dataset = open_dataset(make_folder(tmp_path), "person")
    samples = list(dataset)
    assert [sample.name for sample in samples] == ["a2", "a10"]
    assert samples[0].labels.tolist() == LABELS.tolist()
    assert samples[0].labels.dtype == samples[0].rgb.dtype == np.uint8
    red, green, blue = samples[0].rgb[0, 0].astype(int)
    assert red < green < blue
    assert samples[0].alpha is None


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    root = make_folder(tmp_path)
    (root / "labels" / "a10.png").write_bytes(b"not a picture")
    dataset = open_dataset(root, "person")
    assert dataset.sample(0).name == "a2"
    with pytest.raises(SourceError, match=r"a10\.png: got a file that cannot be read"):
        dataset.sample(1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_gives_indices_not_colours(tmp_path, bits):
    most = (1 << bits) - 1
    labels = np.array([[0, 1, most], [most, 0, 1]], np.uint8)
    assert read_values(write_palette_png(tmp_path / "p.png", labels, bits)).tolist() == labels.tolist()


def test_unknown_ids_are_named(tmp_path):
    dataset = open_dataset(make_folder(tmp_path, labels=np.full((2, 4), 12, np.uint8)), "camvid11")
    with pytest.raises(SourceError, match=r"a2\.png: got the ids 12; expected 0, 1"):
        dataset.sample(0)


def test_a_size_mismatch_is_named(tmp_path):
    root = make_folder(tmp_path)
    write_picture(root / "images" / "a2.jpg", (8, 4))
    with pytest.raises(SourceError, match="a2: got a picture of 8x4 with labels of 4x2"):
        open_dataset(root, "person").sample(0)


def test_missing_labels_are_named_when_the_set_is_opened(tmp_path):
    root = make_folder(tmp_path)
    (root / "labels" / "a10.png").unlink()
    with pytest.raises(SourceError, match=r"1 pictures without a label .*a10\.jpg"):
        open_dataset(root, "person")


def test_a_jpeg_is_no_label(tmp_path):
    root = make_folder(tmp_path)
    (root / "labels" / "a2.png").rename(root / "labels" / "a2.jpg")
    with pytest.raises(SourceError, match="without a label"):
        open_dataset(root, "person")


def test_binary_masks_take_everything_above_zero_and_ask_to_be_named(tmp_path):
    root = make_folder(tmp_path, labels=np.array([[0, 255], [255, 0]], np.uint8))
    with pytest.raises(SourceError, match="--layout binary"):
        open_dataset(root, "person").sample(0)
    assert open_dataset(root, "person", layout="binary").sample(0).labels.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(ConfigError, match="two"):
        open_dataset(root, "camvid11", layout="binary")


@pytest.mark.parametrize("kind", ["uint8", "uint16", "rgba"])
def test_mattes_are_scaled_to_one(tmp_path, kind):
    values = {"uint8": (51, 204), "uint16": (13107, 52428), "rgba": (51, 204)}[kind]
    matte = np.array([values], np.uint16 if kind == "uint16" else np.uint8)
    if kind == "rgba":
        matte = np.dstack([np.full((1, 2, 3), 9, np.uint8), matte[..., None]])
    write_picture(tmp_path / "images" / "m.png", (2, 1))
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "labels" / "m.png"), matte)
    sample = open_dataset(tmp_path, "matte").sample(0)
    assert sample.alpha is not None
    assert sample.alpha.dtype == np.float32
    assert sample.alpha[0] == pytest.approx([0.2, 0.8])
    assert sample.labels.tolist() == [[0, 1]]


def test_a_mask_of_zero_and_one_is_no_matte(tmp_path):
    with pytest.raises(SourceError, match="taxonomy person"):
        open_dataset(make_folder(tmp_path, labels=np.eye(3, dtype=np.uint8)), "matte").sample(0)


def test_labels_in_the_colours_of_the_taxonomy(tmp_path):
    drawn = np.array([[[0x40, 0x20, 0x20], [0xFF, 0, 0], [0, 0xFF, 0x66], [0xCC, 0, 0xFF]]], np.uint8)
    write_picture(tmp_path / "images" / "c.png", (4, 1))
    write_labels(tmp_path / "labels" / "c.png", drawn)
    assert open_dataset(tmp_path, "comma10k5").sample(0).labels.tolist() == [[0, 0, 3, 255]]
    write_labels(tmp_path / "labels" / "c.png", drawn + np.uint8(1))
    with pytest.raises(SourceError, match="#412121"):
        open_dataset(tmp_path, "comma10k5").sample(0)
    with pytest.raises(SourceError, match="3 channels"):
        open_dataset(tmp_path, "person").sample(0)


def test_ids_above_a_byte_are_refused(tmp_path):
    write_picture(tmp_path / "images" / "c.png", (1, 1))
    write_labels(tmp_path / "labels" / "c.png", np.array([[300]], np.uint16))
    with pytest.raises(SourceError, match="300"):
        open_dataset(tmp_path, "person").sample(0)


def test_a_part_is_spread_evenly_and_a_list_picks_by_name(tmp_path):
    dataset = open_dataset(make_folder(tmp_path, names=[f"p{i}" for i in range(10)]), "person")
    assert [pair.name for pair in dataset.evenly(4).pairs] == ["p0", "p2", "p5", "p7"]
    assert len(dataset.evenly(99)) == 10
    assert [pair.name for pair in dataset.only({"p9", "p3"}).pairs] == ["p3", "p9"]
    with pytest.raises(ConfigError, match="p77"):
        dataset.only(["p3", "p77"])


def test_the_hash_follows_names_and_labels_not_pictures(tmp_path):
    root = make_folder(tmp_path)
    first = open_dataset(root, "person").split_hash()
    assert len(first) == 12
    write_picture(root / "images" / "a2.jpg", value=5)
    assert open_dataset(root, "person").split_hash() == first
    write_labels(root / "labels" / "a2.png", 1 - LABELS // 255)
    changed = open_dataset(root, "person").split_hash()
    (root / "images" / "a2.jpg").rename(root / "images" / "a3.jpg")
    (root / "labels" / "a2.png").rename(root / "labels" / "a3.png")
    assert len({first, changed, open_dataset(root, "person").split_hash()}) == 3
