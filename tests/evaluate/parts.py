"""Labelled sets on which the fake backend's masks are known: its alpha is the red channel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE_WH = (256, 256)


def red_picture(red):
    """A picture whose red channel is given, so that the fake matte is it."""
    return np.dstack([red, np.full_like(red, 40), np.full_like(red, 90)])


def add_sample(root: Path, name: str, rgb, labels) -> None:
    for folder, pixels in (("images", rgb[..., ::-1]), ("labels", labels)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / folder / f"{name}.png"), pixels)


def person_set(root: Path, count=3, *, shift_px=0) -> Path:
    """Squares of red 255 on black; the true masks are `shift_px` to the right of them."""
    for index in range(count):
        red = np.zeros(SIZE_WH[::-1], np.uint8)
        red[64:192, 32 + 16 * index : 96 + 16 * index] = 255
        add_sample(root, f"s{index}", red_picture(red), np.roll(red // 255, shift_px, axis=1))
    return root
