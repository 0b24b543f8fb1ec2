"""The houses along a street: fronts painted from a seed, laid on walls in perspective."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtseg.scenes import textures
from rtseg.scenes.canvas import Canvas, Colour, mixed, shaded
from rtseg.scenes.street_plan import BUILDING, LOOP_M, NEAREST_M, Mood, Strips, View
from rtseg.types import UInt8Array

_TEXELS_WH = (208, 208)
_WALLS: tuple[Colour, ...] = (
    (178, 110, 88),
    (196, 160, 120),
    (206, 196, 178),
    (150, 92, 76),
    (188, 178, 170),
    (222, 206, 170),
    (160, 150, 146),
    (198, 140, 112),
    (142, 128, 120),
    (214, 182, 160),
)
_ROOFS: tuple[Colour, ...] = ((132, 72, 58), (96, 84, 84), (112, 64, 54), (82, 80, 88), (140, 96, 74))
_SHOPS: tuple[Colour, ...] = ((150, 46, 46), (42, 84, 72), (58, 62, 108), (170, 120, 48), (84, 48, 74), (54, 54, 56))
_FARTHEST_M = 150.0
_SLICE_M = 9.0


@dataclass(frozen=True, slots=True)
class House:
    """One house beside the street."""

    side: int
    near_m: float
    """Where it begins, metres along the street."""
    length_m: float
    height_m: float
    front: int
    """Which painted front it wears."""
    gable_m: float
    """Height of a pitched roof; 0 is a flat one."""
    roof: Colour
    trim: Colour


class Houses:
    """All houses of a street."""

    def __init__(self, random: np.random.Generator, strips: Strips, mood: Mood) -> None:
        """Paint the fronts and set up the houses of one seed."""
        self._strips, self._mood = strips, mood
        self._fronts = [_mips(_front(random, mood)) for _ in range(5)]
        town = float(random.uniform(0.15, 1.0))
        open_side = int(random.choice((-1, 0, 0, 1)))
        self.houses = [
            house for side in (-1, 1) for house in _row(random, side, len(self._fronts), town, side == open_side)
        ]

    def draw(self, canvas: Canvas, view: View, house: House) -> None:
        """Draw one house: gable end, front, roof."""
        near, depth = view.ahead(house.near_m), 9.0
        far = near + house.length_m
        if far < 5.0 or near > _FARTHEST_M:
            return
        x = self._strips.front_m[0 if house.side < 0 else 1]
        lit = 1.0 if house.side * self._mood.sun < 0 else 0.72
        if near > NEAREST_M:
            self._draw_end(canvas, view, house, near, (x, x + house.side * depth), 1.72 - lit)
        self._draw_front(canvas, view, house, (max(near, 3.5), far, near), x, lit)
        if house.gable_m > 0:
            self._draw_roof(canvas, view, house, max(near, 3.5), far, (x, x + house.side * depth / 2))

    def _draw_front(
        self, canvas: Canvas, view: View, house: House, span_m: tuple[float, float, float], x: float, lit: float
    ) -> None:
        """Lay the front on its wall, in slices, so that it follows the bend and the haze."""
        start, far, near = span_m
        count = max(1, round((far - start) / _SLICE_M))
        edges = np.linspace(start, far, count + 1)
        for z0, z1 in zip(edges[::-1][1:], edges[::-1], strict=False):
            wall = np.array([[x, house.height_m, z0], [x, house.height_m, z1], [x, 0, z1], [x, 0, z0]], np.float64)
            u0, u1 = (z0 - near) / house.length_m, (z1 - near) / house.length_m
            self._lay(canvas, view.project(wall), house, (u0, u1), lit, z0)
        top = view.project(np.array([[x, house.height_m, z] for z in edges]))
        low = view.project(np.array([[x, house.height_m - 0.35, z] for z in edges]))
        trim = mixed(shaded(house.trim, lit), self._mood.haze, self._mood.air(start))
        canvas.polygon(np.vstack([top, low[::-1]]), trim, BUILDING)

    def _draw_end(
        self, canvas: Canvas, view: View, house: House, z: float, x_m: tuple[float, float], lit: float
    ) -> None:
        """Draw the wall that faces the camera."""
        x0, x1 = x_m
        wall = np.array([[x0, house.height_m, z], [x1, house.height_m, z], [x1, 0, z], [x0, 0, z]], np.float64)
        self._lay(canvas, view.project(wall), house, (0.0, 0.62), lit, z)
        if house.gable_m > 0:
            top = house.height_m + house.gable_m
            gable = np.array([[x0, house.height_m, z], [x1, house.height_m, z], [(x0 + x1) / 2, top, z]], np.float64)
            tone = mixed(shaded(house.trim, 0.9 * lit), self._mood.haze, self._mood.air(z))
            canvas.polygon(view.project(gable), tone, BUILDING)
        else:
            rim = np.array([[x0, 0, z], [x1, 0, z], [x1, -0.35, z], [x0, -0.35, z]])
            rim[:, 1] += house.height_m
            canvas.polygon(
                view.project(rim), mixed(shaded(house.trim, lit), self._mood.haze, self._mood.air(z)), BUILDING
            )

    def _draw_roof(
        self, canvas: Canvas, view: View, house: House, z0: float, z1: float, x_m: tuple[float, float]
    ) -> None:
        """Draw the slope of the roof on the street's side."""
        x0, x1 = x_m
        eave = x0 - house.side * 0.45
        low, top = house.height_m - 0.15, house.height_m + house.gable_m
        tone = mixed(house.roof, self._mood.haze, self._mood.air(z0))
        rows = 5
        for row in range(rows):
            a, b = row / rows, (row + 1) / rows
            x_low, x_top = eave + (x1 - eave) * a, eave + (x1 - eave) * b
            y_low, y_top = low + (top - low) * a, low + (top - low) * b
            slope = np.array(
                [[x_low, y_low, z0], [x_top, y_top, z0], [x_top, y_top, z1], [x_low, y_low, z1]], np.float64
            )
            canvas.polygon(view.project(slope), shaded(tone, 0.88 + 0.05 * (row % 2) + 0.04 * row), BUILDING)

    def _lay(
        self, canvas: Canvas, corners: np.ndarray, house: House, span: tuple[float, float], lit: float, z: float
    ) -> None:
        """Lay a part of a front, between two shares of its width, on four corners."""
        width_px = abs(corners[1, 0] - corners[0, 0]) / max(1e-3, span[1] - span[0])
        height_px = abs(corners[3, 1] - corners[0, 1])
        if width_px < 0.5 or corners[:, 0].max() < 0 or corners[:, 0].min() > canvas.width:
            return
        texture = self._fronts[house.front][_step(width_px)][_step(height_px)]
        x0, x1 = (min(texture.shape[1], max(0, round(share * texture.shape[1]))) for share in span)
        part = texture[:, min(x0, texture.shape[1] - 1) : max(x1, x0 + 1)]
        share = self._mood.air(z)
        matrix = np.zeros((3, 4), np.float32)
        matrix[:, :3] = np.eye(3) * (lit * (1 - share))
        matrix[:, 3] = np.array(self._mood.haze) * share
        canvas.texture(np.asarray(cv2.transform(part, matrix), dtype=np.uint8), corners, BUILDING)


def _step(length_px: float) -> int:
    """Return which of four versions of a front to use for a drawn length."""
    return int(np.clip(np.log2(_TEXELS_WH[0] / max(length_px, 1.0)) + 0.3, 0, 4))


def _mips(front: UInt8Array) -> list[list[UInt8Array]]:
    """Return the front, halved 0 to 4 times across and 0 to 4 times along: [across][along]."""
    versions = []
    narrow = front
    for _ in range(5):
        row = [narrow]
        for _ in range(4):
            last = row[-1]
            size_wh = (last.shape[1], max(1, last.shape[0] // 2))
            row.append(np.asarray(cv2.resize(last, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8))
        versions.append(row)
        size_wh = (max(1, narrow.shape[1] // 2), narrow.shape[0])
        narrow = np.asarray(cv2.resize(narrow, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return versions


def _row(random: np.random.Generator, side: int, fronts: int, town: float, is_open: bool) -> list[House]:
    """Return the houses on one side of the street, or none but a few where that side is a park."""
    houses = []
    z = float(random.uniform(0, 6))
    while z < LOOP_M - 12:
        city = random.uniform() < town
        length = float(random.uniform(10, 24) if city else random.uniform(8, 13))
        height = float(random.uniform(9, 21) if city else random.uniform(5, 7.5))
        gable = 0.0 if city and random.uniform() < 0.75 else float(random.uniform(2.4, 4.2))
        house = House(
            side, z, min(length, LOOP_M - z), height, int(random.integers(fronts)), gable,
            _ROOFS[int(random.integers(len(_ROOFS)))],
            mixed((214, 206, 196), (120, 112, 108), float(random.uniform())),
        )  # fmt: skip
        if not is_open or random.uniform() < 0.3:
            houses.append(house)
        close = city and random.uniform() < 0.7
        z += length + (0.0 if close else float(random.uniform(3, 12)))
    return houses


def _front(random: np.random.Generator, mood: Mood) -> UInt8Array:
    """Return a house front, rgb uint8 [h, w, 3]: wall, windows in a grid, shop or doors on the ground floor."""
    width, height = _TEXELS_WH
    wall = shaded(_WALLS[int(random.integers(len(_WALLS)))], float(random.uniform(0.82, 1.06)))
    brightness = 0.035 * textures.grain(random, (height, width)) + 0.06 * textures.fractal_noise(
        random, (width, height), (3, 3), 3
    )
    if random.uniform() < 0.45:
        y, x = np.mgrid[0:height, 0:width]
        joints = (y % 4 == 0) | ((x + (y // 4 % 2) * 5) % 10 == 0)
        brightness[joints] += 0.1 if sum(wall) < 380 else -0.08
    brightness -= np.linspace(-0.04, 0.12, height, dtype=np.float32)[:, None]
    picture = textures.coloured(wall, brightness.astype(np.float32))
    floors, columns = int(random.integers(3, 6)), int(random.integers(4, 7))
    floor_px, column_px = height / floors, width / columns
    frame = mixed((238, 234, 226), (70, 60, 56), float(random.uniform() < 0.3))
    share_wh = (float(random.uniform(0.4, 0.62)), float(random.uniform(0.5, 0.66)))
    for floor in range(floors - 1):
        for column in range(columns):
            centre = (column + 0.5) * column_px, (floor + 0.52) * floor_px
            _window(random, picture, centre, (column_px * share_wh[0], floor_px * share_wh[1]), frame, mood.lamps)
    _ground_floor(random, picture, (floors - 1) * floor_px, mood.lamps)
    return picture


def _window(
    random: np.random.Generator,
    picture: UInt8Array,
    centre: tuple[float, float],
    size_wh: tuple[float, float],
    frame: Colour,
    lamps: bool,
) -> None:
    """Paint one window: frame, glass that mirrors the sky, sill, sometimes a curtain or a light."""
    x0, y0 = round(centre[0] - size_wh[0] / 2), round(centre[1] - size_wh[1] / 2)
    x1, y1 = round(centre[0] + size_wh[0] / 2), round(centre[1] + size_wh[1] / 2)
    cv2.rectangle(picture, (x0 - 2, y0 - 2), (x1 + 2, y1 + 2), frame, -1)
    lit = random.uniform() < (0.4 if lamps else 0.06)
    glass = (250.0, 214.0, 140.0) if lit else mixed((52, 62, 78), (112, 134, 158), float(random.uniform()))
    cv2.rectangle(picture, (x0, y0), (x1, y1), glass, -1)
    if not lit:
        corners = np.array([[x0, y0], [x1, y0], [x0, (y0 + 2 * y1) // 3]])
        cv2.fillConvexPoly(picture, corners, mixed(glass, (196, 212, 228), 0.35))
    if random.uniform() < 0.4:
        cv2.rectangle(
            picture,
            (x0, y0),
            (x1, y0 + round((y1 - y0) * random.uniform(0.15, 0.6))),
            mixed(glass, (226, 220, 208), 0.6),
            -1,
        )
    cv2.line(picture, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), frame, 1)
    cv2.line(picture, (x0 - 3, y1 + 3), (x1 + 3, y1 + 3), mixed(frame, (120, 116, 110), 0.5), 2)


def _ground_floor(random: np.random.Generator, picture: UInt8Array, top: float, lamps: bool) -> None:
    """Paint shops or doors below."""
    height, width = picture.shape[:2]
    y0, x = round(top), 0
    while x < width:
        step = int(random.integers(44, 84))
        x1 = min(width, x + step)
        shop = _SHOPS[int(random.integers(len(_SHOPS)))]
        if random.uniform() < 0.6:
            cv2.rectangle(picture, (x + 2, y0 + 3), (x1 - 3, height), shaded(shop, 0.8), -1)
            glass = (
                (244.0, 212.0, 150.0)
                if lamps or random.uniform() < 0.15
                else mixed((46, 54, 64), (104, 122, 140), float(random.uniform()))
            )
            cv2.rectangle(picture, (x + 6, y0 + 15), (x1 - 8, height - 8), glass, -1)
            cv2.fillConvexPoly(
                picture,
                np.array([[x + 6, y0 + 15], [x1 - 8, y0 + 15], [x + 6, height - 14]]),
                mixed(glass, (206, 218, 228), 0.25),
            )
            cv2.rectangle(picture, (x + 2, y0 + 3), (x1 - 3, y0 + 12), shop, -1)
            if random.uniform() < 0.5:
                for stripe in range(x + 2, x1 - 3, 8):
                    cv2.rectangle(picture, (stripe, y0 + 12), (min(stripe + 3, x1 - 3), y0 + 20), (236, 230, 220), -1)
        else:
            door = (x + x1) // 2
            cv2.rectangle(picture, (door - 10, height - 38), (door + 10, height), (232, 226, 214), -1)
            cv2.rectangle(picture, (door - 8, height - 36), (door + 8, height), shop, -1)
            cv2.rectangle(picture, (door - 5, height - 33), (door + 5, height - 22), (150, 168, 184), -1)
        x = x1
