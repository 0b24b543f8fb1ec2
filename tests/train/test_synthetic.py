from __future__ import annotations

import numpy as np
import pytest

from rtseg.cityscapes import CITYSCAPES
from rtseg.datasets import load_taxonomy
from rtseg.errors import ConfigError
from rtseg.scenes import StreetScene
from rtseg.train import synthetic
from rtseg.train.pictures import SetSettings
from rtseg.train.synthetic import SyntheticSet, training_moments
from rtseg.train.targets import target_table

STREET = target_table(tuple(CITYSCAPES))
SMALL = {"frames": 7, "size_wh": (64, 36)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return folder, SyntheticSet(SetSettings("s", "synthetic:street", **SMALL), STREET, cache_folder=folder)


def test_frames_and_labels_are_those_of_the_scene(made):
    _, found = made
    assert len(found) == 7
    seed, seconds = training_moments(1, 0)
    rgb, labels = StreetScene(size_wh=(64, 36), seed=seed).render_with_labels(seconds[0])
    assert np.array_equal(found.picture(6).rgb, rgb)
    assert np.array_equal(found.picture(6).target, labels)


def test_scenes_that_are_scored_are_never_rendered():
    for seed in (0, 3):
        for shard in range(400):
            scene, seconds = training_moments(shard, seed)
            assert scene <= 3 or (scene % 2 == 1 and scene >= 1001)
            assert min(seconds) >= 5.0
    assert len({training_moments(shard, 0)[0] for shard in range(400)}) > 290
    assert training_moments(3, 0) == training_moments(3, 0) != training_moments(3, 1)


def test_a_second_run_renders_nothing_and_a_killed_one_goes_on(made, monkeypatch):
    folder, first = made
    told: list[tuple[int, int]] = []
    shards = sorted(first.folder.glob("*.npy"))
    stamps = [shard.stat().st_mtime_ns for shard in shards]
    shards[1].unlink()
    SyntheticSet(first.settings, STREET, cache_folder=folder, progress=lambda *n: told.append(n))
    assert shards[0].stat().st_mtime_ns == stamps[0]
    assert shards[1].is_file()
    assert told == [(6, 7), (7, 7)]
    assert not list(first.folder.glob("*.part"))


def test_nothing_half_written_is_ever_taken(tmp_path, monkeypatch):
    def dies(file, frames):
        file.write(b"half")
        raise KeyboardInterrupt

    settings = SetSettings("s", "synthetic:street", frames=1, size_wh=(64, 36))
    with monkeypatch.context() as patched:
        patched.setattr(synthetic.np, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            SyntheticSet(settings, STREET, cache_folder=tmp_path)
    assert SyntheticSet(settings, STREET, cache_folder=tmp_path).picture(0).target.any()


def test_other_frames_have_another_folder(made, tmp_path):
    folder, first = made
    other = SyntheticSet(SetSettings("s", "synthetic:street", frames=1, size_wh=(64, 36), seed=1), STREET, None, folder)
    assert other.folder != first.folder


def test_a_desk_gives_soft_mattes(tmp_path):
    found = SyntheticSet(SetSettings("d", "synthetic:desk", frames=2, size_wh=(80, 60)), None, cache_folder=tmp_path)
    mattes = np.stack([found.picture(index).target for index in range(2)])
    assert mattes.max() == 255
    assert ((mattes > 0) & (mattes < 255)).any()


def test_a_coarser_network_gets_coarser_labels(made):
    folder, first = made
    camvid = load_taxonomy("camvid11")
    coarse = SyntheticSet(first.settings, target_table(camvid.classes), camvid, folder)
    fine, found = first.picture(0).target, coarse.picture(0).target
    road = tuple(CITYSCAPES).index("road")
    assert (found[fine == road] == camvid.classes.index("road")).all()
    assert found.max() <= 10


@pytest.mark.parametrize(("path", "table"), [("desk", STREET), ("street", None), ("garden", STREET)])
def test_a_scene_that_does_not_fit_is_refused(path, table, tmp_path):
    with pytest.raises(ConfigError, match="synthetic"):
        SyntheticSet(SetSettings("s", f"synthetic:{path}", **SMALL), table, cache_folder=tmp_path)
