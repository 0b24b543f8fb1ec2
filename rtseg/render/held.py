"""The mark on a frame that is shown again while its source is silent."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from rtseg import color
from rtseg.render.panels import Panel, even, text_width_px
from rtseg.types import Picture, UInt8Array, Yuv420, picture_size_wh

DIMMED: Final = 0.45
"""What is left of the brightness: an old picture must not be taken for a live one."""
LEAST_TEXT_PX: Final = 5.0
"""Height of a capital below which words cannot be read; smaller frames are dimmed only."""


def mark_held(picture: Picture, words: str = "reconnecting …") -> Picture:
    """Return a copy of a picture in its own format, dimmed, with words in the middle where there is room.

    Args:
        picture: as it was shown last, with effects.
        words: what to write.
    """
    pixels = color.to_rgb(picture)
    dimmed = np.asarray(cv2.convertScaleAbs(pixels, alpha=DIMMED), np.uint8)
    panel = _panel(words.replace("…", "..."), picture_size_wh(picture))  # OpenCV's letters are ASCII
    corner = (0, 0) if panel is None else _blend(dimmed, panel)
    if isinstance(picture, Yuv420):
        return color.to_yuv420(dimmed, matrix=picture.matrix, full_range=picture.full_range)
    if picture.shape[2] != 4:
        return dimmed
    alpha = picture[..., 3].copy()
    if panel is not None:
        y, x = corner
        part = alpha[y : y + panel.alpha.shape[0], x : x + panel.alpha.shape[1]]
        np.maximum(part, panel.alpha, out=part)
    return np.dstack([dimmed, alpha])


def _panel(words: str, size_wh: tuple[int, int]) -> Panel | None:
    """Return the panel, as large as reads well and fits; None where nothing fits."""
    width, height = size_wh
    size_px = min(height / 18, 24.0)
    size_px = min(size_px, size_px * 0.8 * width / (text_width_px(words, size_px) + 4 * size_px))
    if size_px < LEAST_TEXT_PX:
        return None
    panel = Panel(even(text_width_px(words, size_px) + 3 * size_px), even(3 * size_px))
    panel.text(words, round(1.5 * size_px), panel.alpha.shape[0] // 2, size_px)
    return panel


def _blend(rgb: UInt8Array, panel: Panel) -> tuple[int, int]:
    """Draw a panel in the middle of rgb uint8 [H, W, 3], in place; return its top left corner as (y, x)."""
    height, width = panel.alpha.shape
    y, x = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    part = rgb[y : y + height, x : x + width]
    share = panel.alpha[..., None].astype(np.float32) / 255
    part[:] = np.rint(part + (panel.rgb - part.astype(np.float32)) * share)
    return y, x
