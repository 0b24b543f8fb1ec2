"""People cut out of one picture and set before another, without the rim of the old background, in the new one's light.

Note [Soft rims]
    Near its edge a cut-out still shows the background that it was taken from, and a mask drawn by hand includes a
    little of it. The mask is therefore drawn in a little, and the colours of the rim are taken from the inside of the
    subject. The target of the result is the very weight with which it was laid over the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.train.blending import BANK_PX, lit, mixed, noise_bank, piece
from rtseg.train.pictures import LabelledPicture
from rtseg.train.warping import AffineMap, view, warp_smooth
from rtseg.types import FloatArray, UInt8Array

SMALLEST_SUBJECT: Final = 0.01
"""Share of its picture that somebody must cover to be worth cutting out."""
BORDER_PX: Final = 3
"""A subject this near to the border of its picture is taken to go on behind it."""
RIM_PX: Final = 9
"""Side of the window from which the colours of a rim are taken."""
SOLID: Final = 250
"""Matte above which a pixel is nothing but subject."""
GAIN_BOUNDS: Final = (0.55, 1.7)
ASPECTS: Final = (9 / 16, 3 / 4, 1.0, 4 / 3)
"""Height / width of the pictures that are squeezed into a square sample."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a subject is in its picture, and at which borders it is cut off."""

    left: int
    top: int
    width: int
    height: int
    cut_left: bool
    cut_top: bool
    cut_right: bool
    cut_bottom: bool


def subject_box(matte: UInt8Array) -> Box | None:
    """Return the box of the subject of a matte uint8 [H, W]; None where it is too small."""
    height, width = matte.shape
    solid = cv2.threshold(matte, 127, 255, cv2.THRESH_BINARY)[1]
    if cv2.countNonZero(solid) < SMALLEST_SUBJECT * matte.size:
        return None
    left, top, wide, high = (int(v) for v in cv2.boundingRect(solid))
    return Box(
        left, top, wide, high, left <= BORDER_PX, top <= BORDER_PX, left + wide >= width - BORDER_PX,
        top + high >= height - BORDER_PX,
    )  # fmt: skip


def random_place(box: Box, share: float, out_wh: tuple[int, int], rng: np.random.Generator) -> AffineMap:
    """Return the matrix that shows a subject somewhere in the sample, from output pixels to its picture's.

    Where the subject's own picture cuts it off, the sample's border does so too: no straight cut is ever seen.

    Args:
        box: the subject.
        share: its height against the sample's.
        out_wh: size of the sample.
        rng: the sample's generator.
    """
    tall = share * out_wh[1]
    aspect = ASPECTS[rng.integers(len(ASPECTS))] * np.exp(rng.normal(0, 0.08))
    wide = box.width * tall / box.height * aspect * out_wh[0] / out_wh[1]
    if box.cut_left and box.cut_right:
        tall, wide = tall * max(1.0, 1.02 * out_wh[0] / wide), max(wide, 1.02 * out_wh[0])
    if box.cut_top and box.cut_bottom:
        tall, wide = max(tall, 1.02 * out_wh[1]), wide * max(1.0, 1.02 * out_wh[1] / tall)
    flip = rng.random() < 0.5
    sides = (box.cut_right, box.cut_left) if flip else (box.cut_left, box.cut_right)
    left = _along(wide, out_wh[0], *sides, rng)
    lowest = rng.uniform(0.75, 1.25) * out_wh[1] - tall
    top = _along(tall, out_wh[1], box.cut_top, box.cut_bottom, rng, free=lowest)
    scale = np.array([box.width / wide, box.height / tall])
    middle_out = np.array([left + wide / 2, top + tall / 2])
    offset = (np.array(out_wh) / 2 - middle_out) * scale * ((-1 if flip else 1), 1)
    centre = np.array([box.left + box.width / 2, box.top + box.height / 2]) + offset
    return view(centre, scale * out_wh, out_wh, flip=bool(flip))


def _along(
    length: float, room: int, cut_first: bool, cut_last: bool, rng: np.random.Generator, free: float | None = None
) -> float:
    """Return where a subject of a length begins along one axis, such that its cuts are not seen."""
    if cut_first and cut_last:
        return float(rng.uniform(room - length, 0))
    if cut_first:
        return float(-rng.uniform(0, 0.25) * length)
    if cut_last:
        return float(room - length * rng.uniform(0.7, 1.0))
    # A third of the length at most is out of sight, so that somebody is left to be seen.
    lowest, highest = -length / 3, room - length * 2 / 3
    return float(np.clip(rng.uniform(lowest, highest) if free is None else free, lowest, highest))


def placed(
    person: LabelledPicture,
    before: LabelledPicture,
    rng: np.random.Generator,
    *,
    light_matching: float = 0.5,
    behind: bool = False,
) -> LabelledPicture:
    """Return a sample with one more person in it.

    Args:
        person: a picture and its matte; where nobody is large enough in it, the sample stays as it is.
        before: the sample, whose size is kept.
        rng: the sample's generator.
        light_matching: how far the person's light is drawn to the sample's, 0..1.
        behind: the person is smaller, and whoever is in the sample already covers them; else they cover those.
    """
    box = subject_box(person.target)
    if box is None or (behind and box.cut_left and box.cut_right):
        return before
    share = (rng.uniform(0.25, 0.7) if behind else rng.uniform(0.5, 1.25)) * (0.7 if box.cut_bottom else 1.0)
    out_wh = (before.target.shape[1], before.target.shape[0])
    matrix = random_place(box, share, out_wh, rng)
    seen = warp_smooth(person.rgb, matrix, out_wh)
    matte = warp_smooth(person.target, matrix, out_wh, outside=0)
    weight = drawn_in(matte, rng)
    seen = clean_rim(seen, np.asarray(cv2.min(matte, weight), np.uint8))
    if behind:
        weight = np.asarray(cv2.multiply(weight, cv2.bitwise_not(before.target), scale=1 / 255), np.uint8)
    seen = relit(seen, weight, before.rgb, light_matching * rng.uniform(0.4, 1.6))
    # The shadow of somebody behind falls on nobody in front, and finding out where it does is not worth the time.
    below = shaded(before.rgb, weight, rng) if not behind and rng.random() < 0.4 else before.rgb
    target = cv2.add(weight, cv2.multiply(before.target, cv2.bitwise_not(weight), scale=1 / 255))
    return LabelledPicture(
        mixed(below, seen, weight), np.asarray(target, np.uint8), _unknown(person, before, weight, matrix)
    )


def _unknown(
    person: LabelledPicture, before: LabelledPicture, weight: UInt8Array, matrix: AffineMap
) -> npt.NDArray[np.bool_] | None:
    """Return what is unknown of the composition, bool [H, W]: of the sample where it shows, of the person elsewhere."""
    if person.ignored is None and before.ignored is None:
        return None
    found = np.zeros(weight.shape, np.bool_)
    if before.ignored is not None:
        found |= before.ignored & (weight < SOLID)
    if person.ignored is not None:
        open_pixels = person.ignored.astype(np.uint8) * 255
        found |= warp_smooth(open_pixels, matrix, (weight.shape[1], weight.shape[0]), outside=0) > 0
    return found


def drawn_in(matte: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Return a matte with a soft rim that lies a little inside the old one; see Note [Soft rims]."""
    soft = cv2.GaussianBlur(matte, (0, 0), rng.uniform(0.7, 1.1))
    lowest, highest = rng.uniform(70, 120), rng.uniform(225, 245)
    curve = np.clip((np.arange(256) - lowest) * 255 / (highest - lowest), 0, 255)
    return np.asarray(cv2.LUT(soft, curve.astype(np.uint8)), np.uint8)


def clean_rim(rgb: UInt8Array, matte: UInt8Array) -> UInt8Array:
    """Return a picture whose colours outside the solid part of a matte come from the solid part nearby."""
    solid = cv2.threshold(matte, SOLID, 1.0, cv2.THRESH_BINARY)[1]
    inner = np.asarray(cv2.erode(solid, np.ones((3, 3), np.uint8)), np.uint8)
    window = (RIM_PX, RIM_PX)
    amount = cv2.blur(inner.astype(np.float32), window)
    known = (amount > 0.02) & (inner == 0)
    if not known.any():
        return rgb
    colours = cv2.blur(cv2.bitwise_and(rgb, rgb, mask=inner).astype(np.float32), window)
    found = rgb.copy()
    found[known] = colours[known] / amount[known][:, None]
    return found


def relit(rgb: UInt8Array, matte: UInt8Array, scene: UInt8Array, amount: float) -> UInt8Array:
    """Return a person whose light is drawn towards the scene's: its colour by `amount`, its brightness by half of it.

    The gains are applied to the encoded values, which is a gain in linear light too, for a power law.
    """
    solid = cv2.threshold(matte, 127, 255, cv2.THRESH_BINARY)[1]
    own = np.maximum(np.array(cv2.mean(rgb, mask=solid)[:3]), 8)
    around = np.maximum(np.array(cv2.mean(scene)[:3]), 8)
    ratio = around / own
    brightness = float(np.exp(np.log(ratio).mean()))
    strength = min(1.0, amount)
    gains = np.clip(brightness ** (strength / 2) * (ratio / brightness) ** strength, *GAIN_BOUNDS)
    curve = np.clip(np.arange(256)[:, None] * gains, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, np.ascontiguousarray(curve[None])), np.uint8)


def shaded(rgb: UInt8Array, matte: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Return a background with the soft shadow of whoever stands before it."""
    small = cv2.resize(matte, (max(1, matte.shape[1] // 8), max(1, matte.shape[0] // 8)), interpolation=cv2.INTER_AREA)
    shift = np.array([[1, 0, rng.uniform(-4, 4)], [0, 1, rng.uniform(-1, 3)]])
    moved = cv2.warpAffine(small, shift, (small.shape[1], small.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    soft = np.asarray(cv2.GaussianBlur(moved, (0, 0), rng.uniform(1.0, 3.0)), np.float32) / 255
    return lit(rgb, np.asarray(1 - soft * np.float32(rng.uniform(0.1, 0.45)), np.float32))


def plain_wall(size_wh: tuple[int, int], rng: np.random.Generator) -> UInt8Array:
    """Return a background of nothing but a wall and its light, uint8 [H, W, 3]."""
    base = rng.uniform(30, 230) + rng.normal(0, 14, 3)
    light: FloatArray = rng.uniform(0.65, 1.3, (3, 4, 1)).astype(np.float32)
    corners = np.clip(base * light, 0, 255).astype(np.uint8)
    wall = np.asarray(cv2.resize(corners, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)
    grain = rng.uniform(1, 4)
    small = (max(1, min(BANK_PX, round(size_wh[0] / grain))), max(1, min(BANK_PX, round(size_wh[1] / grain))))
    texture = cv2.resize(piece(noise_bank(), small, rng), size_wh, interpolation=cv2.INTER_LINEAR)
    amount = rng.uniform(0, 0.25)
    return np.asarray(cv2.addWeighted(wall, 1, texture, amount, -128 * amount), np.uint8)
