"""Photographs for a teacher: doubles and what is held back stay out, unclear ones too."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "engines"))

import unlabelled_people as module


def photograph(seed, size_hw=(300, 240)):
    """Smooth blotches, as different from seed to seed as photographs are."""
    small = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    return cv2.resize(small, size_hw[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    "again",
    [
        lambda bgr: bgr,
        lambda bgr: bgr[:, ::-1],
        lambda bgr: cv2.resize(bgr, (416, 416)),
        lambda bgr: cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR),
    ],
)
def test_a_picture_is_known_again(again):
    seen = module.Seen()
    assert not seen.knows(photograph(0))
    for seed in range(20):
        seen.add(photograph(seed))
    assert seen.knows(np.ascontiguousarray(again(photograph(7))))
    assert not any(seen.knows(photograph(seed)) for seed in range(100, 200))


def test_agreement_and_certainty_are_both_asked_for():
    matte = np.zeros((40, 40), np.float32)
    matte[10:30, 10:30] = 1
    shifted = np.roll(matte, 8, axis=1)
    unsure = np.where(matte > 0, 0.7, 0).astype(np.float32)
    nobody = np.zeros_like(matte)
    assert module.is_clear(matte, matte)
    assert module.is_clear(matte, unsure)
    assert not module.is_clear(matte, shifted)
    assert not module.is_clear(unsure, matte)
    assert not module.is_clear(nobody, nobody)
    assert module.is_clear(nobody, nobody, keep_empty=True)
    assert not module.is_clear(nobody, matte, keep_empty=True)


def test_what_is_written_and_what_is_not(tmp_path):
    for name, picture in {
        "one": photograph(1), "again": photograph(1), "held": photograph(2), "tiny": photograph(3, (90, 80)),
        "odd": photograph(4), "large": photograph(5, (1200, 900)),
    }.items():  # fmt: skip
        (tmp_path / "in").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), picture)
    (tmp_path / "kept_for_validation").mkdir()
    cv2.imwrite(str(tmp_path / "kept_for_validation" / "x.png"), cv2.resize(photograph(2), (500, 500)))
    odd = photograph(4)[..., ::-1].mean()

    def teacher(rgb):
        alpha = np.zeros(rgb.shape[:2], np.float32)
        alpha[: len(alpha) // 2] = 1
        return SimpleNamespace(alpha=alpha)

    def other(rgb):
        return SimpleNamespace(alpha=np.zeros(rgb.shape[:2], np.float32) if rgb.mean() == odd else teacher(rgb).alpha)

    options = argparse.Namespace(
        pictures=[tmp_path / "in"], out=tmp_path / "out", not_like=[tmp_path / "kept_for_validation"], keep_empty=False
    )
    assert module.choose(options, teacher, other) == {"kept": 2, "small": 1, "seen before": 2, "unclear": 1}
    sizes = sorted(cv2.imread(str(path)).shape for path in (tmp_path / "out" / "images").iterdir())
    assert sizes == [(300, 240, 3), (480, 360, 3)]
