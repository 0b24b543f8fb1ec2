from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg.train import compose
from rtseg.train.pictures import LabelledPicture
from tests.train.pictures import person

OUT_WH = (128, 96)


def room(rgb=(90, 90, 200)) -> LabelledPicture:
    width, height = OUT_WH
    return LabelledPicture(np.full((height, width, 3), rgb, np.uint8), np.zeros((height, width), np.uint8))


def test_nobody_is_cut_out_of_an_empty_picture():
    assert compose.subject_box(np.zeros((40, 40), np.uint8)) is None
    before = room()
    empty = LabelledPicture(person().rgb, np.zeros_like(person().target))
    assert compose.placed(empty, before, np.random.default_rng(0)) is before


def test_the_box_knows_where_its_picture_cuts_it_off():
    box = compose.subject_box(person(cut=True).target)
    assert (box.left, box.top, box.width, box.height) == (32, 32, 32, 96)
    assert (box.cut_left, box.cut_top, box.cut_right, box.cut_bottom) == (False, False, False, True)


@pytest.mark.parametrize("seed", range(30))
def test_the_target_is_where_the_person_is_and_no_green_of_the_old_background_is_left(seed):
    sample = compose.placed(person(), room(), np.random.default_rng(seed), light_matching=0.0)
    red = sample.rgb[..., 0].astype(int)
    inside = sample.target > 250
    assert inside.sum() > 50
    assert np.abs(sample.rgb[inside].astype(int) - (200, 120, 60)).max() <= 3
    # Between the two colours nothing but their mixture may be seen: green would be of neither.
    assert sample.rgb[..., 1].max() <= 123
    outside = sample.target == 0
    assert (sample.rgb[outside][:, 2] > sample.rgb[outside][:, 0]).all()
    soft = ~inside & ~outside
    shade = (sample.rgb[..., 0].astype(float) - 90) / 110
    assert np.abs(shade - sample.target / 255)[soft & (red > 90)].max(initial=0) < 0.5


@pytest.mark.parametrize("seed", range(30))
def test_the_cut_of_the_old_picture_is_never_seen(seed):
    sample = compose.placed(person(cut=True), room(), np.random.default_rng(seed))
    columns = np.flatnonzero((sample.target > 127).any(axis=0))
    assert len(columns)
    assert (sample.target[-1, columns[1:-1]] > 127).all()


def test_somebody_cut_at_both_sides_fills_the_width_and_keeps_the_proportions():
    wide = person((60, 120))
    matte = np.zeros_like(wide.target)
    matte[40:] = 255
    box = compose.subject_box(matte)
    for seed in range(10):
        matrix = compose.random_place(box, 0.4, OUT_WH, np.random.default_rng(seed))
        left, right = sorted((matrix @ [[0, OUT_WH[0] - 1], [0, 0], [1, 1]])[0])
        assert left >= -1
        assert right <= 60
        aspect = abs(matrix[1, 1] / matrix[0, 0])
        assert 0.4 < aspect * OUT_WH[0] / OUT_WH[1] / (4 / 3) < 2.6


def test_the_rim_takes_the_colours_of_the_inside():
    rgb = np.full((40, 40, 3), (0, 255, 0), np.uint8)
    matte = np.zeros((40, 40), np.uint8)
    rgb[10:30, 10:30], matte[10:30, 10:30] = (200, 50, 50), 255
    rgb[9], rgb[:, 9] = (100, 150, 25), (100, 150, 25)
    matte[9, 9:31] = matte[9:31, 9] = 128
    cleaned = compose.clean_rim(rgb, matte)
    assert np.abs(cleaned[9, 12:28].astype(int) - (200, 50, 50)).max() <= 1
    assert (cleaned[0, 0] == (0, 255, 0)).all(), "far away nothing is touched"


def test_the_mask_is_drawn_in():
    matte = person().target
    for seed in range(5):
        inner = compose.drawn_in(matte, np.random.default_rng(seed))
        assert 0.8 < (inner > 127).sum() / (matte > 127).sum() < 1
        assert not inner[cv2.dilate(matte, np.ones((3, 3), np.uint8)) == 0].any()


def test_light_is_drawn_towards_the_scene_by_the_amount():
    source, scene = person(rgb=(100, 100, 100)), room((60, 90, 180)).rgb
    distances = []
    for amount in (0.0, 0.5, 1.0):
        found = compose.relit(source.rgb, source.target, scene, amount)[source.target > 0][0].astype(float)
        distances.append(np.linalg.norm(found - (60, 90, 180)))
    assert distances[0] > distances[1] > distances[2]
    assert np.array_equal(compose.relit(source.rgb, source.target, scene, 0.0), source.rgb)


def test_somebody_behind_covers_nobody():
    before = compose.placed(person(), room(), np.random.default_rng(1))
    for seed in range(15):
        after = compose.placed(person(rgb=(10, 10, 10)), before, np.random.default_rng(seed), behind=True)
        there = before.target > 250
        assert (after.target >= before.target).all()
        assert np.abs(after.rgb[there].astype(int) - before.rgb[there]).max() <= 2


def test_what_is_unknown_stays_so_unless_it_is_covered():
    unknown = LabelledPicture(room().rgb, room().target, np.ones(OUT_WH[::-1], np.bool_))
    sample = compose.placed(person(), unknown, np.random.default_rng(0))
    assert not sample.ignored[sample.target > 251].any()
    assert sample.ignored[sample.target == 0].all()


def test_a_shadow_darkens_only_the_surroundings_of_the_person():
    matte = np.zeros((96, 128), np.uint8)
    matte[32:64, 48:80] = 255
    found = compose.shaded(room().rgb, matte, np.random.default_rng(0)).astype(int)
    assert found[48, 64, 0] < 85
    assert np.abs(found[:8, :8] - room().rgb[:8, :8]).max() <= 1


def test_walls_differ_and_are_calm():
    walls = [compose.plain_wall((64, 48), np.random.default_rng(seed)).astype(float) for seed in range(8)]
    assert np.std([wall.mean() for wall in walls]) > 15
    assert max(np.abs(np.diff(wall, axis=1)).mean() for wall in walls) < 12
