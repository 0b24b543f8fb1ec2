"""The rooms behind the person at a desk: wall, window, shelf, plant, pictures, lamp, screen."""

from __future__ import annotations

import cv2
import numpy as np

from rtseg.scenes import textures
from rtseg.scenes.canvas import Colour, mixed, shaded
from rtseg.types import FloatArray, UInt8Array

ROOM_WH = (1040, 600)
"""Size of a painted room; the reference picture of 960 by 540 is its middle."""
_WALLS: tuple[Colour, ...] = (
    (206, 202, 194), (176, 186, 196), (196, 184, 166), (148, 164, 158), (214, 206, 200),
    (112, 124, 140), (182, 158, 146), (98, 106, 100),
)  # fmt: skip
_WOODS: tuple[Colour, ...] = ((146, 104, 68), (106, 72, 50), (188, 152, 110), (222, 216, 206), (74, 62, 56))
_BOOKS: tuple[Colour, ...] = (
    (150, 50, 46),
    (52, 84, 128),
    (206, 178, 110),
    (66, 108, 84),
    (226, 220, 208),
    (60, 58, 66),
    (190, 110, 60),
    (120, 82, 122),
)


def room_picture(random: np.random.Generator, light_x: float) -> UInt8Array:
    """Return a room, rgb uint8 [600, 1040, 3], lit from the left (light_x < 0) or from the right."""
    width, height = ROOM_WH
    wall = shaded(_WALLS[int(random.integers(len(_WALLS)))], float(random.uniform(0.82, 1.02)))
    room = _wall(random, wall)
    if random.uniform() < 0.22:
        _bricks(random, room)
    wood = _WOODS[int(random.integers(len(_WOODS)))]
    window_left = light_x < 0
    if random.uniform() < 0.6:
        _window(random, room, int(random.integers(20, 110)) if window_left else width - int(random.integers(330, 420)))
    side = width - int(random.integers(300, 380)) if window_left else int(random.integers(30, 90))
    kind = int(random.integers(4))
    if kind in (0, 1):
        _shelf(random, room, side, wood, tall=kind == 0)
    elif kind == 2:
        _pictures(random, room, side, wood)
    else:
        _screen(random, room, side)
    if random.uniform() < 0.6:
        _plant(random, room, int(random.choice((width - 170, 110))), height - 40)
    if random.uniform() < 0.45:
        _lamp(room, int(random.choice((120, width - 140))), int(random.integers(150, 230)))
    falloff = 1 + 0.2 * light_x * np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    falloff = falloff * np.linspace(1.05, 0.84, height, dtype=np.float32)[:, None, None]
    lit = np.clip(room * falloff, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(lit, (0, 0), float(random.uniform(0.6, 2.6))), dtype=np.uint8)


def chair_picture(random: np.random.Generator) -> UInt8Array:
    """Return the back of an office chair, straight alpha, rgba uint8 [420, 420, 4]."""
    chair = np.zeros((420, 420, 4), np.uint8)
    tone = ((46.0, 48.0, 54.0), (92.0, 92.0, 96.0), (120.0, 76.0, 58.0))[int(random.integers(3))]
    corners = np.array([(70, 60), (120, 26), (300, 26), (350, 60), (372, 240), (380, 420), (40, 420), (48, 240)])
    cv2.fillPoly(chair, [corners], (*tone, 255.0), cv2.LINE_AA)
    for inset in range(4, 44, 4):
        scale = 1 - inset / 210
        ring = ((corners - (210, 260)) * scale + (210, 260)).astype(np.int32)
        cv2.fillPoly(chair, [ring], (*shaded(tone, 0.8 + inset / 100), 255.0), cv2.LINE_AA)
    for y in range(110, 420, 74):
        cv2.line(chair, (80, y), (340, y), (*shaded(tone, 0.7), 255.0), 3, cv2.LINE_AA)
    return chair


def _wall(random: np.random.Generator, wall: Colour) -> UInt8Array:
    """Return a plastered wall with a skirting shadow."""
    width, height = ROOM_WH
    small = (width // 4, height // 4)
    mottled = cv2.resize(textures.fractal_noise(random, small, (5, 3), 4), ROOM_WH, interpolation=cv2.INTER_LINEAR)
    brightness = 0.03 * np.asarray(mottled, dtype=np.float32) + 0.008 * textures.grain(random, (height, width))
    return textures.coloured(wall, np.asarray(brightness, dtype=np.float32))


def _bricks(random: np.random.Generator, room: UInt8Array) -> None:
    """Turn the wall into bricks."""
    height, width = room.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    row = y // 26
    shifted = x + (row % 2) * 34
    tones = random.normal(1, 0.1, (height // 26 + 1, width // 68 + 2)).astype(np.float32)
    base = np.array(((164, 92, 70), (206, 200, 192), (120, 78, 66))[int(random.integers(3))], np.float32)
    picture = base * tones[row, shifted // 68][..., None]
    joint = ((y % 26) < 3) | ((shifted % 68) < 3)
    picture[joint] = base * 0.7 + 50
    grain: FloatArray = 1 + 0.04 * textures.grain(random, (height, width))
    room[:] = np.clip(picture * grain[..., None], 0, 255)


def _window(random: np.random.Generator, room: UInt8Array, left: int) -> None:
    """Paint a window with a view and curtains."""
    top, right, bottom = 50, left + int(random.integers(240, 310)), int(random.integers(330, 420))
    view = textures.sky(random, (right - left, bottom - top), (150, 190, 232), (236, 242, 246), 0.5)
    green = shaded((112, 148, 92), float(random.uniform(0.9, 1.2)))
    for _ in range(60):
        spot = (int(random.integers(0, right - left)), bottom - top - int(abs(random.normal(0, 34))))
        cv2.circle(
            view,
            spot,
            int(random.integers(12, 34)),
            mixed(green, (236, 242, 246), float(random.uniform(0.2, 0.5))),
            -1,
            cv2.LINE_AA,
        )
    room[top:bottom, left:right] = cv2.GaussianBlur(view, (0, 0), 3.0)
    frame = (238, 236, 230)
    for x in (left, (left + right) // 2, right):
        cv2.line(room, (x, top), (x, bottom), frame, 11)
    for y in (top, bottom):
        cv2.line(room, (left, y), (right, y), frame, 12)
    cv2.rectangle(room, (left - 18, bottom + 6), (right + 18, bottom + 22), (222, 218, 210), -1)
    if random.uniform() < 0.6:
        tone = mixed((214, 204, 190), (110, 126, 150), float(random.uniform()))
        for edge in (left - 34, right - 26):
            for fold in range(0, 60, 6):
                light = 0.86 + 0.14 * float(np.sin(fold * 0.55))
                cv2.rectangle(room, (edge + fold, 24), (edge + fold + 6, bottom + 70), shaded(tone, light), -1)


def _shelf(random: np.random.Generator, room: UInt8Array, left: int, wood: Colour, *, tall: bool) -> None:
    """Paint shelves with books and small things."""
    width = int(random.integers(230, 300))
    rows = range(90, 600, 120) if tall else range(150, 330, 130)
    if tall:
        cv2.rectangle(room, (left - 12, 30), (left + width + 12, 600), shaded(wood, 0.9), -1)
        cv2.rectangle(room, (left, 44), (left + width, 600), shaded(wood, 0.55), -1)
    for y in rows:
        x = left + 6
        while x < left + width - 26:
            if random.uniform() < 0.12:
                x += int(random.integers(20, 50))
                continue
            thick, tall_px = int(random.integers(9, 24)), int(random.integers(60, 96))
            tone = shaded(_BOOKS[int(random.integers(len(_BOOKS)))], float(random.uniform(0.75, 1.0)))
            cv2.rectangle(room, (x, y - tall_px), (x + thick, y), tone, -1)
            cv2.line(room, (x + 1, y - tall_px), (x + 1, y), shaded(tone, 1.25), 2)
            cv2.rectangle(
                room,
                (x + 3, y - tall_px + 12),
                (x + thick - 3, y - tall_px + 20),
                mixed(tone, (240, 226, 180), 0.5),
                -1,
            )
            x += thick + 1
        cv2.rectangle(room, (left - 8, y), (left + width + 8, y + 12), wood, -1)
        cv2.rectangle(
            room, (left - 8, y + 12), (left + width + 8, y + 20), mixed(shaded(wood, 0.4), (90, 90, 90), 0.3), -1
        )


def _pictures(random: np.random.Generator, room: UInt8Array, left: int, wood: Colour) -> None:
    """Hang up framed pictures."""
    for number in range(int(random.integers(2, 4))):
        x, y = (
            left + (number % 2) * 150 + int(random.integers(0, 16)),
            70 + (number // 2) * 190 + int(random.integers(0, 26)),
        )
        width, height = int(random.integers(100, 136)), int(random.integers(110, 160))
        cv2.rectangle(room, (x + 5, y + 7), (x + width + 7, y + height + 9), (96, 94, 92), -1)
        cv2.rectangle(room, (x, y), (x + width, y + height), wood, -1)
        art = textures.fractal_noise(random, (width - 16, height - 16), (2, 3), 3)
        tones = np.array([_BOOKS[int(index)] for index in random.integers(0, len(_BOOKS), 4)], np.float32)
        room[y + 8 : y + height - 8, x + 8 : x + width - 8] = tones[np.clip((art + 0.6) * 3.3, 0, 3).astype(np.int64)]


def _screen(random: np.random.Generator, room: UInt8Array, left: int) -> None:
    """Paint a monitor on a table behind."""
    top, width, height = 220, 260, 160
    cv2.rectangle(room, (left - 60, 430), (left + width + 80, 446), (150, 120, 90), -1)
    cv2.rectangle(room, (left + width // 2 - 16, top + height), (left + width // 2 + 16, 430), (44, 46, 50), -1)
    cv2.rectangle(room, (left, top), (left + width, top + height), (28, 30, 34), -1)
    base = ((46, 70, 112), (38, 42, 50), (214, 220, 226))[int(random.integers(3))]
    cv2.rectangle(room, (left + 8, top + 8), (left + width - 8, top + height - 8), base, -1)
    for y in range(top + 20, top + height - 20, 12):
        line = mixed(base, (130, 200, 160) if random.uniform() < 0.5 else (200, 160, 120), 0.6)
        cv2.line(room, (left + 20, y), (left + 20 + int(random.integers(30, width - 60)), y), line, 4)


def _plant(random: np.random.Generator, room: UInt8Array, x: int, y: int) -> None:
    """Paint a pot plant."""
    base = shaded((74, 122, 66), float(random.uniform(0.8, 1.2)))
    for _ in range(46):
        angle = float(random.uniform(-2.6, -0.5))
        length = float(random.uniform(70, 190))
        tip = (x + length * np.cos(angle) * 0.7, y - 60 + length * np.sin(angle))
        middle = ((x + tip[0]) / 2 + random.normal(0, 10), (y - 60 + tip[1]) / 2 - 12)
        leaf = np.array([(x, y - 50), (middle[0] - 9, middle[1]), tip, (middle[0] + 9, middle[1] + 8)])
        cv2.fillConvexPoly(
            room, (leaf * 16).astype(np.int32), shaded(base, float(random.uniform(0.55, 1.25))), cv2.LINE_AA, 4
        )
    pot = np.array([(x - 46, y - 70), (x + 46, y - 70), (x + 34, y + 50), (x - 34, y + 50)])
    tone = ((206, 196, 186), (176, 96, 66), (70, 74, 82))[int(random.integers(3))]
    cv2.fillConvexPoly(room, pot, tone, cv2.LINE_AA)
    cv2.fillConvexPoly(
        room,
        np.array([(x + 10, y - 70), (x + 46, y - 70), (x + 34, y + 50), (x + 8, y + 50)]),
        shaded(tone, 0.8),
        cv2.LINE_AA,
    )


def _lamp(room: UInt8Array, x: int, y: int) -> None:
    """Paint a floor lamp and its glow on the wall."""
    height, width = room.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    glow = np.exp(-(((columns - x) / 190) ** 2 + ((rows - y) / 170) ** 2))[..., None]
    room[:] = np.clip(room + glow * np.array((70, 54, 26), np.float32), 0, 255)
    cv2.line(room, (x, y), (x, height), (60, 56, 52), 7)
    cv2.fillConvexPoly(
        room,
        np.array([(x - 34, y - 50), (x + 34, y - 50), (x + 58, y + 36), (x - 58, y + 36)]),
        (252, 232, 190),
        cv2.LINE_AA,
    )
