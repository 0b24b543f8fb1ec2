"""Write render.npz: what the effects must look like, straight from the formula.

    python -m tests.golden.make_render_golden

Any compositor, on any device, must agree with these pictures within 2 levels. The inputs are in the file as well, so
that no random generator and no drawing function decides whether a test passes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtseg.render import driving
from rtseg.render.background import cell_size_px
from rtseg.render.palette import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, PERSON_PALETTE
from rtseg.types import Yuv420
from tests.render import reference
from tests.render.parts import as_yuv, colorful, person_result, planes_of, street_result

SIZE_WH = (64, 48)
FILE = Path(__file__).with_name("render.npz")
BACKGROUND = [1.0, 0.0]
GREEN = (0, 200, 40)


def expected(picture, street, person):
    """Return the picture of every effect text."""
    weights = [driving.driving_opacity(name, 0.55) for name in CITYSCAPES_CLASSES]
    palette = driving.driving_palette(CITYSCAPES_CLASSES, CITYSCAPES_PALETTE)
    spread_px = 0.8 * 0.05 * SIZE_WH[1]
    cell_px = cell_size_px(spread_px, SIZE_WH, least_px=2 if isinstance(picture, Yuv420) else 1)
    plain = np.full((*SIZE_WH[::-1], 3), GREEN, np.uint8)
    return {
        "street driving:0.55,outlines=no,legend=no,hud=no": reference.tint(picture, street, weights, palette),
        "street tint:0.4": reference.tint(picture, street, [0.4] * 19, CITYSCAPES_PALETTE),
        "person tint:0.7": reference.tint(picture, person, [0.0, 0.7], PERSON_PALETTE),
        "person blur:0.8": reference.blur(picture, person, BACKGROUND, spread_px=spread_px, cell_px=cell_px),
        "person replace:#00c828": reference.replace(picture, person, BACKGROUND, plain),
        "person spotlight:dark,strength=0.8": reference.spotlight(picture, person, BACKGROUND, grey=0.4, dark=0.8),
        "person spotlight:grey,strength=0.8": reference.spotlight(picture, person, BACKGROUND, grey=0.8, dark=0.12),
    }


def packed(picture):
    """Return the planes one below the other, as bytes in one row."""
    return np.concatenate([np.ascontiguousarray(plane).ravel() for plane in planes_of(picture)])


def make():
    """Return the arrays of the golden file."""
    rgb = colorful(SIZE_WH, seed=2)
    street, person = street_result(SIZE_WH, network_wh=(48, 24)), person_result(SIZE_WH, network_wh=(32, 32))
    arrays = {"rgb": rgb, "labels": street.network_labels, "alpha": person.network_alpha}
    for kind, picture in (("rgb", rgb), ("yuv", as_yuv(rgb, matrix="bt709"))):
        for text, drawn in expected(picture, street, person).items():
            arrays[f"{kind} {text}"] = packed(drawn)
    return arrays


if __name__ == "__main__":
    np.savez_compressed(FILE, **make())
