"""Colour and the faults of cheap cameras."""

from __future__ import annotations

import cv2
import numpy as np

from rtseg.train.augment import AugmentSettings
from rtseg.train.blending import curved, levels, noisy
from rtseg.types import FloatArray, UInt8Array


def faulty(rgb: UInt8Array, settings: AugmentSettings, rng: np.random.Generator) -> UInt8Array:
    """Return a picture uint8 [H, W, 3] with some of the faults that the settings allow."""
    if rng.random() < settings.grey_share:
        rgb = np.asarray(cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    if rng.random() < settings.webcam_share:
        return webcam(rgb, rng)
    if rng.random() < settings.blur_share:
        rgb = blurred(rgb, rng)
    if rng.random() < settings.low_resolution_share:
        rgb = coarser(rgb, rng.uniform(0.4, 0.9))
    if rng.random() < settings.noise_share:
        rgb = noisy(rgb, rng.uniform(2, 14), rng)
    if rng.random() < settings.compression_share:
        rgb = compressed(rgb, int(rng.integers(25, 85)))
    return rgb


def recoloured(rgb: UInt8Array, rng: np.random.Generator, strength: float = 1.0) -> UInt8Array:
    """Return a picture with another exposure, contrast, gamma, white balance and saturation."""
    gamma = np.exp(rng.normal(0, 0.25 * strength))
    gain = np.exp(rng.normal(0, 0.2 * strength)) * np.exp(rng.normal(0, 0.06 * strength, 3))
    contrast = np.exp(rng.normal(0, 0.15 * strength))
    curve = ((levels() ** gamma) * gain - 0.5) * contrast + 0.5 + rng.normal(0, 0.05 * strength)
    changed = curved(rgb, curve.astype(np.float32))
    if rng.random() < 0.5:
        changed = saturated(changed, float(np.clip(np.exp(rng.normal(0, 0.35 * strength)), 0.2, 1.7)))
    return changed


def saturated(rgb: UInt8Array, saturation: float) -> UInt8Array:
    """Return a picture with its colours faded (below 1) or strengthened."""
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(rgb, saturation, grey, 1 - saturation, 0), np.uint8)


def blurred(rgb: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Return a picture out of focus, or moved while it was taken."""
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.3, 1.4)), np.uint8)
    return np.asarray(cv2.filter2D(rgb, -1, motion_kernel(int(rng.integers(2, 7)), rng.uniform(0, np.pi))), np.uint8)


def motion_kernel(length_px: int, angle: float) -> FloatArray:
    """Return the kernel of a straight motion, float32 [K, K], summing to 1; an angle of 0 is along x, in radians."""
    along = np.linspace(-length_px / 2, length_px / 2, 4 * length_px + 1)
    x, y = length_px + np.cos(angle) * along, length_px + np.sin(angle) * along
    kernel = np.zeros((2 * length_px + 1,) * 2, np.float32)
    for column, row in ((0, 0), (1, 0), (0, 1), (1, 1)):
        left, top = np.floor(x).astype(int) + column, np.floor(y).astype(int) + row
        np.add.at(kernel, (top, left), (1 - np.abs(x - left)) * (1 - np.abs(y - top)))
    return np.asarray(kernel / kernel.sum(), np.float32)


def coarser(rgb: UInt8Array, share: float) -> UInt8Array:
    """Return a picture that had only a share of its width and height once."""
    height, width = rgb.shape[:2]
    small_wh = (max(1, int(width * share)), max(1, int(height * share)))
    small = cv2.resize(rgb, small_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def compressed(rgb: UInt8Array, quality: int) -> UInt8Array:
    """Return a picture as JPEG gives it back, quality 0..100."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def webcam(rgb: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Return a picture as a webcam in poor light sends it: coarse noise, smeared, sharpened, compressed."""
    rgb = coarser(rgb, rng.uniform(0.6, 0.95))
    rgb = noisy(rgb, rng.uniform(4, 12), rng, coarse=rng.uniform(1.2, 2.5))
    if rng.random() < 0.5:
        rgb = np.asarray(cv2.medianBlur(rgb, 3), np.uint8)
    if rng.random() < 0.7:
        amount = rng.uniform(0.4, 1.5)
        smooth = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.8, 1.5))
        rgb = np.asarray(cv2.addWeighted(rgb, 1 + amount, smooth, -amount, 0), np.uint8)
    return compressed(rgb, int(rng.integers(30, 80)))
