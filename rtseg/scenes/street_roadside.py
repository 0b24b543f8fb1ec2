"""What stands beside the road: trees, hedges, lamp posts, traffic signs and traffic lights."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtseg.scenes import textures
from rtseg.scenes.canvas import Canvas, Colour, Points, Sprite, mixed, polygon_of, shaded
from rtseg.scenes.street_plan import (
    LOOP_M,
    POLE,
    TRAFFIC_LIGHT,
    TRAFFIC_SIGN,
    VEGETATION,
    Mood,
    Strips,
    View,
)
from rtseg.types import FloatArray, UInt8Array

SMALLEST_POLE_PX = 5.2
SMALLEST_SIGN_PX = 19.0
SMALLEST_TREE_PX = 24.0
_FARTHEST_M = 96.0
_LEAVES: tuple[Colour, ...] = (
    (88, 132, 52),
    (70, 116, 56),
    (112, 142, 56),
    (64, 104, 60),
    (128, 136, 60),
    (96, 124, 70),
)
_METALS: tuple[Colour, ...] = ((118, 122, 126), (88, 94, 96), (70, 82, 78), (140, 142, 142))


@dataclass(frozen=True, slots=True)
class Plant:
    """A tree or a hedge."""

    x_m: float
    z_m: float
    width_m: float
    height_m: float
    sprite: int
    phase: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Post:
    """A post with a lamp, a sign, or traffic lights."""

    x_m: float
    z_m: float
    kind: str
    """lamp, sign, light or gantry."""
    variant: int
    height_m: float


class Roadside:
    """Plants and posts of one street."""

    def __init__(self, random: np.random.Generator, strips: Strips, mood: Mood, crossings_m: list[float]) -> None:
        """Paint the sprites and set up the plants and posts of one seed."""
        self._strips, self._mood = strips, mood
        leaf = _LEAVES[int(random.integers(len(_LEAVES)))]
        other = _LEAVES[int(random.integers(len(_LEAVES)))]
        self._sprites = [Sprite(_tree(random, tone, kind)) for tone, kind in ((leaf, 0), (other, 0), (other, 1))]
        self._sprites.append(Sprite(_hedge(random, leaf)))
        self._shadow = textures.soft_disc(48, 0.8)
        self._signs = [Sprite(_sign(kind)) for kind in range(5)]
        self._metal = _METALS[int(random.integers(len(_METALS)))]
        self.plants = _plants(random, strips)
        self.posts = _posts(random, strips, crossings_m)

    def draw_plant(self, canvas: Canvas, view: View, plant: Plant, time_seconds: float) -> None:
        """Draw a plant that sways a little, and its shadow."""
        z = view.ahead(plant.z_m)
        if not NEAR_PLANT_M < z < _FARTHEST_M or view.reference_px(plant.width_m, z) < SMALLEST_TREE_PX:
            return
        x, ground = view.spot(plant.x_m, 0.0, z)
        width, height = plant.width_m * view.px_per_m(z), plant.height_m * view.px_per_m(z)
        if not view.sees(x - width, x + width):
            return
        depth = 0.5 * plant.width_m * view.camera_y_m / z * view.px_per_m(z)
        lean = self._mood.sun * 0.2 * width
        box = (x - 0.5 * width - lean, ground - 0.8 * depth, x + 0.5 * width - lean, ground + 0.8 * depth)
        if z < 60:
            canvas.darken(self._shadow, box, self._mood.shadow * 0.8)
        sway = 0.012 * width * float(np.sin(1.3 * time_seconds + plant.phase)) * (plant.sprite < 3)
        haze = (self._mood.haze, self._mood.air(z))
        box = (x - width / 2, ground - height, x + width / 2, ground + 0.01 * height)
        canvas.sprite(self._sprites[plant.sprite], box, VEGETATION, haze=haze, lean_px=sway, mirrored=plant.mirrored)

    def draw_post(self, canvas: Canvas, view: View, post: Post, time_seconds: float) -> None:
        """Draw a post and what it carries."""
        z = view.ahead(post.z_m)
        radius = {"lamp": 0.13, "sign": 0.1, "light": 0.12, "gantry": 0.16}[post.kind]
        if z < 2.6 or view.reference_px(2 * radius, z) < SMALLEST_POLE_PX:
            return
        self._shaft(canvas, view, (post.x_m, z), post.height_m, radius)
        if post.kind == "lamp":
            self._lamp(canvas, view, post, z)
        elif post.kind == "sign":
            self._plate(canvas, view, post, z)
        elif post.kind == "light":
            self._lights(canvas, view, (post.x_m, post.height_m - 0.2, z), time_seconds, post.variant)
        else:
            self._gantry(canvas, view, post, z, time_seconds)

    def _shaft(self, canvas: Canvas, view: View, spot_m: tuple[float, float], height_m: float, radius_m: float) -> None:
        """Draw an upright post, round by its shading."""
        (x, low), (_, top) = view.spot(spot_m[0], 0, spot_m[1]), view.spot(spot_m[0], height_m, spot_m[1])
        half = radius_m * view.px_per_m(spot_m[1])
        self._bar(canvas, (x - half, top), (x + half, low), upright=True, z=spot_m[1])

    def _bar(
        self, canvas: Canvas, start: tuple[float, float], end: tuple[float, float], *, upright: bool, z: float
    ) -> None:
        """Draw a straight round bar between two corners of its box."""
        (x0, y0), (x1, y1) = start, end
        metal = mixed(self._metal, self._mood.haze, self._mood.air(z))
        canvas.polygon(polygon_of((x0, y0), (x1, y0), (x1, y1), (x0, y1)), shaded(metal, 0.72), POLE)
        a, b = (0.15, 0.55) if self._mood.sun < 0 or not upright else (0.45, 0.85)
        if upright:
            light = polygon_of(
                (x0 + a * (x1 - x0), y0), (x0 + b * (x1 - x0), y0), (x0 + b * (x1 - x0), y1), (x0 + a * (x1 - x0), y1)
            )
        else:
            light = polygon_of(
                (x0, y0 + a * (y1 - y0)), (x1, y0 + a * (y1 - y0)), (x1, y0 + b * (y1 - y0)), (x0, y0 + b * (y1 - y0))
            )
        canvas.polygon(light, shaded(metal, 1.18))

    def _lamp(self, canvas: Canvas, view: View, post: Post, z: float) -> None:
        """Draw the arm and the head of a street lamp; both are part of the pole."""
        reach = -np.sign(post.x_m) * 1.7
        x, y = view.spot(post.x_m, post.height_m, z)
        unit = view.px_per_m(z)
        self._bar(
            canvas, (min(x, x + reach * unit), y), (max(x, x + reach * unit), y + 0.17 * unit), upright=False, z=z
        )
        head = x + reach * unit
        box = polygon_of(
            (head - 0.5 * unit, y - 0.05 * unit),
            (head + 0.5 * unit, y - 0.05 * unit),
            (head + 0.42 * unit, y + 0.26 * unit),
            (head - 0.42 * unit, y + 0.26 * unit),
        )
        canvas.polygon(box, mixed(shaded(self._metal, 0.8), self._mood.haze, self._mood.air(z)), POLE)
        glow: Colour = (255, 236, 180) if self._mood.lamps else (214, 214, 206)
        canvas.polygon(
            polygon_of(
                (head - 0.36 * unit, y + 0.2 * unit),
                (head + 0.36 * unit, y + 0.2 * unit),
                (head + 0.3 * unit, y + 0.29 * unit),
                (head - 0.3 * unit, y + 0.29 * unit),
            ),
            glow,
        )

    def _plate(self, canvas: Canvas, view: View, post: Post, z: float) -> None:
        """Draw the plate of a sign."""
        size = 1.15 * view.px_per_m(z)
        if size / view.scale < SMALLEST_SIGN_PX:
            return
        x, y = view.spot(post.x_m, post.height_m - 0.35, z)
        haze = (self._mood.haze, self._mood.air(z))
        canvas.sprite(
            self._signs[post.variant], (x - size / 2, y - size / 2, x + size / 2, y + size / 2), TRAFFIC_SIGN, haze=haze
        )

    def _lights(
        self, canvas: Canvas, view: View, top_m: tuple[float, float, float], time_seconds: float, variant: int
    ) -> None:
        """Draw a box of three lamps that hangs from its upper middle."""
        unit = view.px_per_m(top_m[2])
        x, y = view.spot(*top_m)
        width, height = 0.72 * unit, 1.75 * unit
        air = self._mood.air(top_m[2])
        rim = polygon_of(
            (x - width / 2, y), (x + width / 2, y), (x + width / 2, y + height), (x - width / 2, y + height)
        )
        canvas.polygon(
            rim,
            mixed((214, 178, 42), self._mood.haze, air) if variant % 2 else mixed((30, 32, 34), self._mood.haze, air),
            TRAFFIC_LIGHT,
        )
        inner = (rim - (x, y + height / 2)) * (0.84, 0.93) + (x, y + height / 2)
        canvas.polygon(inner, mixed((24, 26, 28), self._mood.haze, air))
        phase = (time_seconds / 3.0 + variant * 1.7) % 5.0
        shining = 2 if phase < 2.5 else (1 if phase < 3.2 else 0)
        colours: tuple[Colour, ...] = ((250, 52, 40), (255, 190, 40), (56, 240, 130))
        for lamp, colour in enumerate(colours):
            centre = (x, y + height * (0.19 + 0.31 * lamp))
            tone = colour if lamp == shining else mixed(shaded(colour, 0.22), (40, 40, 40), 0.3)
            canvas.polygon(_round(centre, 0.215 * unit), mixed(tone, self._mood.haze, air * 0.5))
            if lamp == shining:
                canvas.polygon(
                    _round((centre[0] - 0.04 * unit, centre[1] - 0.05 * unit), 0.09 * unit),
                    mixed(tone, (255, 255, 255), 0.6),
                )

    def _gantry(self, canvas: Canvas, view: View, post: Post, z: float, time_seconds: float) -> None:
        """Draw an arm over the road with traffic lights and a sign."""
        x0, y = view.spot(post.x_m, post.height_m - 0.5, z)
        unit = view.px_per_m(z)
        inner = post.x_m - float(np.sign(post.x_m)) * (self._strips.road_half_m + 0.4)
        x1, _ = view.spot(inner, 0, z)
        self._bar(canvas, (min(x0, x1), y), (max(x0, x1), y + 0.26 * unit), upright=False, z=z)
        for share in (0.12, 0.55):
            spot = inner + (post.x_m - inner) * share
            self._lights(canvas, view, (spot, post.height_m - 0.55, z), time_seconds, post.variant)
        self._lights(canvas, view, (post.x_m, 3.7, z), time_seconds, post.variant)


NEAR_PLANT_M = 3.2


def _round(centre: tuple[float, float], radius_px: float) -> Points:
    """Return a circle as a polygon."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return np.stack([centre[0] + radius_px * np.cos(angle), centre[1] + radius_px * np.sin(angle)], axis=1)


def _plants(random: np.random.Generator, strips: Strips) -> list[Plant]:
    """Return trees on the lawn, bushes, and greenery behind the house fronts for the gaps."""
    plants = []
    density = float(random.uniform(9, 20))
    for side in (0, 1):
        sign = 2 * side - 1
        kerb, wall = strips.walk_m[side]
        front = strips.front_m[side]
        line = (wall + front) / 2 if abs(front) - abs(wall) > 1.5 else (sign * strips.road_half_m + kerb) / 2
        if abs(line) - strips.road_half_m < 1.0:
            line = wall + sign * 0.9
        for z in np.arange(float(random.uniform(4, 12)), LOOP_M - 4, density):
            tall = float(random.uniform(5.0, 8.5))
            spot = float(z + random.uniform(-3, 3))
            kind = int(random.integers(0, 3))
            wide = tall * (0.66 if kind < 2 else 0.42)
            plants.append(Plant(line, spot, wide, tall, kind, float(random.uniform(0, 6)), bool(random.integers(2))))
        for z in np.arange(float(random.uniform(0, 8)), LOOP_M - 4, 13.0):
            if random.uniform() < 0.6:
                bush = (float(random.uniform(2.2, 4.0)), float(random.uniform(1.0, 1.7)))
                plants.append(Plant(front - sign * 0.3, float(z), bush[0], bush[1], 3, 0.0, bool(random.integers(2))))
        for z in np.arange(3.0, LOOP_M, 11.0):
            tall = float(random.uniform(5, 10))
            away = front + sign * float(random.uniform(9.5, 13))
            plants.append(
                Plant(
                    away,
                    float(z + random.uniform(-3, 3)),
                    tall * 0.8,
                    tall,
                    int(random.integers(0, 2)),
                    float(z),
                    False,
                )
            )
    return plants


def _posts(random: np.random.Generator, strips: Strips, crossings_m: list[float]) -> list[Post]:
    """Return lamp posts, signs between them, and traffic lights at the crossings."""
    posts = []
    edge = strips.road_half_m + 0.75
    for side in (-1, 1):
        start = float(random.uniform(0, 10))
        for z in np.arange(start, LOOP_M - 6, 21.3):
            posts.append(Post(side * edge, float(z), "lamp", 0, float(random.uniform(6.0, 6.8))))
            for step in (7.0, 14.5):
                if random.uniform() < (0.85 if side > 0 else 0.6):
                    variant = int(random.integers(0, 5))
                    posts.append(
                        Post(side * (edge + 0.1), float(z + step), "sign", variant, float(random.uniform(2.7, 3.2)))
                    )
    variant = int(random.integers(0, 4))
    for z in crossings_m:
        gantry = bool(random.uniform() < 0.6)
        posts.append(Post(edge + 0.2, z + 4.2, "gantry" if gantry else "light", variant, 6.2 if gantry else 4.0))
        posts.append(Post(-edge - 0.2, z + 4.2, "light", variant, 4.0))
        posts.append(Post(edge + 0.2, z - 24.0, "light", variant, 4.0))
    return posts


def _tree(random: np.random.Generator, leaf: Colour, kind: int) -> UInt8Array:
    """Return a tree, rgba uint8 [h, w, 4]; kind 0 is round, 1 is a cypress."""
    width, height = (180, 272) if kind == 0 else (120, 280)
    outline = []
    if kind == 0:
        for _ in range(11):
            angle, radius = random.uniform(0, 6.283), random.uniform(0.1, 0.62)
            outline.append(
                (
                    width * (0.5 + 0.46 * radius * np.cos(angle)),
                    height * (0.345 + 0.28 * radius * np.sin(angle)),
                    width * random.uniform(0.17, 0.25),
                    height * random.uniform(0.1, 0.15),
                )
            )
        outline.append((width * 0.5, height * 0.36, width * 0.34, height * 0.24))
    else:
        for y in np.linspace(0.1, 0.8, 8):
            wide = 0.1 + 0.26 * np.sin(np.pi * min(1.0, 0.12 + y) ** 0.8)
            outline.append((width * (0.5 + random.uniform(-0.05, 0.05)), height * y, width * wide, height * 0.12))
    ellipses: FloatArray = np.array(outline, np.float32)
    picture = textures.foliage(random, (width, height), leaf, ellipses, 4.6)
    trunk = np.zeros_like(picture)
    half = width * (0.042 if kind == 0 else 0.05)
    corners = np.array(
        [
            [width / 2 - half * 0.7, height * 0.45],
            [width / 2 + half * 0.7, height * 0.45],
            [width / 2 + half * 1.25, height],
            [width / 2 - half * 1.25, height],
        ]
    )
    bark: Colour = (92, 74, 58)
    cv2.fillConvexPoly(trunk, (corners * 16).astype(np.int32), (*bark, 255.0), cv2.LINE_AA, 4)
    trunk[:, width // 2 :, :3] = (trunk[:, width // 2 :, :3] * 0.72).astype(np.uint8)
    leaves = picture[..., 3:].astype(np.float32) / 255
    return np.asarray(picture * leaves + trunk * (1 - leaves) + 0.5, dtype=np.uint8)


def _hedge(random: np.random.Generator, leaf: Colour) -> UInt8Array:
    """Return a bush, rgba uint8 [h, w, 4]."""
    width, height = 200, 96
    spots = [
        (width * x, height * float(random.uniform(0.5, 0.62)), width * 0.14, height * 0.36)
        for x in np.linspace(0.15, 0.85, 7)
    ]
    base = [(width * x, height * 0.82, width * 0.13, height * 0.2) for x in np.linspace(0.14, 0.86, 7)]
    ellipses: FloatArray = np.array([*spots, *base], np.float32)
    return textures.foliage(random, (width, height), shaded(leaf, 0.9), ellipses, 4.0)


def _sign(kind: int) -> UInt8Array:
    """Return the plate of a traffic sign, rgba uint8 [96, 96, 4]."""
    plate = np.zeros((96, 96, 4), np.uint8)
    red, white, blue, dark = (204, 30, 36, 255), (246, 246, 244, 255), (28, 88, 190, 255), (34, 34, 36, 255)
    yellow = (250, 204, 40, 255)
    if kind == 0:
        for radius, colour in ((46, red), (35, white)):
            cv2.circle(plate, (48, 48), radius, colour, -1, cv2.LINE_AA)
        cv2.putText(plate, "50", (23, 61), cv2.FONT_HERSHEY_SIMPLEX, 1.25, dark, 6, cv2.LINE_AA)
    elif kind == 1:
        for scale, colour in ((1.0, red), (0.66, white)):
            corners = np.array(
                [[48 - 48 * scale, 58 + 34 * scale], [48 + 48 * scale, 58 + 34 * scale], [48, 58 - 54 * scale]]
            )
            cv2.fillConvexPoly(plate, (corners * 16).astype(np.int32), colour, cv2.LINE_AA, 4)
        cv2.line(plate, (48, 48), (48, 64), dark, 7, cv2.LINE_AA)
        cv2.circle(plate, (48, 76), 4, dark, -1, cv2.LINE_AA)
    elif kind == 2:
        cv2.rectangle(plate, (4, 4), (92, 92), white, -1)
        cv2.rectangle(plate, (8, 8), (88, 88), blue, -1)
        cv2.putText(plate, "P", (24, 74), cv2.FONT_HERSHEY_SIMPLEX, 2.3, white, 10, cv2.LINE_AA)
    elif kind == 3:
        for scale, colour in ((46, white), (41, yellow)):
            corners = np.array([[48, 48 - scale], [48 + scale, 48], [48, 48 + scale], [48 - scale, 48]])
            cv2.fillConvexPoly(plate, corners, colour, cv2.LINE_AA)
    else:
        cv2.circle(plate, (48, 48), 46, red, -1, cv2.LINE_AA)
        cv2.rectangle(plate, (16, 40), (80, 56), white, -1)
    return plate
