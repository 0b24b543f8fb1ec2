"""Random changes of a training picture: one warp for every geometric change, a table for colour, then camera faults."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class WarpRange:
    """How far the geometry may be changed.

    Attributes:
        smallest_crop: smallest share of the picture's width that is seen.
        stretch: standard deviation of the log of the aspect change.
        rotation_degrees: largest rotation either way.
        whole_share: share of the samples that show the whole picture unchanged, as the engine will.
        flip: whether to mirror half of the samples.
    """

    smallest_crop: float = 0.45
    stretch: float = 0.15
    rotation_degrees: float = 4.0
    whole_share: float = 0.25
    flip: bool = True


def random_warp(
    size_wh: tuple[int, int], out_wh: tuple[int, int], ranges: WarpRange, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return a 2x3 matrix from output pixels to source pixels (half-pixel centres): crop, stretch, rotation, flip."""
    width, height = size_wh
    crop = np.array([1.0, 1.0])
    angle = 0.0
    if rng.random() >= ranges.whole_share:
        side = rng.uniform(ranges.smallest_crop, 1.0)
        crop = side * np.exp(np.array([0.5, -0.5]) * rng.normal(0, 2 * ranges.stretch))
        crop = np.clip(crop, ranges.smallest_crop, 1.1)
        angle = np.deg2rad(rng.uniform(-1, 1) * ranges.rotation_degrees)
    scale = crop * (width / out_wh[0], height / out_wh[1])
    room = np.maximum(0, 1 - crop) / 2 * (width, height)
    centre = np.array([width / 2, height / 2]) + rng.uniform(-1, 1, 2) * room
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag(scale)
    if ranges.flip and rng.random() < 0.5:
        linear[:, 0] *= -1
    offset = centre - linear @ (np.array(out_wh) / 2)
    # Half-pixel centres: output pixel i sits at i + 0.5, and a source coordinate c is pixel c - 0.5.
    return np.concatenate([linear, (offset + linear @ [0.5, 0.5] - 0.5)[:, None]], axis=1)


def warp(
    rgb: Rgb, labels: Plane, matrix: npt.NDArray[np.float64], out_wh: tuple[int, int], outside: int, soft: bool
) -> tuple[Rgb, Plane]:
    """Return picture and labels moved by `matrix`; labels outside the picture become `outside`.

    Args:
        rgb: uint8 [H, W, 3].
        labels: uint8 [H, W], ids or a matte.
        matrix: 2x3, from output pixels to source pixels.
        out_wh: size of the result.
        outside: label of what lies outside the picture.
        soft: True interpolates the labels (a matte in 0..255), False takes the nearest id.
    """
    flags = cv2.WARP_INVERSE_MAP
    if abs(np.linalg.det(matrix[:, :2])) > 2.5:
        rgb, labels, matrix = _halved(rgb, labels, matrix, soft)
    seen = cv2.warpAffine(rgb, matrix, out_wh, flags=flags | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    how = cv2.INTER_LINEAR if soft else cv2.INTER_NEAREST
    moved = cv2.warpAffine(
        labels, matrix, out_wh, flags=flags | how, borderMode=cv2.BORDER_CONSTANT, borderValue=(outside,)
    )
    return seen, moved


def _halved(
    rgb: Rgb, labels: Plane, matrix: npt.NDArray[np.float64], soft: bool
) -> tuple[Rgb, Plane, npt.NDArray[np.float64]]:
    height, width = labels.shape
    half = (width // 2, height // 2)
    rgb = cv2.resize(rgb, half, interpolation=cv2.INTER_AREA)
    how = cv2.INTER_AREA if soft else cv2.INTER_NEAREST_EXACT
    labels = cv2.resize(labels, half, interpolation=how)
    scale = np.array([half[0] / width, half[1] / height])
    matrix = matrix.copy()
    matrix[:, 2] = (matrix[:, 2] + 0.5) * scale - 0.5
    matrix[:, :2] *= scale[:, None]
    return rgb, labels, matrix


def change_colour(rgb: Rgb, rng: np.random.Generator, strength: float = 1.0) -> Rgb:
    """Return the picture with another exposure, contrast, gamma, white balance and saturation."""
    levels = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    gamma = np.exp(rng.normal(0, 0.25 * strength))
    gain = np.exp(rng.normal(0, 0.2 * strength)) * np.exp(rng.normal(0, 0.06 * strength, 3))
    contrast = np.exp(rng.normal(0, 0.15 * strength))
    curve = np.clip(((levels**gamma) * gain - 0.5) * contrast + 0.5 + rng.normal(0, 0.05 * strength), 0, 1)
    changed = cv2.LUT(rgb, (curve * 255).astype(np.uint8)[None])
    if rng.random() < 0.5:
        grey = cv2.cvtColor(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = 0.0 if rng.random() < 0.04 else float(np.clip(np.exp(rng.normal(0, 0.35 * strength)), 0.2, 1.7))
        changed = cv2.addWeighted(changed, keep, grey, 1 - keep, 0)
    return changed


def spoil(rgb: Rgb, rng: np.random.Generator, strength: float = 1.0) -> Rgb:
    """Return the picture with some of a cheap camera's faults: blur, low resolution, noise, compression."""
    if rng.random() < 0.2 * strength:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.3, 1.4))
    if rng.random() < 0.15 * strength:
        height, width = rgb.shape[:2]
        share = rng.uniform(0.4, 0.9)
        small = cv2.resize(rgb, (int(width * share), int(height * share)), interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25 * strength:
        noise = np.empty(rgb.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(1 << 30)))
        cv2.randn(noise, (0.0,) * 3, (float(rng.uniform(2, 14)),) * 3)
        rgb = cv2.add(rgb, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.25 * strength:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        rgb = cv2.imdecode(cv2.imencode(".jpg", rgb, quality)[1], cv2.IMREAD_UNCHANGED)
    return rgb
