"""Shoulders, clothes, and an arm with a hand for the person at a desk."""

from __future__ import annotations

import numpy as np

from rtseg.scenes.canvas import Colour, mixed, shaded
from rtseg.scenes.desk_person import ARM_WH, BODY_WH, Look
from rtseg.scenes.modelling import Spot, blurred, finished, light_on, limb, mask_of, mirrored, paint, smooth
from rtseg.scenes.textures import fractal_noise
from rtseg.types import FloatArray, UInt8Array

_SHOULDERS: tuple[Spot, ...] = (
    (0, 40), (38, 52), (74, 80), (134, 100), (182, 124), (212, 174),
    (226, 250), (236, 340), (244, 450), (248, 620), (0, 620),
)  # fmt: skip


def body_picture(random: np.random.Generator, look: Look) -> UInt8Array:
    """Return neck, shoulders and clothes, premultiplied rgba uint8 [560, 640, 4]."""
    shape = (BODY_WH[1], BODY_WH[0])
    picture = np.zeros((*shape, 4), np.float32)
    trunk = mask_of(shape, smooth(mirrored(_sized(_SHOULDERS, look.slim), 320)), 0.9)
    if look.garment == 3:
        hood = mask_of(
            shape, smooth(mirrored([(0, 30), (70, 34), (104, 66), (92, 108), (40, 124), (0, 126)], 320)), 1.0
        )
        paint(picture, hood, shaded(look.clothes, 0.72), light_on(hood, 22, look.light, look.contrast))
    cloth = _cloth(random, look, trunk)
    paint(picture, trunk, look.clothes, cloth)
    _paint_neck(picture, look)
    {0: _round_neck, 1: _collar, 2: _jacket, 3: _hood}[look.garment](picture, look, trunk, cloth)
    return finished(picture)


def arm_picture(random: np.random.Generator, look: Look, *, spread: float, fist: bool) -> UInt8Array:
    """Return a forearm with a raised hand, premultiplied rgba uint8 [480, 220, 4].

    Args:
        random: folds of the sleeve.
        look: whose arm it is.
        spread: how far the fingers are apart, 0..1.
        fist: only the forefinger is stretched.
    """
    shape = (ARM_WH[1], ARM_WH[0])
    picture = np.zeros((*shape, 4), np.float32)
    wrist = mask_of(shape, limb((110, 330), (108, 160), 34, 24), 0.9)
    paint(picture, wrist, look.skin, light_on(wrist, 28, look.light, look.contrast))
    for start, end, radii in _fingers(spread, fist):
        finger = mask_of(shape, limb(start, end, *radii), 0.8)
        paint(picture, _on(picture, blurred(finger, 2.5)) * 0.4, shaded(look.skin, 0.55))
        paint(picture, finger, look.skin, light_on(finger, 10, look.light, look.contrast) * 0.99)
    palm_outline = smooth(
        [(80, 96), (98, 90), (122, 90), (139, 98), (142, 128), (130, 164), (108, 174), (86, 164), (76, 130)]
    )
    palm = mask_of(shape, palm_outline, 1.2)
    paint(picture, palm, mixed(look.skin, (226, 130, 112), 0.1), light_on(palm, 34, look.light, look.contrast * 0.7))
    for crease in (((84, 128), (128, 118)), ((96, 150), (88, 112))):
        paint(picture, mask_of(shape, limb(*crease, 0.8, 0.8), 1.2) * 0.4, shaded(look.skin, 0.6))
    sleeve = mask_of(
        shape, smooth([(80, 262), (110, 254), (138, 262), (152, 350), (164, 490), (54, 490), (66, 350)]), 0.9
    )
    folds = 1 + 0.14 * fractal_noise(random, ARM_WH, (4, 12), 3)
    paint(picture, _on(picture, blurred(sleeve, 5)) * 0.4, shaded(look.skin, 0.5))
    paint(picture, sleeve, shaded(look.clothes, 0.95), light_on(sleeve, 46, look.light, look.contrast) * folds)
    return finished(picture)


def _on(picture: FloatArray, mask: FloatArray) -> FloatArray:
    """Return the part of a mask that lies on what is painted."""
    return np.asarray(mask * (picture[..., 3] / 255), dtype=np.float32)


def _sized(half: tuple[Spot, ...], slim: float) -> list[Spot]:
    """Return an outline's half with narrower or wider shoulders; the neck stays."""
    return [(x * (slim if x > 60 else 1.0), y) for x, y in half]


def _cloth(random: np.random.Generator, look: Look, trunk: FloatArray) -> FloatArray:
    """Return the brightness of the clothes: round shoulders, folds, creases between arms and chest, weave."""
    shape = trunk.shape
    folds = fractal_noise(random, BODY_WH, (7, 4), 3)
    shade = (
        light_on(trunk, 120, look.light, look.contrast)
        * (1 + 0.14 * folds)
        * (0.97 + 0.02 * random.standard_normal(shape, dtype=np.float32))
    )
    for side in (-1, 1):
        x = 320 + side * 152 * look.slim
        crease = mask_of((shape[0], shape[1]), limb((x + side * 10, 250), (x - side * 8, 560), 2.5, 6.0), 6.0)
        shade = shade * (1 - 0.34 * crease)
        seam = mask_of(
            (shape[0], shape[1]),
            limb((320 + side * 140 * look.slim, 104), (320 + side * 166 * look.slim, 250), 1.2, 1.2),
            1.4,
        )
        shade = shade * (1 - 0.22 * seam)
    return np.asarray(shade, dtype=np.float32)


def _paint_neck(picture: FloatArray, look: Look) -> None:
    """Paint the neck and the shadow of the chin on it."""
    shape = (BODY_WH[1], BODY_WH[0])
    neck = mask_of(
        shape, smooth(mirrored([(0, -30), (40, -20), (38, 30), (42, 62), (58, 82), (30, 112), (0, 122)], 320)), 1.0
    )
    paint(picture, neck, shaded(look.skin, 0.93), light_on(neck, 38, look.light, look.contrast))
    chin = mask_of(shape, smooth(mirrored([(0, 0), (44, 0), (40, 46), (20, 62), (0, 66)], 320)), 8.0)
    paint(picture, neck * chin * 0.5, shaded(mixed(look.skin, (110, 44, 36), 0.3), 0.5))
    for side in (-1, 1):
        tendon = mask_of(shape, limb((320 + side * 26, 52), (320 + side * 10, 104), 2.0, 2.6), 3.0)
        paint(picture, neck * tendon * 0.25, shaded(look.skin, 0.7))


def _round_neck(picture: FloatArray, look: Look, trunk: FloatArray, cloth: FloatArray) -> None:
    """Close the clothes round the neck."""
    shape = (BODY_WH[1], BODY_WH[0])
    above = mask_of(shape, smooth(mirrored([(0, -200), (90, -200), (58, 52), (44, 88), (22, 104), (0, 108)], 320)), 0.8)
    paint(picture, trunk * (1 - above), look.clothes, cloth)
    rim = np.asarray(np.clip(blurred(above, 3.5) * (1 - above) * 3.2, 0, 1), dtype=np.float32)
    paint(picture, trunk * rim * 0.8, shaded(look.clothes, 0.8), cloth)


def _collar(picture: FloatArray, look: Look, trunk: FloatArray, cloth: FloatArray) -> None:
    """Put on a shirt: open collar, a row of buttons."""
    shape = (BODY_WH[1], BODY_WH[0])
    opening = mask_of(shape, np.array([(258, -200), (382, -200), (372, 64), (320, 150), (268, 64)], np.float64), 0.8)
    paint(picture, trunk * (1 - opening), look.clothes, cloth)
    placket = mask_of(shape, np.array([(309, 148), (331, 148), (331, 620), (309, 620)], np.float64), 1.0)
    paint(picture, trunk * placket * 0.35, shaded(look.clothes, 0.72), cloth)
    for y in (190, 270, 350, 430):
        paint(
            picture,
            mask_of(shape, limb((320, y), (320, y + 0.5), 4, 4), 0.8) * 0.9,
            mixed(look.clothes, (236, 232, 224), 0.6),
        )
    for side in (-1, 1):
        leaf = mask_of(
            shape,
            np.array(
                [(320 + side * x, y) for x, y in ((46, 40), (62, 52), (78, 118), (40, 138), (4, 140), (36, 76))],
                np.float64,
            ),
            1.0,
        )
        paint(picture, blurred(leaf, 4) * trunk * 0.4, shaded(look.clothes, 0.45))
        paint(picture, leaf, shaded(look.clothes, 1.06), light_on(leaf, 14, look.light, 0.7))


def _jacket(picture: FloatArray, look: Look, trunk: FloatArray, cloth: FloatArray) -> None:
    """Put on a jacket over a pale shirt."""
    shape = (BODY_WH[1], BODY_WH[0])
    shirt: Colour = (226, 228, 232) if sum(look.clothes) < 480 else (70, 78, 100)
    inner = mask_of(shape, np.array([(262, 60), (378, 60), (352, 360), (320, 480), (288, 360)], np.float64), 1.0)
    above = mask_of(shape, smooth(mirrored([(0, -200), (90, -200), (56, 50), (40, 84), (18, 112), (0, 124)], 320)), 0.8)
    paint(picture, trunk * (1 - above), look.clothes, cloth)
    paint(picture, inner * trunk * (1 - above), shirt, cloth)
    for side in (-1, 1):
        lapel = mask_of(
            shape,
            np.array(
                [
                    (320 + side * x, y)
                    for x, y in ((48, 44), (74, 70), (104, 200), (74, 214), (84, 240), (14, 470), (34, 300), (56, 120))
                ],
                np.float64,
            ),
            1.0,
        )
        paint(picture, blurred(lapel, 5) * trunk * 0.45, shaded(look.clothes, 0.4))
        paint(picture, lapel, shaded(look.clothes, 1.1), light_on(lapel, 12, look.light, 0.6))


def _hood(picture: FloatArray, look: Look, trunk: FloatArray, cloth: FloatArray) -> None:
    """Put on a pullover whose hood lies round the neck, with two cords."""
    _round_neck(picture, look, trunk, cloth)
    shape = (BODY_WH[1], BODY_WH[0])
    for side in (-1, 1):
        fold = mask_of(
            shape,
            smooth(
                [
                    (320 + side * x, y)
                    for x, y in ((52, 36), (84, 48), (104, 84), (70, 120), (14, 142), (4, 118), (36, 96), (50, 66))
                ]
            ),
            1.2,
        )
        paint(picture, blurred(fold, 6) * trunk * 0.4, shaded(look.clothes, 0.4))
        paint(picture, fold, shaded(look.clothes, 0.98), light_on(fold, 18, look.light, 1.0))
        paint(
            picture,
            mask_of(shape, limb((320 + side * 22, 138), (320 + side * 26, 250), 3, 3), 0.8),
            mixed(look.clothes, (236, 232, 226), 0.75),
        )


def _fingers(spread: float, fist: bool) -> list[tuple[Spot, Spot, Spot]]:
    """Return base, tip and radii of the fingers and the thumb."""
    angles = np.array((-0.2, -0.06, 0.07, 0.21)) * (0.45 + spread)
    lengths = (68, 78, 72, 54) if not fist else (70, 18, 16, 14)
    bases = ((86, 100), (101, 94), (117, 95), (132, 102))
    fingers: list[tuple[Spot, Spot, Spot]] = []
    for (x, y), angle, length in zip(bases, angles, lengths, strict=True):
        tip = (x + length * float(np.sin(angle)), y - length * float(np.cos(angle)))
        fingers.append(((float(x), float(y)), tip, (9.6, 7.6)))
    reach = 0.9 + 0.35 * spread
    fingers.append(((82.0, 140.0), (82.0 - 52 * float(np.sin(reach)), 140 - 56 * float(np.cos(reach))), (12.0, 8.4)))
    return fingers
