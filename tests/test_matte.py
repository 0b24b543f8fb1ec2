"""Levels of a matte: the ends are snapped, the middle stays, and nothing changes its order."""

from __future__ import annotations

import numpy as np

from rtseg.matte import SNAP, snap_levels
from rtseg.segmenter import snapped


def test_almost_nothing_becomes_nothing_and_almost_everything_everything():
    levels = snap_levels()
    assert levels[: SNAP + 1].max() == 0
    assert levels[255 - SNAP :].min() == 255
    assert list(levels[127:129]) == [127, 128]
    assert (np.diff(levels.astype(int)) >= 0).all()


def test_no_snapping_changes_nothing():
    np.testing.assert_array_equal(snap_levels(0), np.arange(256))


def test_the_segmenter_snaps_by_the_same_table():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(snapped(ramp).ravel(), snap_levels())
