"""Surfaces painted from a seed: noise, asphalt, paving, grass, foliage, sky and shop fronts."""

from __future__ import annotations

import cv2
import numpy as np

from rtseg.scenes.canvas import Colour
from rtseg.types import FloatArray, UInt8Array


def value_noise(random: np.random.Generator, size_wh: tuple[int, int], cells_wh: tuple[int, int]) -> FloatArray:
    """Return smooth noise, float32 [h, w], mean 0, about -1..1; it repeats seamlessly from edge to edge."""
    cells = random.uniform(-1, 1, (cells_wh[1], cells_wh[0])).astype(np.float32)
    width, height = size_wh
    x = (np.arange(width, dtype=np.float32) + 0.5) * (cells_wh[0] / width)
    y = (np.arange(height, dtype=np.float32) + 0.5) * (cells_wh[1] / height)
    padded = np.pad(cells, ((0, 2), (0, 2)), mode="wrap")
    map_x, map_y = np.meshgrid(x, y)
    return np.asarray(cv2.remap(padded, map_x, map_y, cv2.INTER_LINEAR), dtype=np.float32)


def fractal_noise(
    random: np.random.Generator, size_wh: tuple[int, int], cells_wh: tuple[int, int], octaves: int
) -> FloatArray:
    """Return several octaves of noise, each finer and half as strong, float32 [h, w], about -1..1."""
    total = np.zeros((size_wh[1], size_wh[0]), np.float32)
    strength = 0.5
    for octave in range(octaves):
        cells = (min(size_wh[0], cells_wh[0] << octave), min(size_wh[1], cells_wh[1] << octave))
        total += value_noise(random, size_wh, cells) * np.float32(strength)
        strength *= 0.55
    return total


def grain(random: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Return uncorrelated grain, float32 [h, w], mean 0, deviation 1."""
    return random.standard_normal(shape, dtype=np.float32)


def coloured(base: Colour, brightness: FloatArray) -> UInt8Array:
    """Return the base colour times 1 + brightness, rgb uint8 [h, w, 3]."""
    picture = np.multiply.outer(1 + brightness, np.array(base, np.float32))
    return np.clip(picture, 0, 255).astype(np.uint8)


def asphalt(random: np.random.Generator, size_wh: tuple[int, int], base: Colour) -> UInt8Array:
    """Return worn asphalt, rgb uint8 [h, w, 3]: grain, stains, patches of newer tar and cracks."""
    width, height = size_wh
    brightness = 0.07 * grain(random, (height, width)) + 0.14 * fractal_noise(random, size_wh, (4, 6), 4)
    for _ in range(int(random.integers(1, 4))):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        brightness[y : y + int(random.integers(20, 120)), x : x + int(random.integers(20, 90))] -= 0.12
    cracks = np.zeros((height, width), np.uint8)
    for _ in range(int(random.integers(2, 6))):
        steps = np.cumsum(random.normal(0, 6, (14, 2)) + np.array((random.uniform(-3, 3), 5)), axis=0)
        start = random.uniform(0, 1, 2) * (width, height)
        cv2.polylines(cracks, [(steps + start).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    return coloured(base, brightness - np.float32(0.3) * (cracks.astype(np.float32) / np.float32(255)))


def paving(random: np.random.Generator, size_wh: tuple[int, int], base: Colour, tile_px: int) -> UInt8Array:
    """Return paving slabs with joints, rgb uint8 [h, w, 3]."""
    width, height = size_wh
    rows, columns = -(-height // tile_px), -(-width // tile_px) + 1
    tiles = random.normal(0, 0.05, (rows, columns)).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width]
    row = y // tile_px
    shifted = x + (row % 2) * (tile_px // 2)
    brightness = tiles[row, shifted // tile_px] + 0.03 * grain(random, (height, width))
    joints = (shifted % tile_px == 0) | (y % tile_px == 0)
    brightness[joints] -= 0.22
    return coloured(base, brightness + 0.06 * fractal_noise(random, size_wh, (2, 6), 3))


def grass(random: np.random.Generator, size_wh: tuple[int, int], base: Colour) -> UInt8Array:
    """Return a lawn with patches, rgb uint8 [h, w, 3]."""
    width, height = size_wh
    brightness = 0.13 * grain(random, (height, width)) + 0.25 * fractal_noise(random, size_wh, (3, 8), 4)
    picture = coloured(base, brightness).astype(np.float32)
    dry = np.clip(fractal_noise(random, size_wh, (4, 7), 3) * 1.5, 0, 0.5)[..., None]
    straw = np.array((150, 140, 75), np.float32)
    return np.asarray(picture * (1 - dry) + straw * dry, dtype=np.uint8)


def foliage(
    random: np.random.Generator, size_wh: tuple[int, int], base: Colour, outline: FloatArray, leaf_px: float
) -> UInt8Array:
    """Return leaves inside an outline, rgba uint8 [h, w, 4]: dark below and inside, light towards the upper left.

    Args:
        random: where the leaves fall.
        size_wh: width and height in pixels.
        base: colour of leaves in half light.
        outline: ellipses that the tree is made of, float32 [N, 4]: centre x, centre y, radius x, radius y.
        leaf_px: radius of a tuft of leaves.
    """
    width, height = size_wh
    picture = np.zeros((height, width, 4), np.uint8)
    dark = (base[0] * 0.42, base[1] * 0.45, base[2] * 0.42, 255.0)
    for x, y, rx, ry in outline:
        cv2.ellipse(picture, ((float(x), float(y)), (2 * float(rx), 2 * float(ry)), 0.0), dark, -1, cv2.LINE_AA)
    order = random.permutation(len(outline) * 34) % len(outline)
    for step, index in enumerate(order):
        x, y, rx, ry = outline[index]
        angle, radius = random.uniform(0, 6.283), random.uniform(0, 1) ** 0.5
        px, py = x + rx * radius * np.cos(angle), y + ry * radius * np.sin(angle)
        light = 0.55 + 0.28 * (step / len(order)) - 0.2 * radius * np.sin(angle + 0.7) * -1
        light += -0.32 * np.sin(angle + 0.5) * radius + random.normal(0, 0.09)
        tone = (base[0] * light, base[1] * light, base[2] * light * 0.95, 255.0)
        spot = (round(px * 16), round(py * 16))
        cv2.circle(picture, spot, round(leaf_px * random.uniform(0.5, 1.2) * 16), tone, -1, cv2.LINE_AA, 4)
    speckle = 1 + 0.12 * grain(random, (height, width))
    picture[..., :3] = np.clip(picture[..., :3] * speckle[..., None], 0, 255)
    return picture


def sky(random: np.random.Generator, size_wh: tuple[int, int], top: Colour, low: Colour, clouds: float) -> UInt8Array:
    """Return a sky that repeats from left to right, rgb uint8 [h, w, 3]; clouds 0..1 is how much of it they cover."""
    height = size_wh[1]
    depth = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** np.float32(0.8)
    picture = np.array(top, np.float32) * (1 - depth) + np.array(low, np.float32) * depth
    noise = fractal_noise(random, size_wh, (5, 8), 6)
    cover = np.clip((noise - 0.55 + clouds * 1.1) * 2.2, 0, 1)[..., None]
    relief = np.clip(0.9 + 0.35 * (noise - np.roll(noise, -9, axis=0)), 0.7, 1.05)[..., None]
    white = (np.array(low, np.float32) * 0.35 + np.array((255, 255, 255), np.float32) * 0.65) * relief
    return np.asarray(np.clip(picture * (1 - 0.9 * cover) + white * 0.9 * cover, 0, 255), dtype=np.uint8)


def soft_disc(size_px: int, softness: float) -> UInt8Array:
    """Return a round shadow, uint8 [size, size], 255 in the middle, soft towards the rim; softness 0..1."""
    axis = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px * 2 - 1
    radius = np.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2)
    return np.asarray(255 * np.clip((1 - radius) / max(softness, 1e-3), 0, 1), dtype=np.uint8)


def soft_box(size_px: int, softness: float) -> UInt8Array:
    """Return a rectangular shadow with soft edges, uint8 [size, size]."""
    axis = 1 - np.abs((np.arange(size_px, dtype=np.float32) + 0.5) / size_px * 2 - 1)
    ramp = np.clip(axis / max(softness, 1e-3), 0, 1)
    smooth = ramp * ramp * (3 - 2 * ramp)
    return np.asarray(255 * smooth[:, None] * smooth[None, :], dtype=np.uint8)
