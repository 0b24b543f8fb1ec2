"""Outputs against each other and against the sources, before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.errors import ConfigError
from rtseg.sinks import open_sink
from rtseg.sinks.targets import check_sources_stay, check_targets


@pytest.mark.parametrize(
    ("first", "second"),
    [("o.mp4", "./o.mp4"), ("masks:d", "frames:d"), ("d/../o.mkv", "o.mkv"), ("a_%03d.png", "a_%03d.png")],
)
def test_one_place_for_two_outputs_fails(first, second):
    with pytest.raises(ConfigError, match="for two outputs"):
        check_targets([open_sink(first), open_sink(second)])


def test_different_places_and_no_places_pass():
    check_targets([open_sink(spec) for spec in ("o.mp4", "o.mkv", "masks:d", "a_%03d.png", "b.png", "null", "null")])


def test_a_sink_over_a_source_fails_by_whatever_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("talk.mp4", "cut.partial.mp4", "000004.png", "mine.png"):
        Path(name).write_bytes(b"precious")
    Path("link.mp4").symlink_to("talk.mp4")
    Path("here").symlink_to(tmp_path, target_is_directory=True)
    for source, spec in (
        ("talk.mp4", "talk.mp4"),
        ("talk.mp4", "here/talk.mp4"),
        ("talk.mp4", "link.mp4"),
        ("cut.partial.mp4", "cut.mp4"),
        ("000004.png", "frames:."),
        ("000004.png", "masks:here"),
        ("mine.png", "mine.png"),
    ):
        with pytest.raises(ConfigError, match="would replace the source"):
            check_sources_stay([Path(source)], [open_sink(spec, overwrite=True)])


def test_a_sink_beside_a_source_passes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("talk.mp4", "mine.png", "other.mp4"):
        Path(name).write_bytes(b"precious")
    specs = ("new.mp4", "other.mp4", "masks:.", "frames:.", "mine_%d.png", "null")
    check_sources_stay([Path("talk.mp4"), Path("mine.png")], [open_sink(spec, overwrite=True) for spec in specs])
