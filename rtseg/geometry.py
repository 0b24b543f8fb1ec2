"""Sizes and resampling: every resize in rtseg goes through here, with half-pixel centres.

Pixel i of n covers [i, i + 1) / n of the picture. All three resizers agree on that, so a mask never shifts against
its frame, whatever the two sizes are.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np

from rtseg.errors import ConfigError
from rtseg.types import FloatArray, UInt8Array

PixelArray = TypeVar("PixelArray", UInt8Array, FloatArray)


def check_size_wh(size_wh: tuple[int, int], *, what: str, most_px: int = 16384) -> tuple[int, int]:
    """Return the size, or raise ConfigError when it is not two whole numbers in 1..most_px."""
    width, height = size_wh
    if not (1 <= width <= most_px and 1 <= height <= most_px):
        raise ConfigError(f"{what}: got {width}x{height}; expected 1 to {most_px} pixels a side. Give another size.")
    return int(width), int(height)


def parse_size_wh(text: str) -> tuple[int, int]:
    """Return (width, height) from "WxH"."""
    width, mark, height = text.lower().partition("x")
    if not (mark and width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"size: got {text!r}; expected WIDTHxHEIGHT such as 1280x720. Give another size.")
    return check_size_wh((int(width), int(height)), what="size")


def resize_linear(pixels: PixelArray, size_wh: tuple[int, int], into: PixelArray | None = None) -> PixelArray:
    """Return the picture or matte [H, W] or [H, W, C] at another size, bilinear, half-pixel centres; same dtype.

    When shrinking by more than 2, pixels are averaged by area instead, so that nothing thin is stepped over.
    The result is in `into` where that is given, unless the size is the right one already: then it is `pixels`.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size_wh:
        return pixels
    shrink = min(width / size_wh[0], height / size_wh[1])
    flag = cv2.INTER_AREA if shrink > 2 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size_wh, dst=into, interpolation=flag), dtype=pixels.dtype)


def resize_labels(labels: UInt8Array, size_wh: tuple[int, int]) -> UInt8Array:
    """Return the label map uint8 [h, w] at another size, nearest by half-pixel centres; no label is invented."""
    if (labels.shape[1], labels.shape[0]) == size_wh:
        return labels
    return np.asarray(cv2.resize(labels, size_wh, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)


def cover_box(size_wh: tuple[int, int], target_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the crop (x, y, width, height) of a picture that fills `target_wh` without distortion, centred."""
    width, height = size_wh
    target_width, target_height = target_wh
    if width * target_height >= height * target_width:
        crop_width = max(1, round(height * target_width / target_height))
        return (width - crop_width) // 2, 0, crop_width, height
    crop_height = max(1, round(width * target_height / target_width))
    return 0, (height - crop_height) // 2, width, crop_height


def cover(pixels: PixelArray, size_wh: tuple[int, int]) -> PixelArray:
    """Return the picture scaled and cropped, centred, so that it fills `size_wh` without distortion."""
    x, y, width, height = cover_box((pixels.shape[1], pixels.shape[0]), size_wh)
    return resize_linear(pixels[y : y + height, x : x + width], size_wh)
