"""Night, glare, rain and fog on the road, drawn over a sample by what its target says of the scene.

Everything that is soft is computed on a grid of a quarter of the sample and enlarged: light has no sharp edges.

Note [Distance from where things stand]
    How far away a pixel is, nobody has measured, but the target nearly says it. On flat ground the distance of a place
    is the inverse of how far it lies under the horizon; whatever is not ground stands upright on the ground under it,
    and the sky has no end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.train.augment import AugmentSettings
from rtseg.train.blending import curved, levels, lit, mixed, noisy, piece, screened
from rtseg.train.camera import saturated
from rtseg.train.precipitation import drop_bank, streak_bank
from rtseg.train.targets import IGNORED, TargetTable
from rtseg.types import FloatArray, UInt8Array

GRID_STEP: Final = 4
"""Pixels a cell of the coarse maps."""
FARTHEST: Final = 0.03
"""Nearness of the horizon."""
NIGHT_LEVELS: Final = (18.0, 62.0)
"""Mean level of a picture at night, between which it is drawn: darker ones show nothing that could be learned."""
ROAD_NAMES: Final = ("road", "sidewalk", "pavement", "drivable", "lane markings", "terrain")
SKY_NAMES: Final = ("sky",)
VEHICLE_NAMES: Final = ("car", "truck", "bus", "train", "motorcycle", "vehicles", "movable")


class SceneKinds:
    """Which targets are road, sky and vehicles."""

    def __init__(self, table: TargetTable) -> None:
        self._tables = {
            kind: _as_table(table, names)
            for kind, names in (("road", ROAD_NAMES), ("sky", SKY_NAMES), ("vehicle", VEHICLE_NAMES))
        }
        self._tables["unknown"] = np.where(np.arange(256) == IGNORED, np.uint8(255), np.uint8(0))

    def share(self, kind: str, target: UInt8Array, grid_wh: tuple[int, int]) -> FloatArray:
        """Return the share of each cell that road, sky, vehicle or unknown covers, float32 [h, w], 0..1."""
        plane = cv2.LUT(target, self._tables[kind])
        return np.asarray(cv2.resize(plane, grid_wh, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def _as_table(table: TargetTable, names: tuple[str, ...]) -> UInt8Array:
    found = np.zeros(256, np.uint8)
    found[: len(table)][table.targets_within(names)] = 255
    return found


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The scene on a coarse grid."""

    road: FloatArray
    """Share of each cell, float32 [h, w]."""
    sky: FloatArray
    vehicle: FloatArray
    x: FloatArray
    """Centres of the cells from left, float32 [1, w], 0..1."""
    y: FloatArray
    """From the top, float32 [h, 1], 0..1."""
    horizon: float
    """Height of the vanishing point from the top, 0..1."""
    aspect: float
    """Width / height of the picture."""

    def spot(self, x: float, y: float, radius: float, stretch: float = 1.0) -> FloatArray:
        """Return a bell of light float32 [h, w], 1 at its middle; the radius is in heights of the picture."""
        across = (self.x - x) * (self.aspect / stretch)
        return np.asarray(np.exp(-(across**2 + (self.y - y) ** 2) / (2 * radius**2)), np.float32)

    def nearness(self) -> FloatArray:
        """Return 1 / distance, float32 [h, w]; 1 is half a picture under the horizon."""
        on_ground = np.maximum((self.y - self.horizon) / 0.5, FARTHEST) + 0 * self.x
        road = self.road if self.road.max() > 0.5 else 0 * self.road + 1  # without labels all is taken for ground
        for row in range(len(on_ground) - 2, -1, -1):
            is_ground = road[row] > 0.5
            on_ground[row] = np.where(is_ground, on_ground[row], on_ground[row + 1])
        return np.asarray(cv2.blur(on_ground, (9, 3)), np.float32)


def weathered(
    rgb: UInt8Array, target: UInt8Array, kinds: SceneKinds, settings: AugmentSettings, rng: np.random.Generator
) -> UInt8Array:
    """Return a sample's picture uint8 [H, W, 3] in some weather; the target [H, W] tells where road and sky are."""
    dark, dazzled, wet, thick = rng.random(4) < (
        settings.night_share, settings.glare_share, settings.rain_share, settings.fog_share,
    )  # fmt: skip
    if not (dark or dazzled or wet or thick):
        return rgb
    view = view_of(target, kinds, rng)
    if thick:
        rgb = fog(rgb, view, rng)
    if wet:
        rgb = rain(rgb, view, rng)
    if dark:
        rgb = night(rgb, view, rng)
    elif dazzled and not thick:
        rgb = glare(rgb, view, rng)
    return rgb


def view_of(target: UInt8Array, kinds: SceneKinds, rng: np.random.Generator) -> View:
    """Return the scene of a target uint8 [H, W]; the horizon is where the road ends, or the sky, or a guess."""
    height, width = target.shape
    grid_wh = (max(2, width // GRID_STEP), max(2, height // GRID_STEP))
    road, sky, vehicle = (kinds.share(kind, target, grid_wh) for kind in ("road", "sky", "vehicle"))
    sky = _continued(sky, kinds.share("unknown", target, grid_wh) > 0.5)
    x = ((np.arange(grid_wh[0], dtype=np.float32) + 0.5) / grid_wh[0])[None]
    y = ((np.arange(grid_wh[1], dtype=np.float32) + 0.5) / grid_wh[1])[:, None]
    rows = np.flatnonzero(road.mean(1) > 0.03)
    horizon = float(rng.uniform(0.35, 0.5))
    if len(rows):
        horizon = float(np.clip(rows[0] / grid_wh[1], 0.15, 0.75))
    return View(road, sky, vehicle, x, y, horizon, width / height)


def _continued(plane: FloatArray, unknown: npt.NDArray[np.bool_]) -> FloatArray:
    """Return a coarse map in which unknown cells at the top go on like the first known cell under them."""
    filled = plane.copy()
    for row in range(len(plane) - 2, -1, -1):
        filled[row] = np.where(unknown[row], filled[row + 1], plane[row])
    return filled


def night(rgb: UInt8Array, view: View, rng: np.random.Generator) -> UInt8Array:
    """Return the scene by its own headlights and some lamps, under a dark sky."""
    tint = np.array([[0.85, 0.92, 1.08], [1.12, 0.95, 0.72], [1.0, 1.0, 0.92]][rng.integers(3)])
    light = np.full(view.road.shape, rng.uniform(0.2, 0.6), np.float32)
    reach = rng.uniform(0.3, 1.0)
    light += reach * view.spot(rng.uniform(0.4, 0.6), min(0.95, view.horizon + 0.35), 0.22, stretch=2.2)
    # The bright rim of the sky over a roof or a tree would shine in the dark: the sky's share is widened by a cell.
    light *= 1 - np.asarray(cv2.dilate(view.sky, np.ones((3, 3), np.uint8)), np.float32) * rng.uniform(0.5, 0.9)
    rgb = lit(curved(rgb, levels() ** np.float32(rng.uniform(1.1, 1.7))), light / light.max())
    gain = rng.uniform(*NIGHT_LEVELS) / max(4.0, float(np.mean(cv2.mean(rgb)[:3])))
    rgb = curved(rgb, np.asarray(levels() * min(gain, 2.5) * tint, np.float32))
    lamps = int(rng.integers(0, 7))
    if lamps:
        rgb = screened(rgb, _lamps(view, lamps, rng))
    return noisy(rgb, rng.uniform(1, 7), rng)


def _lamps(view: View, count: int, rng: np.random.Generator) -> FloatArray:
    """Return the glow of lamps and of other cars' lights, float32 [h, w, 3]."""
    glow = np.zeros((*view.road.shape, 3), np.float32)
    cells = np.argwhere(view.vehicle > 0.5)
    colours = np.array([[1, 0.95, 0.85], [1, 0.75, 0.4], [1, 0.15, 0.1], [0.3, 1, 0.6]])
    for _ in range(count):
        on_vehicle = len(cells) > 0 and rng.random() < 0.5
        if on_vehicle:
            row, column = cells[rng.integers(len(cells))]
            x, y, colour = view.x[0, column], view.y[row, 0], colours[[0, 0, 2][rng.integers(3)]]
        else:
            x, y = rng.uniform(0, 1), view.horizon - rng.uniform(-0.02, 0.3)
            colour = colours[rng.choice(4, p=[0.3, 0.5, 0.1, 0.1])]
        near = rng.uniform(0.012, 0.04)
        shape = view.spot(x, y, near) + 0.35 * view.spot(x, y, 4 * near)
        glow += (shape[..., None] * colour * rng.uniform(0.5, 1.1)).astype(np.float32)
    return glow


def glare(rgb: UInt8Array, view: View, rng: np.random.Generator) -> UInt8Array:
    """Return the scene against a low sun, with its veil over the lens and its shine on the road."""
    x, y = rng.uniform(0.05, 0.95), view.horizon - rng.uniform(0.02, 0.35)
    shadow = levels() ** rng.uniform(1.0, 1.5) * rng.uniform(0.75, 1.0)
    rgb = curved(rgb, shadow.astype(np.float32))
    size = rng.uniform(0.03, 0.09)
    light = view.spot(x, y, size) * 1.3 + view.spot(x, y, 3 * size) * rng.uniform(0.3, 0.7)
    light += view.spot(x, y, rng.uniform(0.4, 0.9)) * rng.uniform(0.1, 0.45)
    shine = np.exp(-(((view.x - x) * view.aspect) ** 2) / (2 * 0.15**2)) * view.road
    light += shine * rng.uniform(0, 0.6)
    warmth = np.array([1.0, rng.uniform(0.88, 1.0), rng.uniform(0.68, 0.98)])
    return screened(rgb, (light[..., None] * warmth).astype(np.float32))


def fog(rgb: UInt8Array, view: View, rng: np.random.Generator) -> UInt8Array:
    """Return the scene in fog; see Note [Distance from where things stand]."""
    distance = (1 - view.sky) / view.nearness() + view.sky / FARTHEST
    clear = cv2.GaussianBlur(np.exp(-distance * rng.uniform(0.06, 0.4)), (0, 0), 1.5)
    veil = (255 * (1 - clear) * rng.uniform(0.85, 0.97)).astype(np.uint8)
    size_wh = (rgb.shape[1], rgb.shape[0])
    weight = np.asarray(cv2.resize(veil, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)
    air = np.full(rgb.shape, rng.uniform(150, 235) + rng.uniform(-8, 8, 3), np.uint8)
    return mixed(saturated(rgb, rng.uniform(0.5, 0.9)), air, weight)


def rain(rgb: UInt8Array, view: View, rng: np.random.Generator) -> UInt8Array:
    """Return the scene under a grey sky, on a wet road, through streaks and perhaps drops on the windscreen."""
    dull = levels() * rng.uniform(0.6, 0.9) + rng.uniform(0.02, 0.12)
    rgb = saturated(curved(rgb, dull), rng.uniform(0.4, 0.85))
    rgb = _wet(rgb, view, rng)
    size_wh = (rgb.shape[1], rgb.shape[0])
    if rng.random() < 0.8:
        streaks = piece(streak_bank()[rng.integers(len(streak_bank()))], size_wh, rng)
        air = np.full(rgb.shape, rng.uniform(170, 230), np.uint8)
        rgb = mixed(rgb, air, np.asarray(streaks * np.float32(rng.uniform(0.12, 0.45)), np.uint8))
    if rng.random() < 0.6:
        drops = piece(drop_bank()[rng.integers(len(drop_bank()))], size_wh, rng)
        small = cv2.resize(rgb, (max(1, size_wh[0] // 16), max(1, size_wh[1] // 16)), interpolation=cv2.INTER_AREA)
        turned = cv2.resize(cv2.flip(small, 0), size_wh, interpolation=cv2.INTER_LINEAR)
        behind = cv2.resize(small, size_wh, interpolation=cv2.INTER_LINEAR)
        refracted = np.asarray(cv2.addWeighted(behind, 0.6, turned, 0.4, 0), np.uint8)
        rgb = mixed(rgb, refracted, drops)
    if rng.random() < 0.4:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.5, 1.2)), np.uint8)
    return rgb


def _wet(rgb: UInt8Array, view: View, rng: np.random.Generator) -> UInt8Array:
    """Return the picture with the scene mirrored in the road, as in a film of water."""
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    axis = view.horizon * small.shape[0]
    mirror = np.array([[1, 0, 0], [0, -1, 2 * axis]], np.float64)
    size_wh = (small.shape[1], small.shape[0])
    turned = cv2.warpAffine(small, mirror, size_wh, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    turned = cv2.blur(turned, (3, 13))
    weight = (view.road * (255 * rng.uniform(0.15, 0.5))).astype(np.uint8)
    weight = np.asarray(cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return mixed(rgb, np.asarray(cv2.resize(turned, (width, height)), np.uint8), weight)
