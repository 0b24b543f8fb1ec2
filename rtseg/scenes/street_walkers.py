"""People on the pavement: walk cycles painted once, seen from the front, from behind or from the side."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtseg.scenes import textures
from rtseg.scenes.canvas import Canvas, Colour, Sprite, mixed, shaded
from rtseg.scenes.street_plan import LOOP_M, PERSON, Mood, Strips, View
from rtseg.types import UInt8Array

SMALLEST_WALKER_PX = 52.0
_PHASES = 8
_SIZE_WH = (96, 192)
_SKINS: tuple[Colour, ...] = ((236, 194, 166), (206, 152, 118), (150, 102, 74), (104, 70, 52))
_HAIRS: tuple[Colour, ...] = ((40, 30, 26), (92, 62, 40), (170, 130, 76), (120, 116, 112))
_COATS: tuple[Colour, ...] = (
    (186, 44, 50),
    (40, 66, 120),
    (222, 210, 190),
    (52, 54, 60),
    (226, 164, 48),
    (66, 112, 84),
    (138, 82, 130),
    (110, 150, 190),
)
_TROUSERS: tuple[Colour, ...] = ((38, 44, 66), (58, 56, 58), (120, 104, 84), (30, 30, 34), (84, 98, 124))


@dataclass(frozen=True, slots=True)
class Walker:
    """One person on the pavement."""

    look: int
    x_m: float
    z_m: float
    speed_m_s: float
    height_m: float
    phase: float


class Walkers:
    """All people of a street."""

    def __init__(self, random: np.random.Generator, strips: Strips, mood: Mood) -> None:
        """Paint a few people and let them walk."""
        self._mood = mood
        self._looks = [_walk_cycle(random, back=bool(number % 2)) for number in range(4)]
        self._shadow = textures.soft_disc(40, 0.9)
        self.walkers = _choose(random, strips, len(self._looks))

    def draw(self, canvas: Canvas, view: View, walker: Walker, z_m: float, time_seconds: float) -> None:
        """Draw one person at that distance."""
        if z_m < 3.0 or view.reference_px(walker.height_m, z_m) < SMALLEST_WALKER_PX:
            return
        cycle = self._looks[walker.look]
        step = int((time_seconds * abs(walker.speed_m_s) / 1.45 + walker.phase) * _PHASES) % _PHASES
        bob = 0.012 * walker.height_m * float(np.cos(4 * np.pi * step / _PHASES))
        x, ground = view.spot(walker.x_m, 0.0, z_m)
        unit = view.px_per_m(z_m)
        height, width = walker.height_m * unit, walker.height_m * unit * _SIZE_WH[0] / _SIZE_WH[1]
        box = (
            x - 0.5 * width - 0.1 * self._mood.sun * width,
            ground - 0.06 * width,
            x + 0.5 * width - 0.1 * self._mood.sun * width,
            ground + 0.14 * width,
        )
        canvas.darken(self._shadow, box, self._mood.shadow)
        top = ground - height + bob * unit
        haze = (self._mood.haze, self._mood.air(z_m))
        canvas.sprite(cycle[step], (x - width / 2, top, x + width / 2, ground + 0.02 * height), PERSON, haze=haze)


def _choose(random: np.random.Generator, strips: Strips, looks: int) -> list[Walker]:
    """Return people on both pavements, alone and in groups."""
    walkers = []
    for kerb, wall in strips.walk_m:
        z, look = float(random.uniform(0, 10)), 0
        while z < LOOP_M - 3:
            look = (look + 1 + int(random.integers(looks - 1))) % looks
            pace = float(random.uniform(1.0, 1.5)) * (1 if look % 2 else -1)
            x = kerb + (wall - kerb) * float(random.uniform(0.18, 0.7))
            walkers.append(Walker(look, x, z, pace, float(random.uniform(1.62, 1.95)), float(random.uniform(0, 1))))
            z += float(random.uniform(1.0, 7.5))
    return walkers


def _walk_cycle(random: np.random.Generator, *, back: bool) -> list[Sprite]:
    """Return one person in all phases of a step."""
    skin = _SKINS[int(random.integers(len(_SKINS)))]
    hair = _HAIRS[int(random.integers(len(_HAIRS)))]
    coat = _COATS[int(random.integers(len(_COATS)))]
    trousers = _TROUSERS[int(random.integers(len(_TROUSERS)))]
    skirt, long_hair = bool(random.uniform() < 0.25), bool(random.uniform() < 0.45)
    tones = (skin, hair, coat, trousers)
    return [Sprite(_walker(tones, 2 * np.pi * p / _PHASES, back, skirt, long_hair)) for p in range(_PHASES)]


def _walker(
    tones: tuple[Colour, Colour, Colour, Colour], phase: float, back: bool, skirt: bool, long_hair: bool
) -> UInt8Array:
    """Return one person in one phase of a step, rgba uint8 [192, 96, 4]."""
    skin, hair, coat, trousers = tones
    picture = np.zeros((_SIZE_WH[1], _SIZE_WH[0], 4), np.uint8)
    swing = float(np.sin(phase))
    for side in (-1, 1):
        lift = 7.0 * side * swing
        hip, knee, foot = (
            (48 + side * 8.0, 102.0),
            (48 + side * 9.0, 144.0 - 0.5 * max(lift, 0)),
            (48 + side * 9.5, 184.0 - max(lift, 0) * 1.3),
        )
        leg = shaded(trousers, 1.0 - 0.14 * (side * swing > 0))
        _limb(picture, hip, knee, 8.5, 7.0, leg)
        _limb(picture, knee, foot, 7.0, 5.5, leg)
        _limb(picture, (foot[0] - 1, foot[1]), (foot[0] + side * 3.0, foot[1] + 3), 5.0, 4.5, (34, 30, 30))
    if skirt:
        _shape(picture, ((33, 96), (63, 96), (67 + 2 * swing, 134), (29 + 2 * swing, 134)), trousers)
    for side in (-1, 1):
        reach = 6.0 * side * swing
        shoulder, elbow, hand = (
            (48 + side * 18.0, 44.0),
            (48 + side * 23.0, 72.0),
            (48 + side * 22.5, 98.0 - abs(reach)),
        )
        sleeve = shaded(coat, 0.86 + 0.05 * (side * swing > 0))
        _limb(picture, shoulder, elbow, 6.6, 5.6, sleeve)
        _limb(picture, elbow, hand, 5.6, 4.4, sleeve)
        _limb(picture, hand, (hand[0], hand[1] + 5), 4.2, 3.8, skin)
    _shape(picture, ((31, 42), (38, 36), (58, 36), (65, 42), (62, 70), (64, 106), (32, 106), (34, 70)), coat)
    _limb(picture, (48, 34), (48, 40), 5.5, 6.0, shaded(skin, 0.85))
    _head(picture, skin, hair, back, long_hair)
    return _rounded(picture)


def _head(picture: UInt8Array, skin: Colour, hair: Colour, back: bool, long_hair: bool) -> None:
    """Paint head and hair."""
    if long_hair:
        _oval(picture, (48, 24), (13.0, 19.0), hair)
    _oval(picture, (48, 19), (10.5, 13.5), hair if back else skin)
    if back:
        return
    half = np.linspace(np.pi, 2 * np.pi, 12)
    cap = [(48 + 11.5 * np.cos(a), 17 + 13.5 * np.sin(a)) for a in half]
    _shape(picture, (*cap, (56, 13), (48, 10.5), (40, 13)), hair)
    for x in (44, 52):
        _oval(picture, (x, 19.5), (1.5, 1.1), shaded(skin, 0.35))
    _oval(picture, (48, 27), (3.0, 0.9), mixed(skin, (150, 50, 50), 0.5))


def _rounded(picture: UInt8Array) -> UInt8Array:
    """Return the figure with light from the upper left that follows its outline."""
    alpha = picture[..., 3].astype(np.float32) / 255
    near, wide = cv2.GaussianBlur(alpha, (0, 0), 3.0), cv2.GaussianBlur(alpha, (0, 0), 7.0)
    light = (
        0.82
        + 0.24 * near
        + 0.9 * (np.roll(wide, (-2, -3), (0, 1)) - wide)
        + 0.5 * (np.roll(near, (-1, -2), (0, 1)) - near)
    )
    picture[..., :3] = np.clip(picture[..., :3] * light[..., None], 0, 255)
    return picture


def _limb(
    picture: UInt8Array, start: tuple[float, float], end: tuple[float, float], r0: float, r1: float, colour: Colour
) -> None:
    """Paint a rounded limb between two joints."""
    a, b = np.array(start), np.array(end)
    along = b - a
    across = np.array((-along[1], along[0])) / (float(np.hypot(*along)) or 1.0)
    _shape(picture, tuple(map(tuple, (a + across * r0, b + across * r1, b - across * r1, a - across * r0))), colour)
    _oval(picture, start, (r0, r0), colour)
    _oval(picture, end, (r1, r1), colour)


def _oval(picture: UInt8Array, centre: tuple[float, float], radius: tuple[float, float], colour: Colour) -> None:
    cv2.ellipse(picture, (centre, (2 * radius[0], 2 * radius[1]), 0.0), (*colour, 255.0), -1, cv2.LINE_AA)


def _shape(picture: UInt8Array, corners: tuple[tuple[float, ...], ...], colour: Colour) -> None:
    fixed = np.rint(np.array(corners) * 16).astype(np.int32)
    cv2.fillPoly(picture, [fixed], (*colour, 255.0), cv2.LINE_AA, 4)
