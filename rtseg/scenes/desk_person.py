"""A person in front of a camera, painted from a seed: head, hair, neck, shoulders, clothes, an arm with a hand."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtseg.scenes.canvas import Colour, mixed, shaded
from rtseg.scenes.modelling import (
    Spot,
    blurred,
    finished,
    light_on,
    limb,
    mask_of,
    mirrored,
    paint,
    ragged,
    smooth,
    strands,
)
from rtseg.scenes.textures import fractal_noise
from rtseg.types import FloatArray, UInt8Array

HEAD_WH = (320, 400)
HEAD_PIVOT: Spot = (160.0, 262.0)
"""Where the head sits on the neck, in the head's pixels; its face is 200 pixels high."""
BODY_WH = (640, 560)
BODY_PIVOT: Spot = (320.0, 46.0)
ARM_WH = (220, 480)
ARM_PIVOT: Spot = (110.0, 430.0)
"""The elbow, in the arm's pixels; the hand is above."""

_SKINS: tuple[Colour, ...] = (
    (222, 176, 148), (216, 166, 134), (204, 152, 116), (180, 126, 92), (146, 98, 70), (104, 68, 50),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (30, 24, 22),
    (58, 40, 30),
    (96, 64, 40),
    (150, 106, 62),
    (196, 162, 108),
    (128, 124, 120),
    (120, 60, 34),
)
_CLOTHES: tuple[Colour, ...] = (
    (62, 82, 122), (150, 52, 56), (70, 102, 84), (196, 190, 178), (58, 58, 64), (108, 90, 128), (206, 158, 74),
    (120, 150, 178), (226, 222, 214), (36, 42, 58),
)  # fmt: skip
_IRISES: tuple[Colour, ...] = ((74, 48, 32), (66, 92, 112), (84, 96, 62), (48, 34, 26))
_FACE: tuple[Spot, ...] = (
    (0, 76), (34, 81), (58, 103), (69, 140), (70.5, 180), (67, 212), (57, 243), (35, 268), (14, 277), (0, 278),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """What a person looks like."""

    skin: Colour
    hair: Colour
    clothes: Colour
    iris: Colour
    hair_style: int
    """0 short, 1 side parting, 2 long, 3 tied back, 4 cropped, 5 curly."""
    garment: int
    """0 round neck, 1 shirt with collar, 2 jacket, 3 hood."""
    glasses: bool
    beard: float
    slim: float
    light: Spot
    contrast: float


def choose_look(random: np.random.Generator, light: Spot) -> Look:
    """Return the look of one person."""
    skin_index = int(random.integers(len(_SKINS)))
    dark_hair = skin_index >= 3
    return Look(
        skin=shaded(_SKINS[skin_index], float(random.uniform(0.94, 1.04))),
        hair=_HAIRS[int(random.integers(2 if dark_hair else len(_HAIRS)))],
        clothes=shaded(_CLOTHES[int(random.integers(len(_CLOTHES)))], float(random.uniform(0.85, 1.05))),
        iris=_IRISES[0 if dark_hair else int(random.integers(len(_IRISES)))],
        hair_style=int(random.integers(6)),
        garment=int(random.integers(4)),
        glasses=bool(random.uniform() < 0.3),
        beard=float(random.uniform(0.4, 1.0)) if random.uniform() < 0.3 else 0.0,
        slim=float(random.uniform(0.88, 1.06)),
        light=light,
        contrast=float(random.uniform(0.7, 1.1)),
    )


def head_picture(random: np.random.Generator, look: Look) -> UInt8Array:
    """Return head and hair without eyes and mouth, premultiplied rgba uint8 [400, 320, 4]."""
    shape = (HEAD_WH[1], HEAD_WH[0])
    picture = np.zeros((*shape, 4), np.float32)
    face = _face_mask(look)
    bearded = look.beard > 0 and look.hair_style != 2
    _paint_ears(picture, look)
    tone = 1 + 0.02 * fractal_noise(random, HEAD_WH, (20, 25), 2)
    paint(picture, face, look.skin, light_on(face, 74, look.light, look.contrast) * tone)
    _paint_modelling(picture, face, look)
    if bearded:
        _paint_beard(random, picture, face, look)
    _paint_nose(picture, look)
    _paint_brows(random, picture, look)
    _paint_hair(random, picture, look)
    return finished(picture)


def hair_behind(random: np.random.Generator, look: Look) -> UInt8Array | None:
    """Return the hair behind the neck of long-haired people, premultiplied rgba like the head; None for others."""
    if look.hair_style != 2:
        return None
    shape = (HEAD_WH[1], HEAD_WH[0])
    half: list[Spot] = [(0, 60), (48, 68), (80, 110), (90, 180), (94, 250), (98, 310), (84, 360), (40, 372), (0, 372)]
    mask = ragged(random, mask_of(shape, smooth(mirrored(half, 160))), 5.0, 1.0)
    picture = np.zeros((*shape, 4), np.float32)
    shade = (0.72 + 0.1 * strands(random, shape, 40)) * light_on(mask, 60, look.light, 0.8)
    paint(picture, mask, look.hair, shade)
    return finished(picture)


def _face_mask(look: Look) -> FloatArray:
    half = [(x * (0.5 + 0.5 * look.slim), y) for x, y in _FACE]
    return mask_of((HEAD_WH[1], HEAD_WH[0]), smooth(mirrored(half, 160)), 0.9)


def _paint_ears(picture: FloatArray, look: Look) -> None:
    shape = (HEAD_WH[1], HEAD_WH[0])
    for side in (-1, 1):
        ear = smooth(
            [(160 + side * x, y) for x, y in ((64, 168), (76, 162), (82, 176), (78, 200), (70, 214), (64, 208))]
        )
        mask = mask_of(shape, ear, 0.9)
        paint(
            picture,
            mask,
            shaded(mixed(look.skin, (200, 90, 80), 0.12), 0.9),
            light_on(mask, 9, look.light, look.contrast),
        )
        inner = mask_of(
            shape, smooth([(160 + side * x, y) for x, y in ((68, 176), (76, 174), (75, 192), (69, 202))]), 2.0
        )
        paint(picture, inner * 0.45, shaded(look.skin, 0.6))


def _paint_modelling(picture: FloatArray, face: FloatArray, look: Look) -> None:
    """Paint eye sockets, cheeks, and shadow under cheekbones, lip and brow."""
    shape = (HEAD_WH[1], HEAD_WH[0])
    dark, warm = shaded(mixed(look.skin, (120, 50, 40), 0.2), 0.62), mixed(look.skin, (216, 96, 84), 0.4)
    for side in (-1, 1):
        socket = _oval_mask(shape, (160 + side * 31, 177), (25, 15), 7)
        paint(picture, face * socket * 0.36, dark)
        cheek = _oval_mask(shape, (160 + side * 42, 214), (20, 16), 11)
        paint(picture, face * cheek * 0.3, warm)
        hollow = _oval_mask(shape, (160 + side * 62, 228), (14, 30), 12)
        paint(picture, face * hollow * 0.25, dark)
        fold = mask_of(shape, limb((160 + side * 20, 218), (160 + side * 29, 240), 1.5, 1.2), 2.2)
        paint(picture, face * fold * 0.28, dark)
    paint(picture, face * _oval_mask(shape, (160, 262), (22, 5), 5) * 0.2, dark)
    paint(
        picture, face * _oval_mask(shape, (160 + 12 * look.light[0], 118), (34, 16), 14) * 0.22, shaded(look.skin, 1.22)
    )


def _paint_nose(picture: FloatArray, look: Look) -> None:
    """Paint bridge, tip and nostrils."""
    shape = (HEAD_WH[1], HEAD_WH[0])
    away = -1 if look.light[0] > 0 else 1
    dark = shaded(mixed(look.skin, (120, 50, 40), 0.25), 0.6)
    paint(
        picture,
        mask_of(
            shape, smooth([(160 + away * x, y) for x, y in ((5, 172), (9, 196), (15, 215), (7, 220), (3, 196))]), 3.2
        )
        * 0.42,
        dark,
    )
    paint(
        picture,
        mask_of(
            shape,
            smooth([(160 + x, y) for x, y in ((-14, 218), (-8, 223), (0, 226), (8, 223), (14, 218), (0, 221))]),
            1.8,
        )
        * 0.6,
        dark,
    )
    paint(
        picture,
        mask_of(shape, limb((160 - away * 1.5, 172), (160 - away * 2, 208), 2.4, 4.6), 3.0) * 0.4,
        shaded(look.skin, 1.18),
    )
    for side in (-1, 1):
        paint(picture, _oval_mask(shape, (160 + side * 7.5, 221.5), (3.4, 2.0), 1.1) * 0.75, shaded(look.skin, 0.3))


def _paint_brows(random: np.random.Generator, picture: FloatArray, look: Look) -> None:
    shape = (HEAD_WH[1], HEAD_WH[0])
    tone = mixed(look.hair, look.skin, 0.2)
    for side in (-1, 1):
        brow = smooth(
            [(160 + side * x, y) for x, y in ((14, 160), (32, 153), (52, 158), (53, 160), (32, 158), (15, 165))]
        )
        paint(picture, mask_of(shape, brow, 1.2) * 0.8, tone, 1 + 0.1 * strands(random, shape, 3))


def _paint_beard(random: np.random.Generator, picture: FloatArray, face: FloatArray, look: Look) -> None:
    shape = (HEAD_WH[1], HEAD_WH[0])
    half: list[Spot] = [(0, 228), (24, 230), (44, 222), (62, 190), (72, 196), (66, 236), (40, 276), (0, 288)]
    area = blurred(mask_of(shape, smooth(mirrored(half, 160)), 4.0) * np.clip(face * 1.2, 0, 1), 1.5)
    mouth = 1 - _oval_mask(shape, (160, 244), (21, 8), 3)
    paint(
        picture,
        area * mouth * (0.35 + 0.55 * look.beard),
        shaded(look.hair, 0.95),
        1 + 0.16 * strands(random, shape, 5),
    )


def _paint_hair(random: np.random.Generator, picture: FloatArray, look: Look) -> None:
    """Paint the hair that frames the face."""
    shape = (HEAD_WH[1], HEAD_WH[0])
    outer: list[Spot] = [(74, 186), (79, 150), (75, 104), (52, 68), (0, 54)]
    line: dict[int, list[Spot]] = {
        0: [(-62, 152), (-54, 122), (-26, 110), (24, 108), (54, 122), (62, 152)],
        1: [(-63, 160), (-58, 128), (-40, 106), (10, 118), (50, 138), (64, 168)],
        2: [(-66, 200), (-62, 150), (-44, 112), (-6, 96), (46, 116), (62, 150), (66, 200)],
        3: [(-63, 150), (-48, 110), (0, 98), (48, 110), (63, 150)],
        4: [(-63, 146), (-50, 112), (0, 102), (50, 112), (63, 146)],
        5: [(-64, 160), (-54, 124), (-20, 108), (20, 108), (54, 124), (64, 160)],
    }
    grow = {0: 1.03, 1: 1.07, 2: 1.08, 3: 1.0, 4: 0.965, 5: 1.24}[look.hair_style]
    swell = [(160 + x * grow, 150 + (y - 150) * grow) for x, y in outer]
    other = [(160 - x * grow, 150 + (y - 150) * grow) for x, y in reversed(outer)]
    inner = [(160 + x, y) for x, y in line[look.hair_style]]
    mask = mask_of(shape, np.concatenate([smooth(swell + other[1:], closed=False), smooth(inner, closed=False)]), 1.0)
    if look.hair_style == 5:
        mask = _curls(random, mask)
    elif look.hair_style == 2:
        for side in (-1, 1):
            lock: list[Spot] = [
                (60, 120),
                (78, 130),
                (94, 220),
                (100, 310),
                (92, 366),
                (70, 372),
                (66, 320),
                (70, 240),
                (66, 180),
            ]
            mask = np.maximum(mask, mask_of(shape, smooth([(160 + side * x, y) for x, y in lock]), 1.2))
    elif look.hair_style == 3:
        mask = np.maximum(
            mask, mask_of(shape, smooth(mirrored([(0, 22), (22, 28), (30, 48), (16, 66), (0, 66)], 160)), 1.0)
        )
    cover = ragged(random, mask, 2.2 if look.hair_style in (3, 4) else 3.4, 0.8)
    streak = 0.13 * strands(random, shape, 26 if look.hair_style != 5 else 4)
    shine = 0.22 * _oval_mask(shape, (160 + 26 * look.light[0], 88), (46, 14), 10)
    paint(
        picture,
        cover * (0.75 if look.hair_style == 4 else 1.0),
        look.hair,
        light_on(mask, 46, look.light, 0.9) * (0.98 + streak) + shine,
    )


def _curls(random: np.random.Generator, mask: FloatArray) -> FloatArray:
    """Return hair made of curls along the given one."""
    bytes_mask = (mask * 255).astype(np.uint8)
    spots = np.argwhere(bytes_mask > 128)
    for y, x in spots[random.integers(0, len(spots), 170)]:
        cv2.circle(bytes_mask, (int(x), int(y) - 3), int(random.integers(5, 12)), 255, -1, cv2.LINE_AA)
    face = mask_of(
        (HEAD_WH[1], HEAD_WH[0]), smooth(mirrored([(0, 114), (46, 122), (60, 150), (62, 280), (0, 290)], 160)), 1.5
    )
    return np.asarray(bytes_mask.astype(np.float32) / 255 * (1 - face), dtype=np.float32)


def _oval_mask(shape_hw: tuple[int, int], centre: Spot, radius: Spot, softness_px: float) -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    outline = np.stack([centre[0] + radius[0] * np.cos(angle), centre[1] + radius[1] * np.sin(angle)], axis=1)
    return mask_of(shape_hw, outline, softness_px)
