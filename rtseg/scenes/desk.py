"""A person at a desk in front of a webcam, with a soft matte."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtseg.scenes.canvas import Sprite, blend, halved
from rtseg.scenes.desk_clothes import arm_picture, body_picture
from rtseg.scenes.desk_face import draw_face
from rtseg.scenes.desk_person import (
    ARM_PIVOT,
    BODY_PIVOT,
    HEAD_PIVOT,
    Look,
    choose_look,
    hair_behind,
    head_picture,
)
from rtseg.scenes.desk_room import ROOM_WH, chair_picture, room_picture
from rtseg.scenes.inputs import checked_seed, checked_size, checked_time
from rtseg.scenes.modelling import Spot
from rtseg.scenes.sensor import Sensor
from rtseg.scenes.street_plan import REFERENCE_WH
from rtseg.types import FloatArray, UInt8Array


@dataclass(frozen=True, slots=True)
class _Pose:
    """Where a person's parts are at one moment, in the reference picture: pixels and radians."""

    neck: Spot
    tilt: float
    nod_px: float
    turn_px: float
    breath: float
    open_eyes: float
    gaze_px: float
    open_mouth: float


class _Person:
    """One painted person and how they move."""

    def __init__(self, random: np.random.Generator, light: Spot, neck: Spot, zoom: float) -> None:
        self.look: Look = choose_look(random, light)
        self._neck, self._zoom = neck, zoom
        self._head = head_picture(random, self.look)
        behind = hair_behind(random, self.look)
        self._behind = None if behind is None else _levels(behind)
        self._body = _levels(body_picture(random, self.look))
        fist = bool(random.uniform() < 0.3)
        self._arm = _levels(arm_picture(random, self.look, spread=float(random.uniform(0.2, 1.0)), fist=fist))
        self._arm_side = 1 if random.uniform() < 0.5 else -1
        self._phase = random.uniform(0, 6.28, 8)
        self._gesture_s = float(random.uniform(5.0, 9.0))
        self._lively = float(random.uniform(0.6, 1.3))

    def draw(self, stage: _Stage, time_seconds: float) -> None:
        """Draw the person as they are at that time."""
        pose = self._pose(time_seconds)
        head_spot = (pose.neck[0] + pose.turn_px, pose.neck[1] + 4 + pose.nod_px)
        if self._behind is not None:
            stage.place(self._behind, HEAD_PIVOT, head_spot, self._zoom, pose.tilt * 0.5)
        stage.place(self._body, BODY_PIVOT, pose.neck, self._zoom * pose.breath, 0.02 * np.sin(pose.tilt))
        head = self._head.copy()
        draw_face(head, self.look, open_eyes=pose.open_eyes, gaze_px=pose.gaze_px, open_mouth=pose.open_mouth)
        stage.place(_levels(head, self._zoom * stage.scale), HEAD_PIVOT, head_spot, self._zoom, pose.tilt)
        self._draw_arm(stage, pose, time_seconds)

    def _pose(self, time_seconds: float) -> _Pose:
        t, p, lively = time_seconds, self._phase, self._lively
        blink = np.exp(-(((t + p[0]) % 3.7 - 1.8) ** 2) / 0.006)
        talking = 0.5 + 0.5 * np.sin(0.35 * t + p[1])
        mouth = max(0.0, np.sin(9.1 * t + p[2]) * 0.6 + np.sin(14.3 * t) * 0.35) * np.clip(talking * 1.6 - 0.3, 0, 1)
        sway = self._zoom * lively
        return _Pose(
            neck=(
                self._neck[0] + sway * float(14 * np.sin(0.41 * t + p[3]) + 5 * np.sin(1.07 * t + p[4])),
                self._neck[1] + sway * float(4 * np.sin(0.53 * t + p[5])),
            ),
            tilt=float(lively * (0.07 * np.sin(0.67 * t + p[6]) + 0.03 * np.sin(1.9 * t + p[7]))),
            nod_px=float(sway * 4 * np.sin(1.31 * t + p[0])),
            turn_px=float(sway * 6 * np.sin(0.59 * t + p[1])),
            breath=float(1 + 0.006 * np.sin(1.6 * t)),
            open_eyes=float(1 - blink),
            gaze_px=float(3.4 * np.sin(0.8 * t + p[2])),
            open_mouth=float(np.clip(mouth, 0, 1)),
        )

    def _draw_arm(self, stage: _Stage, pose: _Pose, time_seconds: float) -> None:
        """Draw the raised arm during the part of each round in which the person gestures."""
        cycle = ((time_seconds + self._phase[5]) % (2 * self._gesture_s)) / self._gesture_s
        lift = float(np.clip(np.sin(np.pi * cycle) * 2.2, 0, 1)) if cycle < 1 else 0.0
        lift = lift * lift * (3 - 2 * lift)
        if lift <= 0.01:
            return
        wave = 0.2 * np.sin(5.2 * time_seconds) * lift
        angle = self._arm_side * (0.12 + 0.75 * (1 - lift)) + float(wave)
        elbow = (
            pose.neck[0] + self._arm_side * self._zoom * 236 * self.look.slim,
            pose.neck[1] + self._zoom * (400 + 420 * (1 - lift)),
        )
        stage.place(self._arm, ARM_PIVOT, elbow, self._zoom * 0.92, angle, flip=self._arm_side > 0)


class _Stage:
    """The picture and the matte while people are placed in front of the room."""

    def __init__(self, rgb: UInt8Array, alpha: FloatArray | None, scale: float) -> None:
        self.rgb, self.alpha, self.scale = rgb, alpha, scale
        self._middle = (rgb.shape[1] / 2, rgb.shape[0] / 2)

    def place(
        self, levels: list[UInt8Array], pivot: Spot, spot: Spot, zoom: float, angle: float, *, flip: bool = False
    ) -> None:
        """Lay a part so that its pivot comes to a spot of the reference picture; it turns round its pivot."""
        size = zoom * self.scale
        step = 0
        while step + 1 < len(levels) and size * 2**step < 0.62:
            step += 1
        level = levels[step]
        factor = size * 2**step
        cos, sin = factor * float(np.cos(angle)), factor * float(np.sin(angle))
        turn = np.array([[cos, -sin], [sin, cos]])
        if flip:
            turn = turn @ np.diag((-1.0, 1.0))
        target = np.array(self._middle) + (np.array(spot) - np.array(REFERENCE_WH) / 2) * self.scale
        offset = target - turn @ (np.array(pivot) / 2**step)
        self._lay(level, turn, offset)

    def _lay(self, level: UInt8Array, turn: np.ndarray, offset: np.ndarray) -> None:
        height, width = level.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ turn.T + offset
        x0, y0 = (int(v) for v in np.maximum(np.floor(corners.min(axis=0)), 0))
        x1 = min(self.rgb.shape[1], int(np.ceil(corners[:, 0].max())))
        y1 = min(self.rgb.shape[0], int(np.ceil(corners[:, 1].max())))
        if x0 >= x1 or y0 >= y1:
            return
        shift = turn @ (0.5, 0.5) + offset - (x0 + 0.5, y0 + 0.5)
        matrix = np.hstack([turn, shift[:, None]]).astype(np.float32)
        patch = np.asarray(cv2.warpAffine(level, matrix, (x1 - x0, y1 - y0)), dtype=np.uint8)
        blend(self.rgb[y0:y1, x0:x1], patch)
        if self.alpha is not None:
            cover = patch[..., 3].astype(np.float32) / np.float32(255)
            self.alpha[y0:y1, x0:x1] += (1 - self.alpha[y0:y1, x0:x1]) * cover


class DeskScene:
    """A webcam picture: one person, sometimes two, who move, blink, speak and gesture; the seed decides who and where.

    Threading: an instance keeps no state between pictures; several threads may render.
    """

    classes: tuple[str, ...] = ("background", "person")

    def __init__(self, *, size_wh: tuple[int, int] = (960, 540), seed: int = 0) -> None:
        """Furnish the room of a seed and seat the people.

        Args:
            size_wh: width and height of the pictures, 16..8192 pixels.
            seed: whole number >= 0.

        Raises:
            ConfigError: the size or the seed is none.
        """
        self.size_wh = checked_size(size_wh)
        self.seed = checked_seed(seed)
        random = np.random.default_rng((self.seed, 104729))
        width, height = self.size_wh
        self._scale = max(width / REFERENCE_WH[0], height / REFERENCE_WH[1])
        light_x = -1.0 if random.uniform() < 0.5 else 1.0
        light = (0.8 * light_x, -0.55)
        room = room_picture(random, light_x)
        pair = self.seed != 0 and bool(random.uniform() < 0.22)
        zoom = float(random.uniform(0.8, 1.2)) * (0.8 if pair else 1.0)
        middle = 480 + float(random.uniform(-70, 70))
        self._people: list[_Person] = []
        if pair:
            away = float(random.uniform(210, 270)) * (1 if random.uniform() < 0.5 else -1)
            middle -= away / 2
            self._people.append(
                _Person(random, light, (middle + away, 300 + float(random.uniform(-30, 20))), zoom * 0.92)
            )
        self._people.append(_Person(random, light, (middle, 262 + 80 * (zoom - 0.8)), zoom))
        chair = chair_picture(random) if random.uniform() < 0.4 else None
        self._room = self._seen(room, chair, middle, zoom)
        self._sensor = Sensor(random, self.size_wh, self.seed, vignette=0.22, noise=9, tint=_tint(random))

    def render(self, time_seconds: float) -> UInt8Array:
        """Return the picture at that time, rgb uint8 [H, W, 3].

        Raises:
            ConfigError: the time is negative or not finite.
        """
        return self._paint(checked_time(time_seconds), None)

    def render_with_alpha(self, time_seconds: float) -> tuple[UInt8Array, FloatArray]:
        """Return the picture, rgb uint8 [H, W, 3], and how much of each pixel is person, float32 [H, W], 0..1.

        Raises:
            ConfigError: the time is negative or not finite.
        """
        alpha = np.zeros((self.size_wh[1], self.size_wh[0]), np.float32)
        rgb = self._paint(checked_time(time_seconds), alpha)
        return rgb, alpha

    def _paint(self, time_seconds: float, alpha: FloatArray | None) -> UInt8Array:
        rgb = self._room.copy()
        stage = _Stage(rgb, alpha, self._scale)
        for person in self._people:
            person.draw(stage, time_seconds)
        self._sensor.expose(rgb, time_seconds)
        return rgb

    def _seen(self, room: UInt8Array, chair: UInt8Array | None, middle: float, zoom: float) -> UInt8Array:
        """Return the room as the camera sees it, with the chair in it, rgb uint8 [H, W, 3]."""
        scale, (width, height) = self._scale, self.size_wh
        level = room
        step = 1
        while scale * step < 0.62 and step < 16:
            level, step = halved(level), step * 2
        factor = scale * step
        offset_x = width / 2 - ROOM_WH[0] / 2 * scale + 0.5 * factor - 0.5
        offset_y = height / 2 - ROOM_WH[1] / 2 * scale + 0.5 * factor - 0.5
        matrix = np.array([[factor, 0, offset_x], [0, factor, offset_y]], np.float32)
        seen = cv2.warpAffine(level, matrix, self.size_wh, borderMode=cv2.BORDER_REPLICATE)
        picture = np.ascontiguousarray(np.asarray(seen, dtype=np.uint8))
        if chair is not None:
            stage = _Stage(picture, None, scale)
            stage.place(Sprite(chair).levels, (210.0, 40.0), (middle, 250.0), zoom * 1.15, 0.0)
        return picture


def _tint(random: np.random.Generator) -> tuple[float, float, float]:
    """Return the white balance of a cheap camera."""
    warm = float(random.uniform(-1, 1))
    return 255.0 if warm > 0 else 255 + 16 * warm, 250.0, 255.0 if warm < 0 else 255 - 22 * warm


def _levels(picture: UInt8Array, smallest: float = 0.0) -> list[UInt8Array]:
    """Return a premultiplied picture and its halves, as far down as a magnification needs."""
    levels = [picture]
    while min(levels[-1].shape[:2]) > 16 and smallest * 2 ** (len(levels) - 1) < 0.62:
        levels.append(halved(levels[-1]))
    return levels
