"""Pictures, masks and frames for the tests of the compositor."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from rtseg import color
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.render.effects import Effect
from rtseg.render.palette import CITYSCAPES_CLASSES, PERSON_CLASSES, default_palette
from rtseg.types import Frame, Segmentation, Yuv420


def colorful(size_wh, *, seed=0):
    """A soft, colourful picture with some texture, rgb uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    rgb = cv2.resize(rng.uniform(20, 235, (4, 6, 3)).astype(np.float32), size_wh, interpolation=cv2.INTER_CUBIC)
    return np.clip(rgb + rng.normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)


def as_yuv(rgb, *, matrix="bt601", full_range=False):
    return color.to_yuv420(rgb, matrix=matrix, full_range=full_range)


def street_result(size_wh, *, network_wh=(64, 32)):
    """Road below, sky above, houses, and a car: hard labels."""
    width, height = network_wh
    labels = np.full((height, width), 10, np.uint8)
    labels[height // 3 :] = 2
    cv2.fillPoly(labels, [np.array([[0, height], [width // 2, height // 2], [width, height]])], 0)
    cv2.circle(labels, (width // 4, height * 2 // 3), height // 6, 13, -1)
    return Segmentation(CITYSCAPES_CLASSES, size_wh, network_labels=labels)


def person_result(size_wh, *, network_wh=(48, 48)):
    """A head and shoulders: a soft matte."""
    width, height = network_wh
    matte = np.zeros((height * 4, width * 4), np.uint8)
    cv2.circle(matte, (width * 2, height * 3 // 2), height * 2 // 3, 255, -1)
    cv2.ellipse(matte, (width * 2, height * 4), (width * 5 // 4, height * 2), 0, 0, 360, 255, -1)
    alpha = cv2.resize(matte, network_wh, interpolation=cv2.INTER_AREA)
    return Segmentation(PERSON_CLASSES, size_wh, network_alpha=alpha)


def frame_of(picture, *, seconds=0.0):
    return Frame(picture, 0, round(seconds * 1000), Fraction(1, 1000), 0)


def composite(effects, picture, result, *, hud=None, seconds=0.0):
    effects = [effects] if isinstance(effects, Effect) else effects
    with CpuCompositor(effects, classes=result.classes, palette=default_palette(result.classes)) as compositor:
        return compositor.composite(frame_of(picture, seconds=seconds), result, hud=hud)


def planes_of(picture):
    if isinstance(picture, Yuv420):
        return [picture.y, picture.u, picture.v]
    return [picture[..., index] for index in range(picture.shape[2])]


def worst_difference(picture, other):
    pairs = zip(planes_of(picture), planes_of(other), strict=True)
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)
