"""What a seed decides about a street: light, weather, lanes, houses, and what stands and moves where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rtseg.scenes.canvas import Colour, Points

ROAD, SIDEWALK, BUILDING, POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN = 0, 1, 2, 5, 6, 7
VEGETATION, TERRAIN, SKY, PERSON, CAR, TRUCK, BUS = 8, 9, 10, 11, 13, 14, 15

LOOP_M = 192.0
"""The street repeats after this many metres."""
REFERENCE_WH = (960, 540)
"""The picture size that focal lengths and smallest sizes are given for."""
NEAREST_M = 2.2


@dataclass(frozen=True, slots=True)
class View:
    """A camera above the road that looks along it.

    World coordinates are metres: x to the right of the road's middle, y up, z ahead of the camera.
    """

    size_wh: tuple[int, int]
    scale: float
    """Pixels of this picture to a pixel of the reference picture."""
    focal_px: float
    horizon_px: float
    middle_px: float
    camera_x_m: float
    camera_y_m: float
    camera_z_m: float
    bend: float
    """Curvature of the road, 1 / m."""

    def project(self, points_xyz: npt.NDArray[np.float64]) -> Points:
        """Return where world points [N, 3] are seen, in continuous pixels [N, 2]; z is at least `NEAREST_M`."""
        z = np.maximum(points_xyz[:, 2], NEAREST_M)
        seen = np.empty((len(z), 2), np.float64)
        seen[:, 0] = self.middle_px + self.focal_px * ((points_xyz[:, 0] - self.camera_x_m) / z + 0.5 * self.bend * z)
        seen[:, 1] = self.horizon_px + self.focal_px * (self.camera_y_m - points_xyz[:, 1]) / z
        return seen

    def spot(self, x_m: float, y_m: float, z_m: float) -> tuple[float, float]:
        """Return where one world point is seen, in continuous pixels."""
        z = max(z_m, NEAREST_M)
        across = (x_m - self.camera_x_m) / z + 0.5 * self.bend * z
        return self.middle_px + self.focal_px * across, self.horizon_px + self.focal_px * (self.camera_y_m - y_m) / z

    def sees(self, left_px: float, right_px: float) -> bool:
        """Return True where a part of left..right lies in the picture."""
        return right_px > 0 and left_px < self.size_wh[0]

    def px_per_m(self, z_m: float) -> float:
        """Return how many pixels a metre covers at that distance."""
        return self.focal_px / max(z_m, NEAREST_M)

    def reference_px(self, size_m: float, z_m: float) -> float:
        """Return how many pixels a length would cover in a picture of the reference size."""
        return size_m * self.px_per_m(z_m) / self.scale

    def ahead(self, world_z_m: float) -> float:
        """Return how far ahead of the camera a spot of the repeating street is, -12..180 m."""
        return float((world_z_m - self.camera_z_m + 12.0) % LOOP_M - 12.0)


@dataclass(frozen=True, slots=True)
class Mood:
    """Light and weather."""

    sky_top: Colour
    sky_low: Colour
    clouds: float
    haze: Colour
    haze_m: float
    """Distance at which 63 % of what is seen is air."""
    tint: Colour
    gamma: float
    sun: float
    """-1: the sun is on the left, 1: on the right."""
    shadow: float
    lamps: bool

    def air(self, z_m: float) -> float:
        """Return the share of air at that distance, 0..1."""
        return 1.0 - float(np.exp(-max(z_m - 8.0, 0.0) / self.haze_m))


@dataclass(frozen=True, slots=True)
class Strips:
    """The bands of ground from left to right: limits in metres between them, and a label for each."""

    limits_m: tuple[float, ...]
    labels: tuple[int, ...]
    road_half_m: float
    lanes_each_way: int
    walk_m: tuple[tuple[float, float], tuple[float, float]]
    """The pavement on the left and on the right: the limit at the road's side, the limit at the houses' side."""
    front_m: tuple[float, float]
    """Where house fronts stand, left (negative) and right."""

    @property
    def lane_m(self) -> float:
        """Width of a lane in metres."""
        return self.road_half_m / self.lanes_each_way


_MOODS: tuple[Mood, ...] = (
    Mood((84, 142, 214), (196, 220, 240), 0.34, (198, 214, 230), 190.0, (255, 251, 243), 1.0, -1.0, 0.55, False),
    Mood((62, 118, 205), (186, 212, 238), 0.12, (190, 208, 230), 240.0, (255, 250, 238), 0.95, 1.0, 0.62, False),
    Mood((150, 160, 172), (206, 210, 214), 0.85, (200, 204, 208), 120.0, (246, 250, 255), 1.06, 0.3, 0.3, False),
    Mood((118, 132, 176), (250, 206, 150), 0.42, (240, 206, 165), 130.0, (255, 232, 200), 1.12, 1.0, 0.5, False),
    Mood((92, 104, 150), (236, 176, 150), 0.5, (196, 164, 160), 110.0, (226, 222, 255), 1.42, -1.0, 0.25, True),
    Mood((168, 178, 184), (220, 224, 226), 0.95, (214, 218, 220), 75.0, (244, 250, 255), 1.02, -0.3, 0.25, True),
    Mood((104, 158, 220), (214, 228, 236), 0.5, (210, 222, 232), 170.0, (255, 248, 232), 0.98, -1.0, 0.6, False),
)


def choose_mood(random: np.random.Generator, seed: int) -> Mood:
    """Return light and weather; seed 0 is a clear day."""
    if seed == 0:
        return _MOODS[0]
    base = _MOODS[int(random.choice(len(_MOODS), p=(0.2, 0.17, 0.17, 0.14, 0.1, 0.07, 0.15)))]
    shift = random.uniform(0.9, 1.06, 3)
    return Mood(
        _scaled(base.sky_top, shift),
        _scaled(base.sky_low, 0.5 + 0.5 * shift),
        float(np.clip(base.clouds + random.uniform(-0.15, 0.15), 0, 1)),
        _scaled(base.haze, 0.5 + 0.5 * shift),
        base.haze_m * float(random.uniform(0.75, 1.4)),
        _scaled(base.tint, random.uniform(0.93, 1.0, 3)),
        base.gamma * float(random.uniform(0.9, 1.1)),
        float(np.sign(random.uniform(-1, 1))) * abs(base.sun),
        base.shadow,
        base.lamps,
    )


def choose_strips(random: np.random.Generator, seed: int) -> Strips:
    """Return the bands of ground: road, pavement, and grass before or behind the pavement."""
    lanes = 1 if seed != 0 and random.uniform() < 0.45 else 2
    half = lanes * float(random.uniform(3.3, 3.8)) + (float(random.uniform(0.6, 2.2)) if lanes == 1 else 0.0)
    limits: list[float] = [-half, half]
    labels: list[int] = [ROAD]
    walks: list[tuple[float, float]] = []
    fronts: list[float] = []
    for side in (-1, 1):
        walk, lawn = float(random.uniform(2.6, 4.2)), float(random.uniform(2.2, 4.5))
        verge = bool(random.uniform() < 0.45)
        order = ((TERRAIN, lawn * 0.8), (SIDEWALK, walk)) if verge else ((SIDEWALK, walk),)
        x = half
        for label, width in order:
            if label == SIDEWALK:
                walks.append((side * x, side * (x + width)))
            x += width
            limits.append(side * x)
            labels = [*labels, label] if side > 0 else [label, *labels]
        labels = [*labels, TERRAIN] if side > 0 else [TERRAIN, *labels]
        fronts.append(side * (x + (1.2 if verge else lawn)))
    return Strips(tuple(sorted(limits)), tuple(labels), half, lanes, (walks[0], walks[1]), (fronts[0], fronts[1]))


def _scaled(colour: Colour, factors: npt.NDArray[np.float64]) -> Colour:
    scaled = np.clip(np.array(colour) * factors, 0, 255)
    return float(scaled[0]), float(scaled[1]), float(scaled[2])
