"""Warm-ups and what is kept for encoding are cut short: the tests look at what is measured, not at how steadily."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr("rtseg.bench.window.MOST_WARM_UP_SECONDS", 0.1)
    monkeypatch.setattr("rtseg.bench.parts.MOST_KEPT_FRAMES", 12)
