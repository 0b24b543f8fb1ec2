"""The empty room and the contact sheet, on pictures made here."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

import rtseg
from benchmarks import contact_sheet
from benchmarks.empty_room import LIST, Stretch, false_areas, read_list, summary
from tests.evaluate.parts import red_picture


@pytest.fixture(scope="module")
def person():
    with rtseg.load("person", backend="fake", edges=False) as segmenter:
        yield segmenter


@pytest.fixture
def pictures(tmp_path):
    """Ten pictures, ten a second; in the fourth and fifth a quarter is red: someone is there."""
    folder = tmp_path / "media" / "clip"
    folder.mkdir(parents=True)
    for index in range(10):
        red = np.zeros((256, 256), np.uint8)
        red[:128, :128] = 255 * (index in (3, 4))
        assert cv2.imwrite(str(folder / f"{index}.png"), red_picture(red)[..., ::-1])
    return folder


def test_the_list_of_empty_stretches_is_in_order_and_apart():
    clip, stretches = read_list(LIST)
    assert clip.endswith(".mp4")
    ends = [second for stretch in stretches for second in (stretch.start_seconds, stretch.end_seconds)]
    assert ends == sorted(set(ends))
    assert 25 < sum(stretch.end_seconds - stretch.start_seconds for stretch in stretches) < 40


def test_false_area_is_found_where_it_is_and_only_over_the_list(person, pictures):
    with rtseg.open_source(pictures) as source:
        times = [frame.pts_seconds for frame in source.frames()]
    empty = false_areas(person, pictures, [Stretch(times[0], times[2]), Stretch(times[6], times[9])])
    for areas in empty.values():
        assert summary(areas)["frames"] == 7
        assert summary(areas)["max_percent"] == 0
    alone = summary(false_areas(person, pictures, [Stretch(times[2], times[4])])["single calls"])
    assert alone["max_percent"] == pytest.approx(25, abs=0.5)
    assert alone["mean_percent"] == pytest.approx(50 / 3, abs=0.5)
    assert (alone["frames_above"], alone["worst"][0]["seconds"]) == (2, times[3])


def test_tiles_are_laid_out_in_reading_order():
    tiles = [np.full((10, contact_sheet.CELL_WH[0] * cells, 3), level, np.uint8) for cells, level in ((1, 1), (2, 2))]
    sheet = contact_sheet.laid_out([*tiles, tiles[1]], columns=3)
    assert sheet.shape == (2 * (10 + 6), 3 * contact_sheet.CELL_WH[0], 3)
    assert (sheet[0, 0, 0], sheet[0, -1, 0], sheet[16, 0, 0], sheet[16, -1, 0]) == (1, 2, 2, 255)


def test_one_command_makes_a_sheet_and_skips_what_does_not_play(person, pictures, monkeypatch, capsys, tmp_path):
    (pictures / "broken.mp4").write_bytes(b"not a film")
    monkeypatch.setattr(rtseg, "load", lambda name: rtseg.segmenter.load(name, backend="fake"))
    out = tmp_path / "sheets"
    words = ["sheet", "person", "--media", str(pictures.parent), "--out", str(out), "--frames", "2", "--effect", "tint"]
    monkeypatch.setattr(sys, "argv", words)
    assert contact_sheet.main() == 0
    assert "skipped clip/broken.mp4" in capsys.readouterr().out
    sheet = cv2.imread(str(out / "person.sheet.jpg"))
    cell_width, cell_height = contact_sheet.CELL_WH
    assert sheet.shape[:2] == (3 * (cell_height + contact_sheet.CAPTION_PX + 6), 4 * cell_width)
    someone = sheet[contact_sheet.CAPTION_PX : contact_sheet.CAPTION_PX + cell_height, 3 * cell_width :]
    assert np.ptp(someone.astype(int), axis=(0, 1)).max() > 60  # the fourth picture has a red quarter
