from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtseg.cityscapes import CITYSCAPES
from rtseg.errors import ConfigError
from rtseg.train.augment import PROFILES
from rtseg.train.mixing import MixedSource, shares_at
from rtseg.train.pictures import LabelledPicture, SetSettings
from rtseg.train.sets import open_set
from rtseg.train.targets import IGNORED, target_table
from tests.train.pictures import ListedSet, person, street

TABLE = target_table(tuple(CITYSCAPES), ("camvid11",))
EVERY_WEATHER = replace(PROFILES["street"], night_share=0.5, glare_share=0.5, rain_share=0.5, fog_share=0.5)


def flat(name: str, target: int, **fields) -> ListedSet:
    picture = LabelledPicture(np.full((32, 64, 3), 100, np.uint8), np.full((32, 64), target, np.uint8))
    return ListedSet(SetSettings(name, name, "camvid11", **fields), TABLE, [picture])


def people(**fields) -> ListedSet:
    return ListedSet(SetSettings("people", "people", "person", **fields), None, [person(), person(cut=True)])


def rooms() -> ListedSet:
    rgb = np.full((60, 80, 3), (90, 90, 200), np.uint8)
    picture = LabelledPicture(rgb, np.zeros((60, 80), np.uint8))
    return ListedSet(SetSettings("rooms", "rooms", empty=True, background=True), None, [picture])


def same(one, other) -> bool:
    return np.array_equal(one.rgb, other.rgb) and np.array_equal(one.target, other.target)


def road_source(seed: int = 0) -> MixedSource:
    pictures = [street(), street((96, 64))]
    roads = ListedSet(SetSettings("s", "s", "cityscapes19"), TABLE, pictures)
    return MixedSource([roads, flat("f", 3)], [2, 1], EVERY_WEATHER, seed)


def people_source(**changes) -> MixedSource:
    return MixedSource([people(cut_out=True), rooms()], [1, 0], replace(PROFILES["person"], **changes), 0, "matte")


def test_a_sample_depends_on_nothing_but_seed_and_index():
    source, size_wh = road_source(), (96, 48)
    forwards = [source.draw(index, size_wh) for index in range(12)]
    with ThreadPoolExecutor(4) as threads:
        threaded = list(threads.map(lambda index: road_source().draw(index, size_wh), reversed(range(12))))
    assert all(same(a, b) for a, b in zip(forwards, reversed(threaded), strict=True))
    assert not same(forwards[0], road_source(1).draw(0, size_wh))
    assert not same(forwards[0], forwards[1])


def test_a_person_depends_on_nothing_but_seed_and_index():
    drawn = [[people_source(crowd_share=1.0).draw(index, (64, 64)) for index in range(10)] for _ in range(2)]
    assert all(same(a, b) for a, b in zip(*drawn, strict=True))


def test_sets_are_drawn_by_their_shares():
    source = MixedSource([flat("a", 0), flat("b", 1), flat("c", 2)], [3, 1, 0], PROFILES["none"], 5)
    drawn = [int(source.draw(index, (16, 16)).target[8, 8]) for index in range(400)]
    assert drawn.count(2) == 0
    assert 0.68 < drawn.count(0) / 400 < 0.82
    other = source.with_shares([0, 0, 1])
    assert {int(other.draw(index, (16, 16)).target[8, 8]) for index in range(5)} == {2}


def test_the_size_is_the_one_asked_for_and_targets_are_of_the_table():
    source = road_source()
    for index in range(40):
        sample = source.draw(index, (80, 40))
        assert (sample.rgb.shape, sample.rgb.dtype) == ((40, 80, 3), np.uint8)
        assert set(np.unique(sample.target)) <= {0, 3, 10, 13, IGNORED}
        assert sample.ignored is None


def test_a_set_with_a_profile_of_its_own_keeps_it():
    still = flat("still", 0, augment="none")
    source = MixedSource([still], [1], EVERY_WEATHER, 0)
    assert all((source.draw(index, (64, 32)).rgb == 100).all() for index in range(10))


def test_frequencies_follow_the_shares_and_leave_out_what_is_unknown():
    half = flat("half", 1)
    half.picture(0).target[:, :32] = IGNORED
    source = MixedSource([flat("a", 0), half, flat("open", IGNORED)], [1, 3, 4], PROFILES["plain"], 0)
    found = source.frequencies()
    assert found[:2].tolist() == pytest.approx([0.25, 0.75])
    assert len(found) == len(TABLE)
    with pytest.raises(ConfigError, match="without any label"):
        MixedSource([flat("open", IGNORED)], [1], PROFILES["plain"], 0).frequencies()
    with pytest.raises(ConfigError, match="mattes"):
        people_source().frequencies()


def test_cut_out_people_stand_before_rooms_and_are_the_target():
    source = people_source(cut_out_share=1.0, crowd_share=0.0, nobody_share=0.0, colour=0.0, webcam_share=0.0,
                           blur_share=0.0, noise_share=0.0, compression_share=0.0, light_matching=0.0,
                           low_resolution_share=0.0, grey_share=0.0)  # fmt: skip
    for index in range(30):
        sample = source.draw(index, (64, 64))
        inside = sample.target > 250
        assert inside.any()
        assert np.abs(sample.rgb[inside].astype(int) - (200, 120, 60)).max() <= 4


def test_empty_scenes_have_an_empty_target():
    source = people_source(cut_out_share=1.0, nobody_share=1.0)
    samples = [source.draw(index, (64, 64)) for index in range(20)]
    assert not any(sample.target.any() for sample in samples)
    assert all(sample.ignored is None for sample in samples)
    alone = MixedSource(
        [people(cut_out=True), rooms()], [0, 1], replace(PROFILES["person"], crowd_share=1.0), 0, "matte"
    )
    assert not any(alone.draw(index, (64, 64)).target.any() for index in range(20))


def test_crowds_show_more_people():
    def covered(**changes) -> float:
        source = people_source(cut_out_share=1.0, nobody_share=0.0, **changes)
        return float(np.mean([(source.draw(index, (64, 64)).target > 127).mean() for index in range(40)]))

    assert covered(crowd_share=1.0) > 1.1 * covered(crowd_share=0.0)


def test_what_a_view_shows_beside_a_person_is_unknown():
    wide = replace(PROFILES["none"], whole_share=0.0, smallest_crop=1.5, largest_crop=1.5)
    sample = MixedSource([people()], [1], wide, 0, "matte").draw(0, (96, 128))
    assert 0.3 < sample.ignored.mean() < 0.7
    assert not sample.ignored[40:88, 40:56].any()


def test_only_open_sets_may_be_filled_in():
    open_set = ListedSet(SetSettings("u", "u", labelled=False), TABLE, [street()], pseudo=True)
    assert MixedSource([open_set], [1], PROFILES["plain"], 0).draw(0, (32, 16)).pseudo
    assert not road_source().draw(0, (32, 16)).pseudo


def test_sets_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="task"):
        MixedSource([people()], [1], PROFILES["plain"], 0, "semantic")
    other = ListedSet(SetSettings("o", "o", "person"), target_table(("a", "b")), [street()])
    with pytest.raises(ConfigError, match="one kind"):
        MixedSource([flat("a", 0), other], [1, 1], PROFILES["plain"], 0)
    for shares in ([], [0.0], [-1.0], [1.0, 1.0]):
        with pytest.raises(ConfigError, match="sets"):
            MixedSource([flat("a", 0)], shares, PROFILES["plain"], 0)
    with pytest.raises(ConfigError, match="no picture"):
        MixedSource([ListedSet(SetSettings("e", "e", "person"), TABLE, [])], [1], PROFILES["plain"], 0)


def test_shares_of_a_phase():
    first = SetSettings("a", "a", "person", shares=(0.5, 0.0))
    second = SetSettings("b", "b", "person", share=0.5)
    assert shares_at([first, second], 0) == (0.5, 0.5)
    assert shares_at([first, second], 1) == shares_at([first, second], 7) == (0.0, 1.0)
    plain = [SetSettings("a", "a", "person", repeat=3), SetSettings("b", "b", "person")]
    assert shares_at(plain, 0, (100, 100)) == (0.75, 0.25)
    with pytest.raises(ConfigError, match="share"):
        shares_at(plain)


@pytest.mark.needs_shared
def test_real_sets_give_samples_and_never_those_kept_for_validation(shared, monkeypatch):
    monkeypatch.setenv("RTSEG_SHARED", str(shared))
    lists = Path(__file__).resolve().parents[2] / "engines"
    place = "${RTSEG_SHARED}/data/idd_lite"
    exclude = "splits/validation.toml"
    settings = SetSettings("idd_lite", place, "idd7", split="train", exclude=exclude)
    table = target_table(tuple(CITYSCAPES), ("idd7",))
    opened = open_set(settings, lists, table)
    kept = open_set(replace(settings, exclude="", only=exclude), lists, table)
    assert not set(opened.names) & set(kept.names)
    assert len(kept) > 100
    sample = MixedSource([opened], [1], PROFILES["street"], 0).draw(3, (128, 64))
    assert len(np.unique(sample.target)) > 2
