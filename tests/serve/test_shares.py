"""Class shares of every frame, as CSV, as Parquet, and as a chart of bounded length."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from rtseg.errors import BackendUnavailable, SinkError
from rtseg.serve.shares import MOST_SAMPLES, SharesSink
from rtseg.sinks.base import StreamFormat
from rtseg.types import Frame, Segmentation

CLASSES = ("road", 'say "car", please', "sky")


def filled(count: int) -> SharesSink:
    sink = SharesSink()
    palette = ((1, 2, 3), (4, 5, 6), (255, 255, 255))
    sink.open(StreamFormat("x", (4, 3), Fraction(1, 10), Fraction(10), CLASSES, palette))
    for index in range(count):
        labels = np.zeros((3, 4), np.uint8)
        labels.ravel()[: index % 13] = 1
        picture = np.zeros((3, 4, 3), np.uint8)
        sink.write(
            Frame(picture, index, index, Fraction(1, 10), 0), Segmentation(CLASSES, (4, 3), network_labels=labels)
        )
    return sink


def test_every_frame_is_a_line_whose_shares_add_up():
    lines = [*filled(3).csv_lines()]
    assert lines[0] == 'frame_index,seconds,road,"say ""car"", please",sky\n'
    assert lines[2] == f"1,0.100000,{11 / 12:.6f},{1 / 12:.6f},0.000000\n"
    assert len(lines) == 4


def test_a_chart_is_bounded_and_its_samples_are_means():
    short = filled(5).to_json()
    assert short["times"] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert short["palette"][2] == "#ffffff"
    long = filled(2 * MOST_SAMPLES).to_json()
    assert len(long["times"]) == len(long["shares"]) == MOST_SAMPLES
    assert long["shares"][0][1] == pytest.approx((0 + 1) / 2 / 12, abs=1e-5)
    assert long["shares"][3][1] == pytest.approx((6 + 7) / 2 / 12, abs=1e-5)
    assert filled(0).to_json()["shares"] == []


def test_parquet_without_its_package_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(BackendUnavailable, match="pip install"):
        filled(2).parquet()


def test_a_frame_without_a_result_is_an_error():
    with pytest.raises(SinkError, match="model"):
        filled(0).write(Frame(np.zeros((3, 4, 3), np.uint8), 0, 0, Fraction(1, 10), 0), None)
