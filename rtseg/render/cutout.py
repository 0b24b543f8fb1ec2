"""The cut-out: the subject with a transparent background, straight alpha.

Note [Hidden pixels of a cut-out]
    Straight alpha keeps a colour under transparent pixels too. It must not be the room behind the person: an editor
    can bring it back, and chroma subsampling and scaling mix it into the edge. So colours are rebuilt from what is
    surely subject: near the edge the subject's own colour is carried outwards, and farther out there is nothing.
    Source: M. Forte, Approximate Fast Foreground Colour Estimation, 2021 (blur fusion; one pass, on a coarse grid).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from rtseg import geometry
from rtseg.render.background import box_side, shrunk
from rtseg.render.painter import Shot, StatelessPainter
from rtseg.render.planes import Canvas
from rtseg.render.weights import weight_bytes
from rtseg.types import UInt8Array

_SPREAD: Final[float] = 0.008
"""How far the subject's colour is carried, as a standard deviation in heights of the frame."""
_PURITY: Final[int] = 6
_TINY: Final[float] = 1e-4
_SURE: Final[float] = 0.02


class CutoutPainter(StatelessPainter):
    """Turns the canvas into RGB with an alpha; must see the whole subject of the frame."""

    def __init__(self, subject: Sequence[float], *, decontaminate: bool) -> None:
        self._subject = weight_bytes(subject)
        self._decontaminate = decontaminate

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas."""
        rgb = canvas.become_rgb()
        alpha = shot.mask.scaled(self._subject, canvas.format.size_wh)
        colors = foreground(rgb, alpha) if self._decontaminate else np.asarray(cv2.copyTo(rgb, alpha), np.uint8)
        canvas.set_rgb(colors)
        canvas.alpha = alpha if canvas.alpha is None else np.minimum(canvas.alpha, alpha)


def foreground(rgb: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """Return the subject's own colours, rgb uint8 [H, W, 3]; equal to `rgb` where alpha is 255."""
    size_wh = (rgb.shape[1], rgb.shape[0])
    inside, outside, sure = (
        geometry.resize_linear(_spread_colors(rgb, part, least), size_wh)
        for part, least in ((alpha, _TINY), (np.asarray(cv2.bitwise_not(alpha), np.uint8), _TINY), (alpha, _SURE))
    )
    colors = np.asarray(cv2.copyTo(rgb, np.where(alpha == 255, alpha, 0), sure), np.uint8)
    soft = np.nonzero((alpha > 0) & (alpha < 255))
    share = alpha[soft].astype(np.float32)[:, None] / np.float32(255)
    rest = rgb[soft] - share * inside[soft] - (1 - share) * outside[soft]
    colors[soft] = np.rint(np.clip(inside[soft] + share * rest, 0, 255)).astype(np.uint8)
    return colors


def _spread_colors(rgb: UInt8Array, part: UInt8Array, least: float) -> UInt8Array:
    """Return the mean colour of the nearby pixels that belong to the part, uint8 [h, w, 3].

    It fades to black where less than `least` of what is near belongs to the part.
    """
    height, width = part.shape
    cell_px = 2 if height < 480 else 4
    cells_wh = (-(-width // cell_px), -(-height // cell_px))
    weight = shrunk(part, cells_wh).astype(np.float32)[..., None] / np.float32(255)
    # A cell with a tenth of the other side in it counts half, one with half of it next to nothing.
    weight = weight**_PURITY
    stack = np.dstack([shrunk(rgb, cells_wh).astype(np.float32) * weight, weight])
    side = box_side(_SPREAD * height / cell_px)
    for _ in range(2):
        stack = cv2.blur(stack, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.rint(stack[..., :3] / np.maximum(stack[..., 3:], least)), np.uint8)
