"""Edge refinement of a matte with the picture's own luma.

Note [Edges from the picture]
    A network's matte is a few times coarser than the frame. Where the subject's border is also an edge in the luma, the
    matte is, in a small window, nearly a linear function of the luma: alpha = a * luma + b. The two coefficients are
    fitted at network size and applied to the full-size luma, which brings the border back at full sharpness. How well
    the line fits says how much to trust it: where it does not (no contrast, a busy background), the matte itself is
    scaled up instead, and nothing is made up.
    Source: K. He, J. Sun, Fast Guided Filter, 2015, arXiv 1505.00996; the trust in the fit is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rtseg import geometry
from rtseg.errors import ConfigError
from rtseg.types import FloatArray, UInt8Array

RADIUS_PX: Final[int] = 4
"""Radius of the window of the fit, in pixels of the matte."""
NOISE_LEVELS: Final[float] = 6.0
"""Luma contrast, in levels, below which an edge is not believed."""
CRISPNESS: Final[float] = 1.25
"""How much steeper than the fit, or than the matte, the border is drawn."""
_EDGE_LEVELS: Final[int] = 24
_TRUST_FROM: Final[float] = 0.35
_TRUST_FULL: Final[float] = 0.75


@dataclass(frozen=True)
class _Line:
    """alpha = gain * luma + offset in every window: alpha 0..255, luma 0..255, trust 0..1; float32 [h, w]."""

    gain: FloatArray
    offset: FloatArray
    trust: FloatArray


def refine_alpha(
    alpha: UInt8Array, luma_small: UInt8Array, luma_full: UInt8Array, *, radius_px: int = RADIUS_PX
) -> UInt8Array:
    """Return the matte at frame size with its border on the picture's edges, uint8 [H, W].

    Args:
        alpha: matte at network size, uint8 [h, w].
        luma_small: luma of the frame at the same size, uint8 [h, w].
        luma_full: luma of the frame, uint8 [H, W].
        radius_px: radius of the window of the fit, in pixels of the matte.

    Raises:
        ConfigError: matte and small luma of different sizes.
    """
    if alpha.shape != luma_small.shape or luma_full.ndim != 2:
        raise ConfigError(
            f"edge refinement: got a matte {alpha.shape}, luma {luma_small.shape} and {luma_full.shape}; expected "
            "the first two of one size. Scale the luma to the size of the matte."
        )
    size_wh = (luma_full.shape[1], luma_full.shape[0])
    border = _border(alpha, radius_px)
    if not border.any():
        return geometry.resize_linear(alpha, size_wh)
    line = _fit(alpha.astype(np.float32), luma_small.astype(np.float32), radius_px)
    gain, offset = _coefficients(line, alpha, border, radius_px)
    wide = geometry.resize_linear(gain, size_wh)
    lifted = cv2.multiply(luma_full, wide, dtype=cv2.CV_32F)
    return np.asarray(cv2.add(lifted, geometry.resize_linear(offset, size_wh), dtype=cv2.CV_8U), np.uint8)


def _border(alpha: UInt8Array, radius_px: int) -> FloatArray:
    """Return where the matte has a border, float32 [h, w]: 1 on it, fading to 0 a few pixels away."""
    kernel = np.ones((3, 3), np.uint8)
    steep = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, kernel)
    marked = (steep > _EDGE_LEVELS).astype(np.float32)
    side = 2 * (radius_px // 2) + 1
    # Fading out: a line on the wall that touches the subject must not grow out of it like a whisker.
    return np.asarray(np.minimum(2 * cv2.blur(marked, (side, side)), 1), np.float32)


def _fit(alpha: FloatArray, luma: FloatArray, radius_px: int) -> _Line:
    """Fit a line to every window of the matte over the luma."""
    side = 2 * radius_px + 1
    stack = np.dstack([alpha, luma, luma * luma, alpha * luma])
    products = cv2.boxFilter(stack, -1, (side, side))
    mean_alpha, mean_luma, mean_square, mean_product = cv2.split(products)
    luma_variance = mean_square - mean_luma * mean_luma
    alpha_variance = cv2.blur(alpha * alpha, (side, side)) - mean_alpha * mean_alpha
    covariance = mean_product - mean_alpha * mean_luma
    gain = covariance / (luma_variance + np.float32(NOISE_LEVELS**2))
    explained = gain * covariance / (alpha_variance + np.float32(1))
    trust = np.clip((explained - np.float32(_TRUST_FROM)) / np.float32(_TRUST_FULL - _TRUST_FROM), 0.0, 1.0)
    offset = np.asarray(mean_alpha - gain * mean_luma, np.float32)
    return _Line(np.asarray(gain, np.float32), offset, np.asarray(trust, np.float32))


def _coefficients(line: _Line, alpha: UInt8Array, border: FloatArray, radius_px: int) -> tuple[FloatArray, FloatArray]:
    """Return gain and offset of the luma, float32 [h, w] each; where the line is not trusted, the matte and no gain."""
    side = 2 * (radius_px // 2) + 1
    trust = line.trust * border
    stack = np.dstack([line.gain * trust, line.offset * trust, trust])
    gain, offset, share = cv2.split(cv2.blur(stack, (side, side)))
    share, gain, offset = share * border, gain * border, offset * border
    steep, pivot = np.float32(CRISPNESS), np.float32(127.5)
    fitted = offset * steep + share * (pivot - pivot * steep)
    plain = alpha + border * (steep - 1) * (alpha - pivot)
    return np.asarray(gain * steep, np.float32), np.asarray(fitted + (1 - share) * plain, np.float32)
