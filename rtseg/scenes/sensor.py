"""What a camera adds to a picture: tone curve, tint, darker corners, noise."""

from __future__ import annotations

import cv2
import numpy as np

from rtseg.scenes.canvas import Colour
from rtseg.types import UInt8Array

_TILE_PX = 320


class Sensor:
    """The lens and the chip of a camera. Applying it is deterministic in seed and time."""

    def __init__(
        self,
        random: np.random.Generator,
        size_wh: tuple[int, int],
        seed: int,
        *,
        tint: Colour,
        vignette: float = 0.1,
        noise: int = 7,
        gamma: float = 1.0,
    ) -> None:
        """Prepare tables for one picture size.

        Args:
            random: where the noise comes from.
            size_wh: width and height of the pictures.
            seed: of the scene.
            tint: what white turns into.
            vignette: how much light the corners lose, 0..1.
            noise: number of grey levels that the noise spreads over, odd.
            gamma: above 1 is darker.
        """
        self._seed = seed
        self._curve = None if gamma == 1.0 else _tone_curve(gamma)
        self._lens = _lens(size_wh, tint, vignette)
        side = 2 * _TILE_PX
        self._bias = np.array((noise // 2,) * 3 + (0,), np.float64)
        parts = random.integers(0, noise // 2 + 1, (2, side, side, 3), np.uint8)
        self._noise: UInt8Array = parts[0] + parts[1]

    def expose(self, rgb: UInt8Array, time_seconds: float) -> None:
        """Apply curve, lens and noise to a picture, rgb uint8 [H, W, 3], in place."""
        if self._curve is not None:
            cv2.LUT(rgb, self._curve, dst=rgb)
        cv2.multiply(rgb, self._lens, dst=rgb, scale=1 / 255)
        random = np.random.default_rng((self._seed, int(time_seconds * 1e6)))
        height, width = rgb.shape[:2]
        cv2.subtract(rgb, self._bias, dst=rgb)
        for top in range(0, height, _TILE_PX):
            for left in range(0, width, _TILE_PX):
                y, x = (int(value) for value in random.integers(0, _TILE_PX, 2))
                region = rgb[top : top + _TILE_PX, left : left + _TILE_PX]
                cv2.add(region, self._noise[y : y + region.shape[0], x : x + region.shape[1]], dst=region)


def _tone_curve(gamma: float) -> UInt8Array:
    """Return a table of 256 brightnesses, uint8 [1, 256]."""
    return np.asarray(255 * (np.arange(256) / 255.0) ** gamma + 0.5, dtype=np.uint8)[None]


def _lens(size_wh: tuple[int, int], tint: Colour, vignette: float) -> UInt8Array:
    """Return what the lens lets through, 255 is all, rgb uint8 [H, W, 3]."""
    width, height = size_wh
    x = ((np.arange(width) + 0.5) / width * 2 - 1).astype(np.float32)
    y = ((np.arange(height) + 0.5) / height * 2 - 1).astype(np.float32)
    fall = 1 - np.float32(vignette) * (x[None, :] ** 2 + y[:, None] ** 2) ** np.float32(1.5) / np.float32(2.83)
    return np.asarray(fall[..., None] * np.array(tint, np.float32), dtype=np.uint8)
