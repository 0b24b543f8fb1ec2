"""The forms of the vehicles: side profiles in metres, from tail to nose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtseg.scenes.street_plan import BUS, CAR, TRUCK


@dataclass(frozen=True, slots=True)
class Shape:
    """A vehicle as a side profile that is drawn out to its width."""

    profile: tuple[tuple[float, float, float, str], ...]
    """From tail to nose: along, up, half width (metres), and what covers the face to the next corner."""
    panes: tuple[tuple[tuple[float, float], ...], ...]
    """Side windows: corners along and up."""
    wheels_m: tuple[float, ...]
    wheel_radius_m: float
    label: int
    length_m: float
    width_m: float
    height_m: float


SEDAN = Shape(
    ((0.06, 0.26, 0.80, "plastic"), (0.0, 0.5, 0.88, "paint"), (0.08, 0.92, 0.88, "paint"), (0.62, 0.98, 0.84, "glass"),
     (1.35, 1.42, 0.64, "paint"), (2.35, 1.44, 0.64, "glass"), (3.1, 0.98, 0.84, "paint"), (4.15, 0.8, 0.84, "paint"),
     (4.4, 0.52, 0.86, "plastic"), (4.3, 0.26, 0.78, "under")),
    (((0.85, 0.99), (1.4, 1.34), (1.85, 1.36), (1.85, 0.99)), ((1.95, 0.99), (1.95, 1.36), (2.3, 1.35), (2.85, 0.99))),
    (0.85, 3.5), 0.33, CAR, 4.4, 1.78, 1.44,
)  # fmt: skip
HATCH = Shape(
    ((0.06, 0.26, 0.80, "plastic"), (0.0, 0.52, 0.87, "paint"), (0.1, 0.96, 0.86, "glass"), (0.42, 1.46, 0.66, "paint"),
     (2.0, 1.5, 0.66, "glass"), (2.75, 1.0, 0.84, "paint"), (3.6, 0.84, 0.84, "paint"), (3.85, 0.52, 0.84, "plastic"),
     (3.75, 0.26, 0.76, "under")),
    (((0.35, 1.0), (0.55, 1.4), (1.3, 1.42), (1.3, 1.0)), ((1.4, 1.0), (1.4, 1.42), (1.95, 1.42), (2.5, 1.0))),
    (0.7, 3.05), 0.32, CAR, 3.85, 1.74, 1.5,
)  # fmt: skip
WAGON = Shape(
    ((0.06, 0.3, 0.84, "plastic"), (0.0, 0.6, 0.92, "paint"), (0.06, 1.05, 0.92, "glass"), (0.36, 1.66, 0.74, "paint"),
     (2.6, 1.7, 0.74, "glass"), (3.3, 1.12, 0.9, "paint"), (4.3, 0.98, 0.9, "paint"), (4.6, 0.58, 0.9, "plastic"),
     (4.5, 0.3, 0.82, "under")),
    (((0.35, 1.1), (0.55, 1.6), (1.2, 1.62), (1.2, 1.1)), ((1.3, 1.1), (1.3, 1.62), (2.0, 1.62), (2.0, 1.1)),
     ((2.1, 1.1), (2.1, 1.62), (2.5, 1.6), (3.05, 1.1))),
    (0.9, 3.7), 0.37, CAR, 4.6, 1.86, 1.7,
)  # fmt: skip
BUS_SHAPE = Shape(
    ((0.05, 0.35, 1.22, "plastic"), (0.0, 0.8, 1.25, "paint"), (0.0, 1.55, 1.25, "glass"), (0.04, 2.55, 1.23, "paint"),
     (0.2, 3.1, 1.18, "paint"), (10.4, 3.1, 1.18, "paint"), (10.75, 2.75, 1.22, "glass"), (10.85, 1.2, 1.25, "paint"),
     (10.85, 0.6, 1.25, "plastic"), (10.75, 0.35, 1.22, "under")),
    tuple(((z, 1.5), (z, 2.6), (z + 1.35, 2.6), (z + 1.35, 1.5)) for z in np.arange(0.4, 10.0, 1.5)),
    (2.4, 8.4), 0.5, BUS, 10.85, 2.5, 3.1,
)  # fmt: skip
TRUCK_BOX = Shape(
    ((0.1, 0.55, 1.2, "plastic"), (0.0, 0.95, 1.25, "box"), (0.0, 3.5, 1.25, "box"), (6.3, 3.5, 1.25, "box"),
     (6.3, 0.95, 1.25, "under")),
    (), (1.3, 2.4), 0.5, TRUCK, 8.6, 2.5, 3.5,
)  # fmt: skip
TRUCK_CAB = Shape(
    ((6.45, 0.5, 1.16, "under"), (6.45, 2.8, 1.14, "paint"), (7.9, 2.75, 1.1, "glass"), (8.4, 1.6, 1.18, "paint"),
     (8.5, 0.8, 1.2, "plastic"), (8.45, 0.4, 1.18, "under")),
    (((7.1, 1.65), (7.1, 2.5), (7.8, 2.5), (8.15, 1.65)),), (7.6,), 0.5, TRUCK, 8.6, 2.4, 2.8,
)  # fmt: skip
