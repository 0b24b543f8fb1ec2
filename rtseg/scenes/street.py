"""A drive along an endless street, with the class of every pixel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from rtseg.cityscapes import CITYSCAPES
from rtseg.scenes.canvas import Canvas
from rtseg.scenes.inputs import checked_seed, checked_size, checked_time
from rtseg.scenes.sensor import Sensor
from rtseg.scenes.street_ground import Ground, Horizon
from rtseg.scenes.street_houses import Houses
from rtseg.scenes.street_plan import LOOP_M, REFERENCE_WH, View, choose_mood, choose_strips
from rtseg.scenes.street_roadside import Roadside
from rtseg.scenes.street_vehicles import Traffic
from rtseg.scenes.street_walkers import Walkers
from rtseg.types import UInt8Array


class StreetScene:
    """A camera that drives along a street; the seed decides light, layout and traffic.

    Threading: an instance keeps no state between pictures; several threads may render.
    """

    classes: tuple[str, ...] = tuple(CITYSCAPES)

    def __init__(self, *, size_wh: tuple[int, int] = (960, 540), seed: int = 0) -> None:
        """Build the street of a seed.

        Args:
            size_wh: width and height of the pictures, 16..8192 pixels.
            seed: whole number >= 0.

        Raises:
            ConfigError: the size or the seed is none.
        """
        self.size_wh = checked_size(size_wh)
        self.seed = checked_seed(seed)
        random = np.random.default_rng((self.seed, 7919))
        self._mood = choose_mood(random, self.seed)
        self._strips = choose_strips(random, self.seed)
        self._speed_m_s = float(random.uniform(7.0, 13.0))
        self._focal_px = float(random.uniform(680, 860))
        self._camera_y_m = float(random.uniform(1.25, 1.95))
        self._horizon = float(random.uniform(-0.03, 0.04))
        self._bend = 0.0 if random.uniform() < 0.35 else float(random.uniform(-0.0011, 0.0011))
        self._start_m = float(random.uniform(0, LOOP_M))
        self._lane_m = self._strips.lane_m * 0.5 if self._strips.lanes_each_way > 1 else self._strips.road_half_m * 0.42
        self._horizon_layer = Horizon(random, self._mood)
        self._ground = Ground(random, self._strips, self._mood)
        self._houses = Houses(random, self._strips, self._mood)
        self._roadside = Roadside(random, self._strips, self._mood, self._ground.crossings_m)
        self._traffic = Traffic(random, self._strips, self._mood)
        self._walkers = Walkers(random, self._strips, self._mood)
        self._sensor = Sensor(random, self.size_wh, self.seed, tint=self._mood.tint, gamma=self._mood.gamma)

    def render(self, time_seconds: float) -> UInt8Array:
        """Return the picture at that time, rgb uint8 [H, W, 3].

        Raises:
            ConfigError: the time is negative or not finite.
        """
        return self._paint(checked_time(time_seconds), with_labels=False).rgb

    def render_with_labels(self, time_seconds: float) -> tuple[UInt8Array, UInt8Array]:
        """Return the picture, rgb uint8 [H, W, 3], and the index into `classes` of every pixel, uint8 [H, W].

        Raises:
            ConfigError: the time is negative or not finite.
        """
        canvas = self._paint(checked_time(time_seconds), with_labels=True)
        return canvas.rgb, canvas.labels if canvas.labels is not None else np.zeros(canvas.rgb.shape[:2], np.uint8)

    def _paint(self, time_seconds: float, *, with_labels: bool) -> Canvas:
        canvas = Canvas(self.size_wh, with_labels=with_labels)
        view = self._view(time_seconds)
        self._horizon_layer.draw(canvas, view, time_seconds)
        self._ground.draw(canvas, view)
        for _, draw in sorted(self._things(canvas, view, time_seconds), key=lambda thing: -thing[0]):
            draw()
        self._sensor.expose(canvas.rgb, time_seconds)
        return canvas

    def _view(self, time_seconds: float) -> View:
        """Return the camera at that time: it rolls on, sways in its lane and nods a little."""
        width, height = self.size_wh
        scale = max(width / REFERENCE_WH[0], height / REFERENCE_WH[1])
        nod = 1.1 * np.sin(2.3 * time_seconds) + 0.6 * np.sin(5.1 * time_seconds + 1.0)
        return View(
            size_wh=self.size_wh,
            scale=scale,
            focal_px=self._focal_px * scale,
            horizon_px=height / 2 + (self._horizon * REFERENCE_WH[1] + float(nod)) * scale,
            middle_px=width / 2 + 3.0 * scale * float(np.sin(0.31 * time_seconds)),
            camera_x_m=self._lane_m + 0.18 * float(np.sin(0.43 * time_seconds)),
            camera_y_m=self._camera_y_m,
            camera_z_m=(self._start_m + self._speed_m_s * time_seconds) % LOOP_M,
            bend=self._bend,
        )

    def _things(self, canvas: Canvas, view: View, time_seconds: float) -> list[tuple[float, Callable[[], None]]]:
        """Return everything that stands up: its distance, and how to draw it."""
        drawn: list[tuple[float, Callable[[], None]]] = []
        for house in self._houses.houses:
            far = view.ahead(house.near_m) + house.length_m
            drawn.append((far, partial(self._houses.draw, canvas, view, house)))
        for plant in self._roadside.plants:
            drawn.append((view.ahead(plant.z_m), partial(self._roadside.draw_plant, canvas, view, plant, time_seconds)))
        for post in self._roadside.posts:
            drawn.append((view.ahead(post.z_m), partial(self._roadside.draw_post, canvas, view, post, time_seconds)))
        for vehicle in self._traffic.vehicles:
            z = self._traffic.distance(view, vehicle, time_seconds)
            drawn.append((z, partial(self._traffic.draw, canvas, view, vehicle, z)))
        for walker in self._walkers.walkers:
            z = view.ahead(walker.z_m + walker.speed_m_s * time_seconds)
            drawn.append((z, partial(self._walkers.draw, canvas, view, walker, z, time_seconds)))
        return drawn
