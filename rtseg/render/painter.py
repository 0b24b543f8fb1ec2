"""What a painter is given for a frame, and the painters that need nothing but colours: tint and spotlight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import cv2
import numpy as np

from rtseg.recycling import Scratch
from rtseg.render.hud import HudState
from rtseg.render.palette import Color
from rtseg.render.planes import Canvas, PlaneFormat
from rtseg.render.weights import Mask, premultiplied_bytes, scaled_plane, weight_bytes
from rtseg.types import Segmentation, UInt8Array

GREY_DARKENING: Final[float] = 0.15
"""How much darker a grey background gets, so that the subject stands out even where it has little colour."""
DARK_GREYING: Final[float] = 0.5
"""How much of its colour a darkened background loses."""


@dataclass(frozen=True)
class Shot:
    """One frame's worth of facts for the painters."""

    result: Segmentation
    pts_seconds: float
    hud: HudState | None
    scratch: Scratch

    @cached_property
    def mask(self) -> Mask:
        """The mask, ready for look-ups."""
        return Mask(self.result)

    def complement(self, weight: UInt8Array) -> UInt8Array:
        """Return 255 - weight, uint8 [h, w].

        Lifetime: until the next call.
        """
        keep = self.scratch.get("keep", weight.shape)
        return np.asarray(cv2.bitwise_not(weight, dst=keep), np.uint8)


class Painter(Protocol):
    """Draws one part of an effect on every frame of one stream; state, if any, is of that stream."""

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas."""

    def close(self) -> None:
        """Release what is open; idempotent."""


class StatelessPainter:
    """Base of the painters that hold nothing to close."""

    def close(self) -> None:
        """Do nothing."""


class TintPainter(StatelessPainter):
    """Draws every class in its colour with its own weight."""

    def __init__(self, weights: Sequence[float], palette: Sequence[Color]) -> None:
        self._weights = weight_bytes(weights)
        self._palette = tuple(palette)
        self._colors: dict[PlaneFormat, tuple[UInt8Array, ...]] = {}

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas."""
        small, *colors = shot.mask.look_up_all((self._weights, *self._premultiplied(canvas.format)))
        keep_wh, keep = (0, 0), small
        for index, color in enumerate(colors):
            size_wh = canvas.format.plane_size_wh(index)
            if size_wh != keep_wh:
                keep_wh, keep = size_wh, shot.complement(scaled_plane(small, size_wh))
            canvas.mix_color(index, keep, scaled_plane(color, size_wh))

    def _premultiplied(self, plane_format: PlaneFormat) -> tuple[UInt8Array, ...]:
        if plane_format not in self._colors:
            values = zip(*(plane_format.color_bytes(rgb) for rgb in self._palette), strict=True)
            self._colors[plane_format] = tuple(premultiplied_bytes(self._weights, plane) for plane in values)
        return self._colors[plane_format]


class SpotlightPainter(StatelessPainter):
    """Draws the background darker or in grey; the layer is the frame itself with less light and less colour."""

    def __init__(self, background: Sequence[float], *, style: str, strength: float) -> None:
        dark, grey = (strength, DARK_GREYING * strength) if style == "dark" else (GREY_DARKENING * strength, strength)
        self._dark = weight_bytes([share * dark for share in background])
        self._grey = weight_bytes([share * grey for share in background])

    def paint(self, canvas: Canvas, shot: Shot) -> None:
        """Draw on the canvas: first the colour goes, then the light."""
        if canvas.format.matrix is None:
            self._grey_rgb(canvas, shot)
        else:
            self._grey_chroma(canvas, shot)
        self._darken(canvas, shot)

    def _grey_rgb(self, canvas: Canvas, shot: Shot) -> None:
        weight = shot.mask.scaled(self._grey, canvas.format.size_wh)
        grey = np.asarray(cv2.cvtColor(cv2.merge(canvas.planes), cv2.COLOR_RGB2GRAY), np.uint8)
        for index in range(3):
            canvas.mix_layer(index, shot.complement(weight), weight, grey)

    def _grey_chroma(self, canvas: Canvas, shot: Shot) -> None:
        weight = shot.mask.scaled(self._grey, canvas.format.plane_size_wh(1))
        for index in (1, 2):
            canvas.mix_constant(index, shot.complement(weight), weight, 128)

    def _darken(self, canvas: Canvas, shot: Shot) -> None:
        small = shot.mask.look_up(self._dark)
        for index, value in enumerate(canvas.format.color_bytes((0, 0, 0))):
            weight = scaled_plane(small, canvas.format.plane_size_wh(index))
            canvas.mix_constant(index, shot.complement(weight), weight, value)
