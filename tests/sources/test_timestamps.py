from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from rtseg.sources.timestamps import PtsMender

TB = Fraction(1, 1000)


def mend(raw: list[int | None], time_base: Fraction = TB) -> tuple[list[int], int]:
    mender = PtsMender(time_base=time_base, frame_rate=Fraction(25))
    return [mender.mend(pts) for pts in raw], mender.mended


@pytest.mark.parametrize(
    ("raw", "expected", "mended"),
    [
        pytest.param([0, 40, 81, 300, 301], [0, 40, 81, 300, 301], 0, id="good times of any rate stay"),
        pytest.param([-80, -40, 0], [-80, -40, 0], 0, id="negative times stay"),
        pytest.param([0, 40, 40, 120], [0, 40, 41, 120], 1, id="a repeated time moves one tick"),
        pytest.param([0, 80, 40, 120], [0, 80, 81, 120], 1, id="a step back moves one tick"),
        pytest.param([0, None, 80], [0, 40, 80], 1, id="a missing time is one frame later"),
        pytest.param([None, None, None], [0, 40, 80], 3, id="no times at all"),
        pytest.param([0, None, 40, 80], [0, 40, 41, 80], 2, id="a guess that was too late"),
        pytest.param([9000, 9040, 0, 40], [9000, 9040, 9080, 9120], 2, id="a clock that was reset goes on"),
    ],
)
def test_mended_times(raw: list[int | None], expected: list[int], mended: int) -> None:
    assert mend(raw) == (expected, mended)


def test_times_always_rise() -> None:
    raw: list[int | None] = [5, 5, None, 3, 10**9, 0, 0, None, -4, 6, 7]
    times, _ = mend(raw, Fraction(1, 25))
    assert all(later > earlier for earlier, later in pairwise(times))
