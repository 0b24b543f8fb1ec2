"""Edge refinement of a matte with the picture's own luma.

Note [Edges from the picture]
    A network's matte is a few times coarser than the frame. Where the subject's border is also an edge in the luma, the
    matte is, in a small window, nearly a linear function of the luma: alpha = a * luma + b. The two coefficients are
    fitted at network size and applied to the full-size luma, which brings the border back at full sharpness. How well
    the line fits says how much to trust it: where it does not (no contrast, a busy background), the matte itself is
    scaled up instead, and nothing is made up.
    Source: K. He, J. Sun, Fast Guided Filter, 2015, arXiv 1505.00996; the trust in the fit is ours.

Note [Only where the border is]
    The border covers a few percent of a picture. Lines are fitted in the box round it, and drawn on the frame only in
    the spans of rtseg/postprocess/spans.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from rtseg import geometry
from rtseg.errors import ConfigError
from rtseg.recycling import Scratch
from rtseg.types import FloatArray, UInt8Array

RADIUS_PX: Final[int] = 4
"""Radius of the window of the fit, in pixels of the matte."""
NOISE_LEVELS: Final[float] = 6.0
"""Luma contrast, in levels, below which an edge is not believed."""
CRISPNESS: Final[float] = 1.25
"""How much steeper than the fit, or than the matte, the border is drawn."""
EDGE_LEVELS: Final[int] = 24
"""How much a matte must differ among neighbours to have a border there."""
TRUST_FROM: Final = np.float32(0.35)
"""Share of the matte's variance that a fit must explain to be trusted at all."""
TRUST_RISE: Final = np.float32(1 / (0.75 - 0.35))
"""How fast the trust grows from there: a fit that explains three quarters is trusted fully."""
_NOISE_VARIANCE: Final = np.float32(NOISE_LEVELS**2)
_STEEP: Final = np.float32(CRISPNESS)
_PIVOT: Final = np.float32(127.5)
_ONE: Final = np.float32(1)
_KERNEL: Final = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class _Line:
    """alpha = gain * luma + offset in every window: alpha 0..255, luma 0..255, trust 0..1; float32 [h, w]."""

    gain: FloatArray
    offset: FloatArray
    trust: FloatArray


@dataclass(frozen=True)
class Coefficients:
    """What turns the luma of the frame into its matte: alpha = gain * luma + offset, at network size.

    Lifetime: until the next `fit` of the same `EdgeFit`.
    """

    gain: FloatArray
    """Levels of alpha a level of luma, float32 [h, w]; 0 away from the border."""
    offset: FloatArray
    """Levels of alpha, float32 [h, w]; the matte itself away from the border."""
    border: UInt8Array
    """Where the matte has a border, uint8 [h, w]: 255 on it, fading to 0 a few pixels away."""


class EdgeFit:
    """Fits mattes to lumas; its planes are used again from frame to frame. Threading: one thread at a time."""

    def __init__(self, radius_px: int = RADIUS_PX) -> None:
        """Set the radius of the window of the fit, in pixels of the matte."""
        self._radius_px = radius_px
        self._window = (2 * radius_px + 1, 2 * radius_px + 1)
        self._narrow = (2 * (radius_px // 2) + 1, 2 * (radius_px // 2) + 1)
        self._scratch = Scratch()

    def fit(self, alpha: UInt8Array, luma: UInt8Array) -> Coefficients | None:
        """Return the coefficients for a matte and the luma at its size, uint8 [h, w] each; None without a border."""
        border = self._border(alpha)
        x, y, width, height = cv2.boundingRect(border)
        if width == 0:
            return None
        reach = self._radius_px
        box = slice(max(0, y - reach), y + height + reach), slice(max(0, x - reach), x + width + reach)
        gain, offset = (self._scratch.get(name, alpha.shape, np.float32) for name in ("gain", "offset"))
        gain.fill(0)
        np.copyto(offset, alpha)
        line = self._line(alpha[box], luma[box])
        self._mix(line, offset[box], border[box], gain[box])
        return Coefficients(gain, offset, border)

    def _border(self, alpha: UInt8Array) -> UInt8Array:
        steep = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, _KERNEL)
        _, marked = cv2.threshold(steep, EDGE_LEVELS, 255, cv2.THRESH_BINARY, dst=steep)
        # Fading out: a line on the wall that touches the subject must not grow out of it like a whisker.
        faded = cv2.blur(marked, self._narrow, dst=marked)
        return np.asarray(cv2.add(faded, faded, dst=faded), np.uint8)

    def _line(self, alpha: UInt8Array, luma: UInt8Array) -> _Line:
        """Fit a line to every window of the matte over the luma."""
        product = self._plane("product", alpha)
        cv2.multiply(alpha, luma, dst=product, dtype=cv2.CV_32F)
        mean_alpha, mean_luma, covariance = (
            self._means(name, plane) for name, plane in (("alpha", alpha), ("luma", luma), ("product mean", product))
        )
        luma_variance = self._square_means("luma square", luma)
        alpha_variance = self._square_means("alpha square", alpha)
        covariance -= np.multiply(mean_alpha, mean_luma, out=product)
        luma_variance -= np.multiply(mean_luma, mean_luma, out=product)
        alpha_variance -= np.multiply(mean_alpha, mean_alpha, out=product)
        luma_variance += _NOISE_VARIANCE
        alpha_variance += _ONE
        gain = np.divide(covariance, luma_variance, out=luma_variance)
        explained = np.multiply(gain, covariance, out=covariance)
        explained /= alpha_variance
        explained -= TRUST_FROM
        explained *= TRUST_RISE
        mean_alpha -= np.multiply(gain, mean_luma, out=product)
        return _Line(gain, mean_alpha, np.clip(explained, 0.0, 1.0, out=explained))

    def _mix(self, line: _Line, offset: FloatArray, border: UInt8Array, gain: FloatArray) -> None:
        """Put gain and offset in place, float32 [h, w] each: of the line as far as it is trusted, and of the matte.

        `offset` is the matte, and is overwritten.
        """
        near = np.multiply(border, np.float32(1 / 255), out=self._plane("near", border))
        trust = line.trust
        trust *= near
        for plane in (line.gain, line.offset):
            plane *= trust
        for plane in (line.gain, line.offset, trust):
            cv2.blur(plane, self._narrow, dst=plane)
            plane *= near
        np.multiply(line.gain, _STEEP, out=gain)
        # The matte, steeper round one half: offset + near * (steep - 1) * (offset - pivot) ...
        near *= _STEEP - _ONE
        rest = np.subtract(offset, _PIVOT, out=self._plane("rest", border))
        rest *= near
        offset += rest
        # ... and, as far as it is trusted, the line, as steep, in its stead.
        np.subtract(_PIVOT - _PIVOT * _STEEP, offset, out=rest)
        rest *= trust
        offset += rest
        offset += np.multiply(line.offset, _STEEP, out=rest)

    def _means(self, name: str, plane: UInt8Array | FloatArray) -> FloatArray:
        """Return the mean over the window of every pixel, float32 [h, w]."""
        means = self._plane(name, plane)
        cv2.boxFilter(plane, cv2.CV_32F, self._window, dst=means)
        return means

    def _square_means(self, name: str, plane: UInt8Array) -> FloatArray:
        """Return the mean of the squares over the window of every pixel, float32 [h, w]."""
        means = self._plane(name, plane)
        cv2.sqrBoxFilter(plane, cv2.CV_32F, self._window, dst=means)
        return means

    def _plane(self, name: str, like: UInt8Array | FloatArray) -> FloatArray:
        """Return a float32 plane of a size to work in."""
        return self._scratch.get(name, like.shape, np.float32)


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
    check_luma(alpha, luma_small, luma_full)
    size_wh = (luma_full.shape[1], luma_full.shape[0])
    found = EdgeFit(radius_px).fit(alpha, luma_small)
    if found is None:
        return geometry.resize_linear(alpha, size_wh)
    gain, offset = (geometry.resize_linear(plane, size_wh) for plane in (found.gain, found.offset))
    return drawn(luma_full, gain, offset)


def drawn(luma: UInt8Array, gain: FloatArray, offset: FloatArray) -> UInt8Array:
    """Return gain * luma + offset, rounded, uint8 [h, w], of three planes of one size."""
    lifted = cv2.multiply(luma, gain, dtype=cv2.CV_32F)
    return np.asarray(cv2.add(lifted, offset, dtype=cv2.CV_8U), np.uint8)


def check_luma(alpha: UInt8Array, luma_small: UInt8Array, luma_full: UInt8Array) -> None:
    """Raise ConfigError where the small luma has another size than the matte, or the large one is no plane."""
    if alpha.shape != luma_small.shape or luma_full.ndim != 2:
        raise ConfigError(
            f"edge refinement: got a matte {alpha.shape}, luma {luma_small.shape} and {luma_full.shape}; expected "
            "the first two of one size. Scale the luma to the size of the matte."
        )
