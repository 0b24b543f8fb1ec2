"""The specification that holds the compositors together: golden pictures made from the formula."""

from __future__ import annotations

import numpy as np
import pytest

from rtseg.render import effects
from rtseg.render.palette import CITYSCAPES_CLASSES, PERSON_CLASSES
from rtseg.types import Segmentation
from tests.golden.make_render_golden import FILE, SIZE_WH, make, packed
from tests.render.parts import as_yuv, composite

with np.load(FILE) as _file:
    GOLDEN = dict(_file)
CASES = [key for key in GOLDEN if key.startswith(("rgb ", "yuv "))]


@pytest.mark.parametrize("case", CASES)
def test_the_compositor_agrees_with_the_golden_picture(case):
    kind, who, text = case.split(" ")
    picture = GOLDEN["rgb"] if kind == "rgb" else as_yuv(GOLDEN["rgb"], matrix="bt709")
    result = (
        Segmentation(CITYSCAPES_CLASSES, SIZE_WH, network_labels=GOLDEN["labels"])
        if who == "street"
        else Segmentation(PERSON_CLASSES, SIZE_WH, network_alpha=GOLDEN["alpha"])
    )
    drawn = packed(composite(effects.parse_effect(text), picture, result)).astype(int)
    assert np.abs(drawn - GOLDEN[case]).max() <= 2
    assert np.abs(packed(picture).astype(int) - GOLDEN[case]).max() > 20


def test_the_script_still_makes_the_golden_file():
    made = make()
    assert list(made) == list(GOLDEN)
    for case in CASES:
        assert np.abs(made[case].astype(int) - GOLDEN[case]).max() <= 1
