"""Mixing pictures in bytes, and banks of noise that are made once: what keeps a sample under a few milliseconds."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np

from rtseg.types import FloatArray, UInt8Array

BANK_PX: Final = 1024
"""Side of a bank; larger samples repeat it."""
NOISE_DEVIATION: Final = 32.0
"""Standard deviation of the noise in the bank, around 128."""


def three(plane: UInt8Array) -> UInt8Array:
    """Return a plane uint8 [H, W] as three equal ones [H, W, 3]."""
    return np.asarray(cv2.merge([plane, plane, plane]), np.uint8)


def mixed(below: UInt8Array, above: UInt8Array, weight: UInt8Array) -> UInt8Array:
    """Return `above` laid over `below`, both uint8 [H, W, 3], where the weight uint8 [H, W] is 255."""
    weights = three(weight)
    seen = cv2.multiply(above, weights, scale=1 / 255)
    return np.asarray(cv2.add(seen, cv2.multiply(below, cv2.bitwise_not(weights), scale=1 / 255)), np.uint8)


def lit(rgb: UInt8Array, light: FloatArray) -> UInt8Array:
    """Return a picture times a coarse light map.

    Args:
        rgb: uint8 [H, W, 3].
        light: float32 [h, w] or [h, w, 3], 0..2.
    """
    coarse = np.clip(light * 127.5, 0, 255).astype(np.uint8)
    full = np.asarray(cv2.resize(coarse, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.multiply(rgb, full if full.ndim == 3 else three(full), scale=1 / 127.5), np.uint8)


def screened(rgb: UInt8Array, glow: FloatArray) -> UInt8Array:
    """Return a picture with light laid over it as on a lens, where bright places get no brighter than white.

    Args:
        rgb: uint8 [H, W, 3].
        glow: coarse light float32 [h, w, 3], 0..1.
    """
    coarse = np.clip(glow * 255, 0, 255).astype(np.uint8)
    full = cv2.resize(coarse, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    dark = cv2.multiply(cv2.bitwise_not(rgb), cv2.bitwise_not(full), scale=1 / 255)
    return np.asarray(cv2.bitwise_not(dark), np.uint8)


def curved(rgb: UInt8Array, curve: FloatArray) -> UInt8Array:
    """Return a picture through a curve of each channel, float [256, 1 or 3], 0..1."""
    table = np.clip(curve * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, np.ascontiguousarray(table[None])), np.uint8)


def levels() -> FloatArray:
    """Return the 256 levels of a byte as 0..1, float32 [256, 1]."""
    return np.linspace(0, 1, 256, dtype=np.float32)[:, None]


def piece(bank: UInt8Array, size_wh: tuple[int, int], rng: np.random.Generator) -> UInt8Array:
    """Return a random piece of a bank uint8 [S, S, ...], of a size; a bank that is too small is repeated."""
    width, height = size_wh
    times = (-(-height // bank.shape[0]), -(-width // bank.shape[1]))
    if max(times) > 1:
        bank = np.tile(bank, times + (1,) * (bank.ndim - 2))
    top = int(rng.integers(0, bank.shape[0] - height + 1))
    left = int(rng.integers(0, bank.shape[1] - width + 1))
    return np.ascontiguousarray(bank[top : top + height, left : left + width])


def noisy(rgb: UInt8Array, deviation: float, rng: np.random.Generator, coarse: float = 1.0) -> UInt8Array:
    """Return a picture with noise.

    Args:
        rgb: uint8 [H, W, 3].
        deviation: standard deviation in levels of a byte.
        rng: chooses the piece of the bank.
        coarse: size of the grains in pixels.
    """
    height, width = rgb.shape[:2]
    small = (max(1, round(width / coarse)), max(1, round(height / coarse)))
    noise = piece(noise_bank(), small, rng)
    if coarse > 1:
        noise = np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    scale = deviation / NOISE_DEVIATION
    return np.asarray(cv2.addWeighted(rgb, 1.0, noise, scale, -128 * scale), np.uint8)


@cache
def noise_bank() -> UInt8Array:
    """Return noise around 128, uint8 [S, S, 3]; two thirds of it are common to the channels, as a sensor's is."""
    rng = np.random.default_rng(20_210_701)
    common = rng.standard_normal((BANK_PX, BANK_PX, 1), np.float32)
    own = rng.standard_normal((BANK_PX, BANK_PX, 3), np.float32)
    return np.clip(128 + NOISE_DEVIATION * (0.8 * common + 0.6 * own), 0, 255).astype(np.uint8)
