"""Cars, a bus and a truck: side profiles drawn out to their width, shaded face by face."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rtseg.scenes import textures
from rtseg.scenes.canvas import Canvas, Colour, Points, mixed, shaded
from rtseg.scenes.street_plan import CAR, LOOP_M, TRUCK, Mood, Strips, View
from rtseg.scenes.street_shapes import BUS_SHAPE, HATCH, SEDAN, TRUCK_BOX, TRUCK_CAB, WAGON, Shape

SMALLEST_CAR_PX = 26.0
SMALLEST_LORRY_PX = 36.0
_PAINTS: tuple[Colour, ...] = (
    (196, 30, 34), (34, 70, 150), (232, 232, 230), (150, 154, 158), (38, 40, 44), (226, 176, 34), (36, 96, 74),
    (120, 30, 46), (88, 130, 176), (206, 196, 178), (224, 98, 36),
)  # fmt: skip
_GLASS: Colour = (44, 54, 66)
_PLASTIC: Colour = (40, 42, 44)


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle and how it moves."""

    shape: Shape
    paint: Colour
    x_m: float
    z_m: float
    """Along the street at time 0; for a vehicle ahead: its mean distance from the camera."""
    speed_m_s: float
    ahead: bool
    """It keeps its distance to the camera, more or less."""
    oncoming: bool
    phase: float


class Traffic:
    """All vehicles of a street."""

    def __init__(self, random: np.random.Generator, strips: Strips, mood: Mood) -> None:
        """Choose the vehicles of one seed."""
        self._mood = mood
        self._shadow = textures.soft_box(48, 0.45)
        self.vehicles = _choose(random, strips)

    def distance(self, view: View, vehicle: Vehicle, time_seconds: float) -> float:
        """Return how far ahead of the camera the tail or nose that is nearer stands, in metres."""
        if vehicle.ahead:
            return vehicle.z_m * (1 + 0.3 * float(np.sin(0.23 * time_seconds + vehicle.phase)))
        return view.ahead(vehicle.z_m + vehicle.speed_m_s * time_seconds)

    def draw(self, canvas: Canvas, view: View, vehicle: Vehicle, z_m: float) -> None:
        """Draw one vehicle whose nearer end is at that distance."""
        shape = vehicle.shape
        smallest = SMALLEST_CAR_PX if shape.label == CAR else SMALLEST_LORRY_PX
        if view.reference_px(shape.width_m, z_m) < smallest or z_m + shape.length_m < 3.0:
            return
        self._throw_shadow(canvas, view, vehicle, z_m)
        parts = [shape]
        if shape.label == TRUCK:
            parts = [TRUCK_BOX, TRUCK_CAB] if vehicle.oncoming else [TRUCK_CAB, TRUCK_BOX]
        for part in parts:
            _Body(self._mood, view, replace(vehicle, shape=part), z_m).draw(canvas)

    def _throw_shadow(self, canvas: Canvas, view: View, vehicle: Vehicle, z_m: float) -> None:
        half = vehicle.shape.width_m * 0.62
        ends = np.array(
            [[vehicle.x_m + x, 0, z] for x in (-half, half) for z in (z_m - 0.35, z_m + vehicle.shape.length_m)]
        )
        spots = view.project(ends)
        lean = self._mood.sun * 0.25 * view.px_per_m(max(z_m, 3.0))
        left, right = float(spots[:, 0].min()), float(spots[:, 0].max())
        top, bottom = float(spots[:, 1].min()), float(spots[:, 1].max())
        canvas.darken(
            self._shadow,
            (left - max(lean, 0), top, right - min(lean, 0), bottom + 0.1 * (bottom - top)),
            0.35 + 0.45 * self._mood.shadow,
        )


class _Body:
    """One vehicle at one moment: places its parts and draws them far to near."""

    def __init__(self, mood: Mood, view: View, vehicle: Vehicle, z_m: float) -> None:
        self._mood, self._view, self._vehicle, self._z_m = mood, view, vehicle, z_m
        self._air = mood.air(z_m)
        self._length_m = vehicle.shape.length_m
        self._outlines: list[list[tuple[float, float, float]]] = []
        self._looks: list[tuple[Colour, int | None]] = []

    def draw(self, canvas: Canvas) -> None:
        """Draw wheels, underside, the visible side, and the faces between the sides."""
        shape, vehicle = self._vehicle.shape, self._vehicle
        middle = vehicle.x_m - self._view.camera_x_m + 0.5 * self._view.bend * self._z_m**2
        side = -1 if middle > 0 else 1
        self._draw_tyres()
        self._draw_side(side, abs(middle) > shape.width_m / 2)
        self._draw_faces()
        if vehicle.oncoming:
            self._draw_nose()
        else:
            self._draw_tail()
        canvas.shapes(self._place(), self._looks)

    def _add(self, corners: list[tuple[float, float, float]], colour: Colour, label: int | None = None) -> None:
        """Note a polygon of the vehicle; its corners are along from the tail, up, across, in metres."""
        self._outlines.append(corners)
        self._looks.append((colour, label))

    def _place(self) -> list[Points]:
        """Return where the noted polygons are seen."""
        points = np.array([corner for outline in self._outlines for corner in outline], np.float64)
        along = self._length_m - points[:, 0] if self._vehicle.oncoming else points[:, 0]
        world = np.stack([self._vehicle.x_m + points[:, 2], points[:, 1], self._z_m + along], axis=1)
        ends = np.cumsum([len(outline) for outline in self._outlines])[:-1]
        return np.split(self._view.project(world), ends)

    def _tone(self, colour: Colour, light: float) -> Colour:
        return mixed(shaded(colour, light), self._mood.haze, self._air)

    def _draw_tyres(self) -> None:
        """Draw the wheels as seen from the near end, and the dark underneath."""
        shape = self._vehicle.shape
        half, low = shape.width_m / 2 * 0.96, shape.profile[0][1] + 0.05
        nearest = max(shape.wheels_m) if self._vehicle.oncoming else min(shape.wheels_m)
        dark = self._tone((22, 22, 24), 1.0)
        under = [(nearest, low, -half), (nearest, low, half), (nearest, 0.16, half), (nearest, 0.16, -half)]
        self._add(under, dark, shape.label)
        for inner in (-half, half - 0.24):
            tyre = [
                (nearest, low, inner),
                (nearest, low, inner + 0.24),
                (nearest, 0.0, inner + 0.24),
                (nearest, 0.0, inner),
            ]
            self._add(tyre, self._tone((30, 30, 32), 1.0), shape.label)

    def _draw_side(self, side: int, visible: bool) -> None:
        """Draw the side that faces the road's middle: body, windows, wheels."""
        shape = self._vehicle.shape
        if not visible:
            return
        lit = 0.92 if side * self._mood.sun > 0 else 0.66
        body = [(z, y, side * half) for z, y, half, _ in shape.profile]
        colour = (226.0, 226.0, 222.0) if shape is TRUCK_BOX else self._vehicle.paint
        self._add(body, self._tone(colour, lit), shape.label)
        low = shape.profile[0][1]
        belt = low + 0.16 * (shape.height_m - low)
        ends = (shape.profile[0][0] + 0.05, shape.profile[-1][0] - 0.05)
        sill = [(ends[0], low, side * 0.97 * shape.width_m / 2), (ends[1], low, side * 0.97 * shape.width_m / 2),
                (ends[1], belt, side * shape.width_m / 2), (ends[0], belt, side * shape.width_m / 2)]  # fmt: skip
        self._add(sill, self._tone(colour, lit * 0.66))
        for pane in shape.panes:
            corners = [(z, y, side * (_half_width(shape, y) + 0.01)) for z, y in pane]
            self._add(corners, self._tone(_GLASS, 1.0))
            glint = [corners[1], corners[2], tuple(0.5 * (np.array(corners[0]) + corners[1]))]
            self._add([(p[0], p[1], p[2]) for p in glint], self._tone(mixed(_GLASS, self._mood.sky_low, 0.4), 1.0))
        if shape is TRUCK_BOX:
            stripe = [
                (0.6, 1.5, side * 1.26),
                (5.7, 1.5, side * 1.26),
                (5.7, 2.3, side * 1.26),
                (0.6, 2.3, side * 1.26),
            ]
            self._add(stripe, self._tone(self._vehicle.paint, lit))
        for wheel in shape.wheels_m:
            self._draw_wheel(wheel, side * (shape.width_m / 2 - 0.02))

    def _draw_wheel(self, along_m: float, across_m: float) -> None:
        radius = self._vehicle.shape.wheel_radius_m
        angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        for share, tone in ((1.0, (26, 26, 28)), (0.62, (150, 152, 156)), (0.22, (70, 72, 76))):
            rim = [
                (along_m + radius * share * c, radius + radius * share * s, across_m)
                for c, s in zip(np.cos(angle), np.sin(angle), strict=True)
            ]
            self._add(rim, self._tone(tone, 1.0), self._vehicle.shape.label if share == 1.0 else None)

    def _draw_faces(self) -> None:
        """Draw the faces across the vehicle, from the far end to the near end."""
        profile = self._vehicle.shape.profile
        order = range(len(profile) - 1)
        for index in order if self._vehicle.oncoming else reversed(order):
            (z0, y0, w0, cover), (z1, y1, w1, _) = profile[index], profile[index + 1]
            along, up = (z1 - z0), (y1 - y0)
            length = float(np.hypot(along, up)) or 1.0
            if self._faces_camera((z0, y0), (-up / length, along / length)):
                light = 0.74 + 0.36 * max(0.0, along / length)
                self._draw_face(((z0, y0, w0), (z1, y1, w1)), cover, light)

    def _faces_camera(self, spot: tuple[float, float], outward: tuple[float, float]) -> bool:
        """Return True where a face through a spot of the profile, with that outward normal, is seen."""
        along, up = spot
        normal_z = -outward[0] if self._vehicle.oncoming else outward[0]
        z = self._z_m + (self._length_m - along if self._vehicle.oncoming else along)
        return -z * normal_z + (self._view.camera_y_m - up) * outward[1] > 0

    def _draw_face(
        self, edge: tuple[tuple[float, float, float], tuple[float, float, float]], cover: str, light: float
    ) -> None:
        """Draw one face in two tones: glass mirrors the sky above, paint darkens towards its lower edge."""
        (z0, y0, w0), (z1, y1, w1) = edge
        colours: dict[str, Colour] = {
            "paint": self._vehicle.paint, "glass": _GLASS, "plastic": mixed(_PLASTIC, self._vehicle.paint, 0.25),
            "box": (226.0, 226.0, 222.0), "under": (24.0, 24.0, 26.0),
        }  # fmt: skip
        colour = colours[cover]
        label = self._vehicle.shape.label
        face = [(z0, y0, -w0), (z0, y0, w0), (z1, y1, w1), (z1, y1, -w1)]
        self._add(face, self._tone(colour, light), label)
        if cover == "under":
            return
        if cover == "glass":
            inset = [
                _between(edge, 0.1, -0.9),
                _between(edge, 0.1, 0.9),
                _between(edge, 0.9, 0.9),
                _between(edge, 0.9, -0.9),
            ]
            self._add(face, self._tone(self._vehicle.paint, light * 0.9))
            self._add(inset, self._tone(_GLASS, 1.1))
            shine = [
                _between(edge, 0.1, -0.9),
                _between(edge, 0.9, -0.9),
                _between(edge, 0.9, 0.1),
                _between(edge, 0.1, -0.4),
            ]
            self._add(shine, self._tone(mixed(_GLASS, self._mood.sky_low, 0.38), 1.0))
        else:
            for share, tone in ((0.5, 0.9), (0.2, 0.76)):
                low, top = (0.0, share) if y1 >= y0 else (1 - share, 1.0)
                part = [
                    _between(edge, low, -1),
                    _between(edge, low, 1),
                    _between(edge, top, 1),
                    _between(edge, top, -1),
                ]
                self._add(part, self._tone(colour, light * tone))

    def _draw_tail(self) -> None:
        """Draw tail lamps and number plate."""
        shape = self._vehicle.shape
        if shape is TRUCK_CAB:
            return
        half, back = shape.width_m / 2, -0.02
        low, top = (0.98, 1.3) if shape.label != CAR else (0.62, 0.84)
        for x0, x1 in ((-half * 0.97, -half * 0.66), (half * 0.66, half * 0.97)):
            lamp = [(back, low, x0), (back, low, x1), (back, top, x1), (back, top, x0)]
            self._add(lamp, self._tone((190, 22, 26), 1.0))
            glow = [
                (back, low + 0.05, x0 + 0.07),
                (back, low + 0.05, x1 - 0.05),
                (back, top - 0.08, x1 - 0.05),
                (back, top - 0.08, x0 + 0.07),
            ]
            self._add(glow, self._tone((255, 74, 58), 1.0))
        plate = [(back, low - 0.1, -0.26), (back, low - 0.1, 0.26), (back, low + 0.04, 0.26), (back, low + 0.04, -0.26)]
        self._add(plate, self._tone((240, 238, 226), 1.0))
        if shape is TRUCK_BOX:
            for x in (-1.18, 0.0, 1.18):
                seam = [(back, 1.0, x - 0.03), (back, 1.0, x + 0.03), (back, 3.42, x + 0.03), (back, 3.42, x - 0.03)]
                self._add(seam, self._tone((128, 128, 126), 1.0))
            band = [(back, 1.75, -1.1), (back, 1.75, 1.1), (back, 2.6, 1.1), (back, 2.6, -1.1)]
            self._add(band, self._tone(self._vehicle.paint, 0.9))

    def _draw_nose(self) -> None:
        """Draw head lamps, grille and number plate."""
        shape = self._vehicle.shape
        if shape is TRUCK_BOX:
            return
        front = self._length_m + 0.02
        half = shape.width_m / 2
        low, top = (0.62, 0.76) if shape.label == CAR else (0.7, 1.0)
        grille = [
            (front, low - 0.14, -half * 0.5),
            (front, low - 0.14, half * 0.5),
            (front, top - 0.06, half * 0.56),
            (front, top - 0.06, -half * 0.56),
        ]
        self._add(grille, self._tone((26, 28, 30), 1.0))
        for x0, x1 in ((-half * 0.96, -half * 0.62), (half * 0.62, half * 0.96)):
            lamp = [(front - 0.06, low, x0), (front, low, x1), (front - 0.05, top, x1), (front - 0.12, top, x0)]
            shine: Colour = (255, 250, 226) if self._mood.lamps else (224, 230, 236)
            self._add(lamp, self._tone(shine, 1.0))
        plate = [
            (front, low - 0.24, -0.26),
            (front, low - 0.24, 0.26),
            (front, low - 0.12, 0.26),
            (front, low - 0.12, -0.26),
        ]
        self._add(plate, self._tone((240, 238, 226), 1.0))


def _half_width(shape: Shape, up_m: float) -> float:
    """Return the half width of a vehicle's side at that height."""
    points = sorted((y, half) for _, y, half, _ in shape.profile)
    return float(np.interp(up_m, [p[0] for p in points], [p[1] for p in points]))


def _between(
    edge: tuple[tuple[float, float, float], tuple[float, float, float]], share: float, across: float
) -> tuple[float, float, float]:
    """Return a point of a face: share of the way from its first to its second edge, across -1..1."""
    (z0, y0, w0), (z1, y1, w1) = edge
    return (z0 + (z1 - z0) * share, y0 + (y1 - y0) * share, across * (w0 + (w1 - w0) * share))


def _choose(random: np.random.Generator, strips: Strips) -> list[Vehicle]:
    """Return vehicles ahead, oncoming and parked; one bus or truck goes ahead and one comes towards us."""
    lanes = [(lane + 0.5) * strips.lane_m for lane in range(strips.lanes_each_way)]
    if strips.lanes_each_way == 1:
        lanes = [strips.road_half_m * 0.42]
    lorry = BUS_SHAPE if random.uniform() < 0.5 else replace(TRUCK_BOX, wheels_m=(1.3, 2.4, 7.6))
    shapes = (SEDAN, HATCH, WAGON)

    def paint() -> Colour:
        return shaded(_PAINTS[int(random.integers(len(_PAINTS)))], float(random.uniform(0.85, 1.05)))

    def make(shape: Shape, x: float, z: float, speed: float, ahead: bool, oncoming: bool) -> Vehicle:
        return Vehicle(shape, paint(), x, z, speed, ahead, oncoming, float(random.uniform(0, 6.28)))

    def any_car() -> Shape:
        return shapes[int(random.integers(3))]

    vehicles = [make(any_car(), lanes[0], float(random.uniform(13, 19)), 0, True, False)]
    vehicles.append(make(lorry, lanes[-1], float(random.uniform(22, 30)), 0, True, False))
    if len(lanes) == 1:
        vehicles[-1] = replace(vehicles[-1], z_m=34.0, phase=vehicles[0].phase)
    spacing = float(random.uniform(24, 38))
    backwards = -float(random.uniform(5, 9))
    lane_start = random.uniform(0, 20, len(lanes))
    for lane, x in enumerate(lanes):
        for number, z in enumerate(np.arange(lane_start[lane], LOOP_M - spacing, spacing)):
            big = (number + lane) % 4 == 1
            vehicles.append(make(lorry if big else any_car(), -x, float(z), backwards, False, True))
    return vehicles
