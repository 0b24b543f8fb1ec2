"""The effects straight from their formula, `out = frame + (layer - frame) * weight`, in float and without hurry.

Written without the compositor's code, so that the two can disagree. Frames are float [H, W, 3] RGB, or three float
planes for 4:2:0. Every resampling is a matrix, one for the rows and one for the columns.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import cv2
import numpy as np

from rtseg import color
from rtseg.types import Yuv420


def linear_matrix(before, after):
    """Bilinear with half-pixel centres; the mean over the area when shrinking by more than 2."""
    matrix = np.zeros((after, before))
    for index in range(after):
        place = min(max((index + 0.5) * before / after - 0.5, 0), before - 1)
        low = min(int(place), before - 2) if before > 1 else 0
        matrix[index, low] += 1 - (place - low)
        if before > 1:
            matrix[index, low + 1] += place - low
    return matrix


def area_matrix(before, after):
    matrix = np.zeros((after, before))
    for index in range(after):
        start, end = index * before / after, (index + 1) * before / after
        for source in range(int(start), min(math.ceil(end), before)):
            matrix[index, source] = min(end, source + 1) - max(start, source)
    return matrix / matrix.sum(axis=1, keepdims=True)


def resample(plane, size_wh, kind=None):
    width, height = size_wh
    shrink = min(plane.shape[1] / width, plane.shape[0] / height)
    make = kind or (area_matrix if shrink > 2 else linear_matrix)
    return make(plane.shape[0], height) @ plane @ make(plane.shape[1], width).T


def smooth(plane):
    padded = np.pad(plane, 1, mode="reflect")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4


def small_map(result, per_class):
    """A number of every network pixel: smoothed for labels, in proportion to alpha for a matte."""
    per_class = np.asarray(per_class, float)
    if result.network_alpha is not None:
        return per_class[0] + (per_class[1] - per_class[0]) * result.network_alpha / 255
    table = np.zeros(256)
    table[: len(per_class)] = per_class
    return smooth(table[result.network_labels])


def weight(result, per_class, size_wh):
    return resample(small_map(result, per_class), size_wh)


class Sheet:
    """The planes of a picture in float, with what is needed to draw on them."""

    def __init__(self, picture):
        self.yuv = isinstance(picture, Yuv420)
        self.picture = picture
        planes = (picture.y, picture.u, picture.v) if self.yuv else tuple(picture[..., index] for index in range(3))
        self.planes = [plane.astype(float) for plane in planes]

    def size_wh(self, index):
        return self.planes[index].shape[1], self.planes[index].shape[0]

    def color(self, rgb):
        if not self.yuv:
            return rgb
        return color.rgb_color_to_yuv(rgb, matrix=self.picture.matrix, full_range=self.picture.full_range)

    def layer(self, rgb_picture):
        if not self.yuv:
            return [rgb_picture[..., index].astype(float) for index in range(3)]
        planes = color.to_yuv420(rgb_picture, matrix=self.picture.matrix, full_range=self.picture.full_range)
        return [plane.astype(float) for plane in (planes.y, planes.u, planes.v)]

    def mix(self, index, layer, share):
        self.planes[index] = self.planes[index] + (layer - self.planes[index]) * share

    def done(self):
        planes = [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in self.planes]
        if self.yuv:
            return Yuv420(*planes, matrix=self.picture.matrix, full_range=self.picture.full_range)
        return np.dstack(planes)


def tint(picture, result, weights, palette):
    sheet = Sheet(picture)
    colors = [sheet.color(rgb) for rgb in palette]
    for index in range(3):
        amounts = [share * rgb[index] for share, rgb in zip(weights, colors, strict=True)]
        size_wh = sheet.size_wh(index)
        share, amount = weight(result, weights, size_wh), weight(result, amounts, size_wh)
        sheet.mix(index, np.divide(amount, share, out=np.zeros_like(share), where=share > 0), share)
    return sheet.done()


def replace(picture, result, background, rgb_picture):
    sheet = Sheet(picture)
    for index, layer in enumerate(sheet.layer(rgb_picture)):
        sheet.mix(index, layer, weight(result, background, sheet.size_wh(index)))
    return sheet.done()


def spotlight(picture, result, background, *, grey, dark):
    sheet = Sheet(picture)
    if sheet.yuv:
        layers = [sheet.planes[0], 128.0, 128.0]
    else:
        layers = [sum(part * plane for part, plane in zip((0.299, 0.587, 0.114), sheet.planes, strict=True))] * 3
    for index in range(3):
        share = weight(result, background, sheet.size_wh(index))
        sheet.mix(index, layers[index], share * grey)
        sheet.mix(index, sheet.color((0, 0, 0))[index], share * dark)
    return sheet.done()


def outline(picture, result, codes, line_color, width_px, spread_px):
    sheet = Sheet(picture)
    height, width = sheet.planes[0].shape
    line = np.zeros((height, width))
    for bit in range(8):
        inside = [code >> bit & 1 for code in codes]
        if any(inside):
            level = np.clip(weight(result, inside, (width, height)), 1e-6, 1 - 1e-6)
            distance = spread_px * np.abs(np.vectorize(NormalDist().inv_cdf)(level))
            line = np.maximum(line, np.clip(width_px / 2 + 0.5 - distance, 0, 1))
    for index in range(3):
        sheet.mix(index, sheet.color(line_color)[index], resample(line, sheet.size_wh(index), area_matrix))
    return sheet.done()


def box(plane, side):
    padded = np.pad(plane, side // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return windows.mean(axis=(-1, -2))


def blur(picture, result, background, *, spread_px, cell_px):
    """The masked, normalised blur: only cells without subject count."""
    sheet = Sheet(picture)
    height, width = sheet.planes[0].shape
    cells_wh = (-(-width // cell_px), -(-height // cell_px))
    subject = weight(result, [1 - share for share in background], cells_wh)
    counts = np.clip(1 - 8 * cv2.dilate(subject, np.ones((3, 3))), 0, 1)
    side = 2 * max(1, round((math.sqrt(4 * (spread_px / cell_px) ** 2 + 1) - 1) / 2)) + 1

    def spread(plane):
        near = box(box(box(plane, side), side), side)
        return near + 0.01 * box(plane, 4 * side + 1) + 1e-5 * plane.mean()

    for index in range(3):
        coarse = resample(sheet.planes[index], cells_wh, area_matrix)
        layer = spread(coarse * counts) / spread(counts)
        size_wh = sheet.size_wh(index)
        sheet.mix(index, resample(layer, size_wh), weight(result, background, size_wh))
    return sheet.done()
