"""Eyes, mouth and glasses, drawn anew for every picture."""

from __future__ import annotations

import cv2
import numpy as np

from rtseg.scenes.canvas import Colour, Points, mixed, shaded
from rtseg.scenes.desk_person import Look
from rtseg.scenes.modelling import Spot, mask_of, smooth
from rtseg.types import UInt8Array


def draw_face(head: UInt8Array, look: Look, *, open_eyes: float, gaze_px: float, open_mouth: float) -> None:
    """Draw eyes and mouth on a head picture in place.

    Args:
        head: premultiplied rgba uint8 [400, 320, 4].
        look: whose head it is.
        open_eyes: 0 is shut, 1 is open.
        gaze_px: how far the eyes look aside.
        open_mouth: 0 is shut, 1 is wide.
    """
    for side in (-1, 1):
        _draw_eye(head, look, 160 + side * 32.0, open_eyes, gaze_px)
    _draw_mouth(head, look, open_mouth)
    if look.glasses:
        for side in (-1, 1):
            rim = smooth(
                [(160 + side * x, y) for x, y in ((12, 168), (32, 162), (55, 166), (55, 190), (34, 200), (13, 192))]
            )
            _outline(head, rim, (34, 32, 34), 3.2, closed=True)
            _outline(head, np.array([(160 + side * 55, 172), (160 + side * 70, 168)], np.float64), (34, 32, 34), 3.0)
        _outline(head, smooth([(148, 174), (160, 170), (172, 174)], closed=False), (34, 32, 34), 3.0)


def _draw_eye(head: UInt8Array, look: Look, x: float, open_eyes: float, gaze_px: float) -> None:
    y, half = 179.0, 15.0
    lid, low = 7.6 * open_eyes, 4.4 * max(open_eyes, 0.25)
    rim = smooth(
        [
            (x - half, y),
            (x - 7, y - lid * 0.85),
            (x, y - lid),
            (x + 8, y - lid * 0.8),
            (x + half, y),
            (x + 7, y + low),
            (x - 7, y + low),
        ]
    )
    if open_eyes > 0.15:
        _fill(head, rim, (228, 222, 216))
        box = (slice(int(y) - 14, int(y) + 14), slice(int(x) - 20, int(x) + 20))
        white = head[box].copy()
        for radius, tone in ((6.9, shaded(look.iris, 0.6)), (6.1, look.iris), (2.9, (14.0, 12.0, 12.0))):
            _fill(head, _circle((x + gaze_px, y - 0.8), radius), tone)
        _fill(head, _circle((x + gaze_px + 2.2 * np.sign(look.light[0] + 0.01), y - 3.2), 1.5), (250, 250, 250))
        inside = mask_of((28, 40), rim - (int(x) - 20, int(y) - 14), 0.6)[..., None]
        head[box] = (head[box] * inside + white * (1 - inside)).astype(np.uint8)
    skin = shaded(mixed(look.skin, (120, 60, 50), 0.18), 0.8)
    if open_eyes <= 0.15:
        _fill(head, rim, skin)
    _outline(head, rim[: len(rim) * 5 // 7], shaded(look.hair, 0.55), 2.4)
    _outline(
        head,
        smooth(
            [(x - half, y - 6 - lid * 0.5), (x, y - 7.5 - lid * 0.62), (x + half, y - 6 - lid * 0.45)], closed=False
        ),
        skin,
        1.6,
    )


def _draw_mouth(head: UInt8Array, look: Look, open_mouth: float) -> None:
    x, y, half = 160.0, 244.0, 21.0 - 2.5 * open_mouth
    gap = 9.0 * open_mouth
    lip = mixed(shaded(look.skin, 0.84), (176, 62, 66), 0.42)
    _fill(
        head,
        smooth(
            [
                (x - half, y),
                (x - 9, y - 5),
                (x, y - 3.6),
                (x + 9, y - 5),
                (x + half, y),
                (x + 10, y + 6.5 + gap),
                (x, y + 8 + gap),
                (x - 10, y + 6.5 + gap),
            ]
        ),
        lip,
    )
    _fill(
        head,
        smooth([(x - 10, y + 3.5 + gap), (x, y + 3.2 + gap), (x + 10, y + 3.5 + gap), (x, y + 6 + gap)]),
        mixed(lip, (255, 226, 220), 0.22),
    )
    if gap > 1.0:
        _fill(
            head,
            smooth(
                [
                    (x - half + 4, y + 0.5),
                    (x, y - 0.8),
                    (x + half - 4, y + 0.5),
                    (x + 8, y + 1.5 + gap),
                    (x - 8, y + 1.5 + gap),
                ]
            ),
            (62, 22, 24),
        )
        if gap > 3.0:
            _fill(
                head,
                smooth(
                    [(x - half + 7, y + 0.4), (x, y - 0.6), (x + half - 7, y + 0.4), (x + 8, y + 3.0), (x - 8, y + 3.0)]
                ),
                (232, 228, 220),
            )
    else:
        _outline(
            head,
            smooth([(x - half, y), (x - 8, y + 0.8), (x, y + 1.6), (x + 8, y + 0.8), (x + half, y)], closed=False),
            shaded(lip, 0.55),
            1.8,
        )


def _circle(centre: Spot, radius: float) -> Points:
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], axis=1)


def _fill(head: UInt8Array, outline: Points, colour: Colour) -> None:
    cv2.fillPoly(head, [np.rint(outline * 16).astype(np.int32)], (*colour, 255.0), cv2.LINE_AA, 4)


def _outline(head: UInt8Array, curve: Points, colour: Colour, thickness_px: float, *, closed: bool = False) -> None:
    cv2.polylines(
        head, [np.rint(curve * 16).astype(np.int32)], closed, (*colour, 255.0), round(thickness_px), cv2.LINE_AA, 4
    )
