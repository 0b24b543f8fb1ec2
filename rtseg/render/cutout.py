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
from rtseg.render.planes import Canvas, resizing
from rtseg.render.weights import weight_bytes
from rtseg.types import FloatArray, UInt8Array

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
        with resizing(quick=False):  # the alpha that is given away is the result's own, to the byte
            rgb = canvas.become_rgb()
            alpha = shot.mask.scaled(self._subject, canvas.format.size_wh)
            colors = foreground(rgb, alpha) if self._decontaminate else np.asarray(cv2.copyTo(rgb, alpha), np.uint8)
        canvas.set_rgb(colors)
        canvas.alpha = alpha if canvas.alpha is None else np.minimum(canvas.alpha, alpha)


def foreground(rgb: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """Return the subject's own colours, rgb uint8 [H, W, 3]; equal to `rgb` where alpha is 255."""
    size_wh = (rgb.shape[1], rgb.shape[0])
    cell_px = 2 if rgb.shape[0] < 480 else 4
    cells_wh = (-(-rgb.shape[1] // cell_px), -(-rgb.shape[0] // cell_px))
    coarse, share = (
        shrunk(rgb, cells_wh).astype(np.float32),
        shrunk(alpha, cells_wh).astype(np.float32) / np.float32(255),
    )
    side = box_side(_SPREAD * rgb.shape[0] / cell_px)
    subject, room = _spread(coarse, share, side), _spread(coarse, 1 - share, side)
    # The hidden pixels are only filled where the subject is near beyond doubt; farther out there is nothing.
    colors = geometry.resize_linear(_mean_color(subject, _SURE), size_wh)
    cv2.copyTo(rgb, np.where(alpha == 255, alpha, 0), colors)
    soft = np.nonzero((alpha > 0) & (alpha < 255))
    inside, outside = (geometry.resize_linear(_mean_color(part, _TINY), size_wh)[soft] for part in (subject, room))
    opacity = alpha[soft].astype(np.float32)[:, None] / np.float32(255)
    rest = rgb[soft] - opacity * inside - (1 - opacity) * outside
    colors[soft] = np.rint(np.clip(inside + opacity * rest, 0, 255)).astype(np.uint8)
    return colors


def _spread(colors: FloatArray, share: FloatArray, side: int) -> FloatArray:
    """Return the blurred sum of weighted colours, and of the weights, of one part, float32 [h, w, 4]."""
    # A cell with a tenth of the other part in it counts half, one with half of it next to nothing.
    weight = share[..., None] ** _PURITY
    stack = np.dstack([colors * weight, weight])
    for _ in range(2):
        stack = cv2.blur(stack, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(stack, np.float32)


def _mean_color(stack: FloatArray, least: float) -> UInt8Array:
    """Return the mean colour nearby, uint8 [h, w, 3]; it fades to black where the part has less weight than `least`."""
    return np.asarray(np.rint(stack[..., :3] / np.maximum(stack[..., 3:], least)), np.uint8)
