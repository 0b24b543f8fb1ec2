"""The ground and the sky of a street: strips of asphalt, paving and grass in perspective, lane marks, horizon."""

from __future__ import annotations

import cv2
import numpy as np

from rtseg.scenes import textures
from rtseg.scenes.canvas import Canvas, Colour, Points, Sprite, mixed
from rtseg.scenes.street_plan import (
    BUILDING,
    LOOP_M,
    ROAD,
    SIDEWALK,
    SKY,
    VEGETATION,
    Mood,
    Strips,
    View,
)
from rtseg.types import UInt8Array

_REACH_M = 22.0
_PERIOD_M = 24.0
_TEXELS_PER_M = 22
_BANDS: tuple[tuple[float, int, int], ...] = (
    (8.0, 1, 1),
    (13.0, 3, 1),
    (20.0, 8, 1),
    (34.0, 22, 2),
    (70.0, 66, 3),
    (400.0, 264, 5),
)
"""Up to which distance in metres, and how much smaller the texture is along and across the street."""
_LABELS_PER_M = 50
_SKY_WH = (640, 200)
_Mark = tuple[tuple[float, float, float, float], Colour]
_EDGE_Z_M = np.geomspace(2.2, 380.0, 26)


class Ground:
    """Everything that lies flat on the ground."""

    def __init__(self, random: np.random.Generator, strips: Strips, mood: Mood) -> None:
        """Paint the textures of one seed."""
        self._strips, self._mood = strips, mood
        base = self._paint(random)
        self._levels = [_level(base, reach_m, along, across) for reach_m, along, across in _BANDS]
        self._label_of = self._label_table()
        self._paint_colour: Colour = (226, 226, 220) if random.uniform() < 0.75 else (232, 196, 90)
        self._middle_double = bool(random.uniform() < 0.4)
        self._crossings_m = [float(z) for z in np.arange(30.0, LOOP_M, 64.0) + random.uniform(-6, 6, 3)]
        self._kerb = mixed((178, 176, 170), (200, 190, 176), float(random.uniform()))

    @property
    def crossings_m(self) -> list[float]:
        """Where zebra crossings begin, metres along the street."""
        return self._crossings_m

    def draw(self, canvas: Canvas, view: View) -> None:
        """Draw the ground below the horizon."""
        top = max(0, int(np.floor(view.horizon_px)) + 1)
        if top >= canvas.height:
            return
        below = np.arange(top, canvas.height) + 0.5 - view.horizon_px
        z_m = (view.camera_y_m * view.focal_px / np.maximum(below, 0.2)).astype(np.float32)
        across = (np.arange(canvas.width, dtype=np.float32) + np.float32(0.5 - view.middle_px)) / view.focal_px
        x_m = np.multiply.outer(z_m, across.astype(np.float32))
        x_m += (view.camera_x_m - 0.5 * view.bend * z_m * z_m).astype(np.float32)[:, None]
        self._draw_textures(canvas, view, top, z_m, x_m)
        self._haze(canvas, top, z_m)
        if canvas.labels is not None:
            index = np.clip((x_m + _REACH_M) * _LABELS_PER_M, 0, len(self._label_of) - 1).astype(np.int32)
            canvas.labels[top:] = self._label_of[index]
        self._draw_kerbs(canvas, view)
        self._draw_marks(canvas, view)

    def _paint(self, random: np.random.Generator) -> UInt8Array:
        """Return one period of ground from left to right, rgb uint8 [along, across, 3]."""
        length = int(_PERIOD_M * _TEXELS_PER_M)
        tone = float(random.uniform(74, 112))
        road: Colour = (tone, tone * 1.0, tone * float(random.uniform(1.0, 1.05)))
        warm = float(random.uniform())
        slab = mixed((186, 178, 166), (188, 156, 138), warm)
        lawn = mixed((92, 128, 58), (118, 132, 66), float(random.uniform()))
        picture = np.empty((length, int(2 * _REACH_M * _TEXELS_PER_M), 3), np.uint8)
        meadow = textures.grass(random, (160, length), lawn)
        limits = [-_REACH_M, *self._strips.limits_m, _REACH_M]
        for left, right, label in zip(limits, limits[1:], self._strips.labels, strict=False):
            x0, x1 = (round((x + _REACH_M) * _TEXELS_PER_M) for x in (left, right))
            size_wh = (max(1, x1 - x0), length)
            if label == ROAD:
                picture[:, x0:x1] = self._worn_road(textures.asphalt(random, size_wh, road))
            elif label == SIDEWALK:
                picture[:, x0:x1] = textures.paving(random, size_wh, slab, int(random.integers(11, 22)))
            else:
                picture[:, x0:x1] = np.tile(meadow, (1, 1 + size_wh[0] // 160, 1))[:, : size_wh[0]]
        return picture

    def _worn_road(self, road: UInt8Array) -> UInt8Array:
        """Return the asphalt with paler wheel tracks and dirt along the kerbs."""
        x_m = (np.arange(road.shape[1]) + 0.5) / _TEXELS_PER_M - self._strips.road_half_m
        track = np.cos((x_m / self._strips.lane_m - 0.5) * 4 * np.pi)
        edge = np.clip(1 - (self._strips.road_half_m - np.abs(x_m)) / 0.7, 0, 1)
        gain = (1 - 0.035 * track - 0.2 * edge).astype(np.float32)
        return np.asarray(np.clip(road * gain[None, :, None], 0, 255), dtype=np.uint8)

    def _label_table(self) -> UInt8Array:
        """Return the label of every two centimetres across the street, uint8 [N]."""
        x_m = (np.arange(int(2 * _REACH_M * _LABELS_PER_M)) + 0.5) / _LABELS_PER_M - _REACH_M
        return np.array(self._strips.labels, np.uint8)[np.searchsorted(self._strips.limits_m, x_m)]

    def _draw_textures(self, canvas: Canvas, view: View, top: int, z_m: np.ndarray, x_m: np.ndarray) -> None:
        start = view.camera_z_m % _PERIOD_M
        nearer = 0.0
        for (reach_m, along, across), level in zip(_BANDS, self._levels, strict=True):
            rows = np.flatnonzero((z_m >= nearer) & (z_m < reach_m))
            nearer = reach_m
            if rows.size == 0:
                continue
            first, last = int(rows[0]), int(rows[-1]) + 1
            map_x = (x_m[first:last] + np.float32(_REACH_M)) * np.float32(_TEXELS_PER_M / across) - np.float32(0.5)
            v = (z_m[first:last] + start) * (_TEXELS_PER_M / along) - 0.5
            map_y = np.repeat(v.astype(np.float32)[:, None], canvas.width, axis=1)
            target = canvas.rgb[top + first : top + last]
            cv2.remap(level, map_x, map_y, cv2.INTER_LINEAR, dst=target, borderMode=cv2.BORDER_REPLICATE)

    def _haze(self, canvas: Canvas, top: int, z_m: np.ndarray) -> None:
        """Lay air over the far rows."""
        rows = int(np.count_nonzero(z_m > 16.0))
        if rows == 0:
            return
        share = (1 - np.exp(-(z_m[:rows] - 8.0).clip(0) / self._mood.haze_m)).astype(np.float32)[:, None, None]
        region = canvas.rgb[top : top + rows]
        region[:] = (region * (1 - share) + np.array(self._mood.haze, np.float32) * share + 0.5).astype(np.uint8)

    def _draw_kerbs(self, canvas: Canvas, view: View) -> None:
        """Draw kerb stones where the road ends."""
        for side in (-1, 1):
            inner, outer = side * self._strips.road_half_m, side * (self._strips.road_half_m + 0.28)
            neighbour = self._strips.labels[self._strips.labels.index(ROAD) + side]
            canvas.polygon(_band(view, inner, outer), self._kerb, neighbour if neighbour == SIDEWALK else SIDEWALK)
            canvas.polygon(_band(view, inner - side * 0.05, inner + side * 0.05), mixed(self._kerb, (60, 60, 62), 0.6))

    def _draw_marks(self, canvas: Canvas, view: View) -> None:
        """Draw lane marks and zebra crossings."""
        strips = self._strips
        for side in (-1, 1):
            x = side * (strips.road_half_m - 0.35)
            canvas.polygon(_band(view, x - 0.06, x + 0.06), self._faded(12.0))
        if self._middle_double:
            for x in (-0.16, 0.16):
                canvas.polygon(_band(view, x - 0.06, x + 0.06), self._faded(12.0))
        marks = [] if self._middle_double else self._dashes(view, 0.0)
        for lane in range(1, strips.lanes_each_way):
            for side in (-1, 1):
                marks += self._dashes(view, side * lane * strips.lane_m)
        for world_z in self._crossings_m:
            marks += self._crossing(view.ahead(world_z))
        if marks:
            corners = view.project(np.concatenate([_flat(*limits_m) for limits_m, _ in marks]))
            canvas.shapes(np.split(corners, len(marks)), [(colour, None) for _, colour in marks])

    def _dashes(self, view: View, x_m: float) -> list[_Mark]:
        """Return a broken line along the street."""
        period = 8.0
        first = -(view.camera_z_m % period)
        marks: list[_Mark] = []
        for z in np.arange(first, 88.0, period):
            near, far = max(float(z), 2.2), float(z) + 3.4
            if far > near + 0.05:
                marks.append(((x_m - 0.075, x_m + 0.075, near, far), self._faded(float(z))))
        return marks

    def _crossing(self, z_m: float) -> list[_Mark]:
        """Return a zebra crossing that begins at that distance."""
        near, far = max(z_m, 2.2), z_m + 3.2
        if far <= near + 0.05 or z_m > 90:
            return []
        half = self._strips.road_half_m - 0.6
        white = mixed((206, 206, 202), self._mood.haze, self._mood.air(z_m))
        stripes = np.linspace(-half, half, max(4, int(half * 2 / 1.0)))
        return [((float(x) - 0.24, float(x) + 0.24, near, far), white) for x in stripes]

    def _faded(self, z_m: float) -> Colour:
        """Return the colour of road paint at that distance."""
        worn = mixed(self._paint_colour, (110, 110, 110), 0.14)
        return mixed(worn, self._mood.haze, self._mood.air(z_m))


class Horizon:
    """The sky, and what stands at its foot too far away to move."""

    def __init__(self, random: np.random.Generator, mood: Mood) -> None:
        """Paint the sky and the skyline of one seed."""
        self._sky = textures.sky(random, _SKY_WH, mood.sky_top, mood.sky_low, mood.clouds)
        self._drift = float(random.uniform(3.0, 9.0)) * (1 if random.uniform() < 0.5 else -1)
        self._glow(mood)
        self._sky = np.hstack([self._sky, self._sky])
        self._skyline, self._skyline_labels = _skyline(random, mood)

    def draw(self, canvas: Canvas, view: View, time_seconds: float) -> None:
        """Draw sky and skyline above the horizon."""
        bottom = min(canvas.height, int(np.ceil(view.horizon_px)) + 2)
        if bottom <= 0:
            return
        zoom = view.scale * 1.7
        shift = (self._drift * time_seconds) % _SKY_WH[0]
        level = self._sky if zoom > 0.6 else cv2.resize(self._sky, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        step = zoom * self._sky.shape[1] / level.shape[1]
        matrix = np.array(
            [
                [step, 0, 0.5 * step - 0.5 - shift * zoom],
                [0, step, view.horizon_px - _SKY_WH[1] * zoom + 0.5 * step - 0.5],
            ],
            np.float32,
        )
        target = canvas.rgb[:bottom]
        cv2.warpAffine(
            np.asarray(level, dtype=np.uint8),
            matrix,
            (canvas.width, bottom),
            dst=target,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if canvas.labels is not None:
            canvas.labels[:bottom] = SKY
        self._draw_skyline(canvas, view)

    def _draw_skyline(self, canvas: Canvas, view: View) -> None:
        width, height = self._skyline.size_wh
        left = view.middle_px + view.focal_px * 60.0 * view.bend - width * view.scale / 2
        box = (left, view.horizon_px - height * view.scale + 1, left + width * view.scale, view.horizon_px + 1)
        canvas.sprite(self._skyline, box, VEGETATION)
        if canvas.labels is None:
            return
        y1 = min(canvas.height, int(view.horizon_px) + 2)
        y0 = max(0, int(box[1]))
        x = ((np.arange(canvas.width) + 0.5 - left) / view.scale).astype(np.int64).clip(0, width - 1)
        y = ((np.arange(y0, y1) + 0.5 - box[1]) / view.scale).astype(np.int64).clip(0, height - 1)
        house = self._skyline_labels[y][:, x] == BUILDING
        region = canvas.labels[y0:y1]
        region[house & (region == VEGETATION)] = BUILDING

    def _glow(self, mood: Mood) -> None:
        """Brighten the sky round the sun."""
        height, width = self._sky.shape[:2]
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        away = (x - width * (0.3 + 0.25 * mood.sun)) % width
        distance = np.hypot(np.minimum(away, width - away), (y - height * 0.85) * 1.3) / 205
        gain = 46 * np.exp(-distance * distance)[..., None] * np.array((1.0, 0.92, 0.7), np.float32)
        self._sky = np.clip(self._sky + gain, 0, 255).astype(np.uint8)


def _level(base: UInt8Array, reach_m: float, along: int, across: int) -> UInt8Array:
    """Return the ground texture shrunk for a range of distances, repeated as far as the range reaches."""
    length, width = base.shape[:2]
    small = base
    if along > 1:
        size_wh = (width // across, length // along)
        small = np.asarray(cv2.resize(base, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    repeats = int(np.ceil((reach_m + _PERIOD_M) / _PERIOD_M)) + 1
    return np.ascontiguousarray(
        np.tile(small, (repeats, 1, 1))[: int((reach_m + _PERIOD_M + 1) * _TEXELS_PER_M / along) + 2]
    )


def _band(view: View, x0_m: float, x1_m: float) -> Points:
    """Return a strip along the whole street as a polygon."""
    ground = np.zeros((2 * len(_EDGE_Z_M), 3))
    ground[:, 0] = np.repeat((x0_m, x1_m), len(_EDGE_Z_M))
    ground[:, 2] = np.concatenate([_EDGE_Z_M, _EDGE_Z_M[::-1]])
    return view.project(ground)


def _flat(x0_m: float, x1_m: float, z0_m: float, z1_m: float) -> Points:
    """Return the corners of a rectangle on the ground, world coordinates, float64 [4, 3]."""
    return np.array([[x0_m, 0, z0_m], [x1_m, 0, z0_m], [x1_m, 0, z1_m], [x0_m, 0, z1_m]], np.float64)


def _skyline(random: np.random.Generator, mood: Mood) -> tuple[Sprite, UInt8Array]:
    """Return hazy trees and houses far away, and their labels uint8 [h, w]."""
    width, height = 1400, 72
    picture = np.zeros((height, width, 4), np.uint8)
    labels = np.full((height, width), VEGETATION, np.uint8)
    x = 0
    while x < width:
        step = int(random.integers(26, 70))
        if random.uniform() < 0.4:
            top = int(random.integers(6, 44))
            tone = mixed((134, 124, 120), mood.haze, float(random.uniform(0.45, 0.65)))
            cv2.rectangle(picture, (x, top), (x + step, height), (*tone, 255.0), -1)
            cv2.rectangle(labels, (x, top), (x + step, height), BUILDING, -1)
            pane = mixed(tone, (70, 80, 100), 0.25)
            for wx in range(x + 4, x + step - 4, 7):
                for wy in range(top + 5, height, 9):
                    cv2.rectangle(picture, (wx, wy), (wx + 2, wy + 4), (*pane, 255.0), -1)
        x += step
    leaf = mixed((74, 104, 58), mood.haze, 0.42)
    for _ in range(420):
        spot = (int(random.integers(0, width)), height - min(24, int(abs(random.normal(0, 13)))))
        radius = int(random.integers(4, 12))
        cv2.circle(picture, spot, radius, (*mixed(leaf, (60, 80, 50), float(random.uniform(0, 0.3))), 255.0), -1)
        cv2.circle(labels, spot, radius, VEGETATION, -1)
    return Sprite(picture), labels
