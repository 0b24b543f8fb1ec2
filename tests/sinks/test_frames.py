"""The PNG sequence: exact pixels, names, and the folder's rules."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from rtseg import color
from rtseg.errors import ConfigError, SinkError
from rtseg.sinks import open_sink


def read_rgb(path):
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("channels", [3, 4])
def test_frames_are_exact(tmp_path, tools, channels):
    sink = open_sink(f"frames:{tmp_path / 'f'}")
    tools.write_all(sink, tools.stream_format((65, 47), has_alpha=channels == 4), [0, 512, 1024])
    assert sorted(os.listdir(tmp_path / "f")) == ["000000.png", "000001.png", "000002.png"]
    assert np.array_equal(read_rgb(tmp_path / "f" / "000002.png"), tools.picture_of(2, (65, 47), channels))
    assert sink.outputs == (tmp_path / "f",)


def test_planes_become_rgb(tmp_path, tools):
    rgb = np.full((48, 64, 3), (200, 40, 90), np.uint8)
    sink = open_sink(f"frames:{tmp_path / 'f'}")
    sink.open(tools.stream_format())
    sink.write(tools.frame_of(color.to_yuv420(rgb, matrix="bt709", full_range=True), 0), None)
    sink.close()
    assert np.abs(read_rgb(tmp_path / "f" / "000000.png").astype(int) - rgb).max() <= 2


def test_a_pattern_names_the_pictures_and_guards_its_own_only(tmp_path, tools):
    (tmp_path / "other.png").write_text("x")
    tools.write_all(open_sink(tmp_path / "a%03d.png"), tools.stream_format(), [0, 512])
    assert sorted(os.listdir(tmp_path)) == ["a000.png", "a001.png", "other.png"]
    with pytest.raises(SinkError, match="--overwrite"):
        open_sink(tmp_path / "a%03d.png").open(tools.stream_format())
    tools.write_all(open_sink(tmp_path / "a%03d.png", overwrite=True), tools.stream_format(), [0])
    assert sorted(os.listdir(tmp_path)) == ["a000.png", "other.png"]


def test_a_name_without_a_number_takes_one_picture(tmp_path, tools):
    sink = open_sink(tmp_path / "one.png")
    tools.write_all(sink, tools.stream_format(), [0])
    assert sink.outputs == (tmp_path / "one.png",)
    with pytest.raises(SinkError, match="exists"):
        open_sink(tmp_path / "one.png").open(tools.stream_format())
    with pytest.raises(SinkError, match="second frame"):
        tools.write_all(open_sink(tmp_path / "two.png"), tools.stream_format(), [0, 512])


def test_bad_places_and_patterns_are_clear(tmp_path, tools):
    with pytest.raises(ConfigError, match=r"seen_%06d\.png"):
        open_sink(tmp_path / "a%d_%d.png")
    with pytest.raises(ConfigError, match=r"seen_%06d\.png"):
        open_sink(tmp_path / "a%s.png")
    with pytest.raises(SinkError, match="no folder"):
        open_sink(tmp_path / "no" / "a%d.png").open(tools.stream_format())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(SinkError, match="not empty"):
        open_sink(f"frames:{tmp_path / 'full'}").open(tools.stream_format())


def test_a_run_without_frames_leaves_no_folder(tmp_path, tools):
    sink = open_sink(f"frames:{tmp_path / 'f'}")
    sink.open(tools.stream_format())
    sink.abort()
    assert os.listdir(tmp_path) == []
