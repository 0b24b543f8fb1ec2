"""The masks sink: label pictures, the index, and the folder's rules."""

from __future__ import annotations

import json
import os
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from rtseg.errors import SinkError
from rtseg.sinks import open_sink
from rtseg.sinks.masks import MasksSink
from rtseg.types import Segmentation

CLASSES = ("road", "person", "car")


def result_of(size_wh=(64, 48)):
    labels = np.zeros((12, 16), dtype=np.uint8)
    labels[:, 8:] = 1
    labels[:3, 8:] = 2
    return Segmentation(classes=CLASSES, size_wh=size_wh, network_labels=labels)


def matte_of(size_wh=(64, 48)):
    alpha = np.tile(np.linspace(0, 255, 16).astype(np.uint8), (12, 1))
    return Segmentation(classes=("background", "person"), size_wh=size_wh, network_alpha=alpha)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines()]


def write_frames(sink, tools, indices, result=None):
    for index in indices:
        picture = tools.picture_of(index, (64, 48))
        sink.write(tools.frame_of(picture, 7 + index * 512, index=index), result or result_of())


def test_masks_are_indexed_pngs_at_frame_size_with_an_index(tmp_path, tools):
    folder = tmp_path / "deep" / "masks"
    sink = open_sink(f"masks:{folder}")
    sink.open(tools.stream_format())
    write_frames(sink, tools, [0, 1, 5])
    sink.close()
    sink.close()
    assert sorted(os.listdir(folder)) == ["000000.png", "000001.png", "000005.png", "index.jsonl"]
    assert sink.outputs == (folder,)
    with av.open(str(folder / "000005.png")) as container:
        frame = next(container.decode(video=0))
        assert (frame.format.name, frame.width, frame.height) == ("pal8", 64, 48)
        rows = np.frombuffer(frame.planes[0], np.uint8).reshape(48, -1)[:, :64]
    assert np.array_equal(rows, result_of().labels)
    shown = cv2.imread(str(folder / "000005.png"))[..., ::-1]
    assert np.array_equal(shown, np.array(tools.stream_format().palette, np.uint8)[result_of().labels])
    line = lines_of(folder)[2]
    assert (line["frame_index"], line["pts"], line["time_base"], line["file"]) == (
        5,
        2567,
        "1/12800",
        "000005.png",
    )
    assert line["pts_seconds"] == pytest.approx(2567 / 12800, abs=1e-6)
    assert line["shares"] == {"road": 0.5, "person": 0.375, "car": 0.125}


def test_a_matte_is_written_too(tmp_path, tools):
    sink = MasksSink(tmp_path / "m")
    sink.open(tools.stream_format())
    write_frames(sink, tools, [0], matte_of())
    sink.close()
    grey = cv2.imread(str(tmp_path / "m" / "000000.alpha.png"), cv2.IMREAD_UNCHANGED)
    assert grey.ndim == 2
    assert np.array_equal(grey, matte_of().alpha_bytes)
    assert lines_of(tmp_path / "m")[0]["alpha_file"] == "000000.alpha.png"
    assert set(lines_of(tmp_path / "m")[0]["shares"]) == {"background", "person"}


def test_lines_are_whole_while_the_run_goes_on_and_after_an_abort(tmp_path, tools):
    sink = MasksSink(tmp_path / "m")
    sink.open(tools.stream_format())
    for index in range(3):
        write_frames(sink, tools, [index])
        assert len(lines_of(tmp_path / "m")) == index + 1
    sink.abort()
    assert [line["file"] for line in lines_of(tmp_path / "m")] == ["000000.png", "000001.png", "000002.png"]


def test_a_folder_that_is_not_empty_needs_overwrite_which_keeps_foreign_files(tmp_path, tools):
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("000099.png", "000099.alpha.png", "index.jsonl", "notes.txt", "photo.png"):
        (folder / name).write_text("x")
    with pytest.raises(SinkError, match="--overwrite"):
        MasksSink(folder).open(tools.stream_format())
    assert len(os.listdir(folder)) == 5
    sink = MasksSink(folder, overwrite=True)
    sink.open(tools.stream_format())
    write_frames(sink, tools, [0])
    sink.close()
    assert sorted(os.listdir(folder)) == ["000000.png", "index.jsonl", "notes.txt", "photo.png"]


def test_a_run_without_frames_leaves_no_folder(tmp_path, tools):
    sink = MasksSink(tmp_path / "m")
    sink.open(tools.stream_format())
    sink.abort()
    assert os.listdir(tmp_path) == []
    MasksSink(tmp_path / "never opened").abort()
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_way_a_missing_result_and_a_closed_sink_are_clear(tmp_path, tools):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError, match="expected a folder"):
        MasksSink(tmp_path / "file").open(tools.stream_format())
    sink = MasksSink(tmp_path / "m")
    frame = tools.frame_of(tools.picture_of(0, (64, 48)), 0, time_base=Fraction(1, 25))
    with pytest.raises(SinkError, match="not open"):
        sink.write(frame, result_of())
    sink.open(tools.stream_format())
    with pytest.raises(SinkError, match="without a segmentation"):
        sink.write(frame, None)
    sink.close()


def test_a_picture_that_cannot_be_written_leaves_no_half_file(tmp_path, tools, monkeypatch):
    sink = MasksSink(tmp_path / "m")
    sink.open(tools.stream_format())
    write_frames(sink, tools, [0])

    def full(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(SinkError, match="full disk"):
        write_frames(sink, tools, [1])
    sink.abort()
    assert sorted(os.listdir(tmp_path / "m")) == ["000000.png", "index.jsonl"]
    assert len(lines_of(tmp_path / "m")) == 1
