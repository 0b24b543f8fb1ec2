"""Whether effects can be drawn on the device, found out before a frame is there and without a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rtseg.kernels.picture import PictureFormat
from rtseg.render.compositor_cpu import painters_of
from rtseg.render.compositor_cuda_plan import Plan
from rtseg.render.effects import Effect
from rtseg.render.palette import Color

_ANY_FRAME: Final = PictureFormat((640, 480))
_ANY_MASK_WH: Final = (320, 240)


def check_effects(
    effects: Sequence[Effect], classes: tuple[str, ...], palette: tuple[Color, ...], *, is_matte: bool
) -> None:
    """Plan the drawing and forget it; whether it can be drawn does not depend on a frame's size or format.

    Raises:
        ConfigError: an effect, or an order of effects, that has no kernel.
    """
    painters = [painter for effect in effects for painter in painters_of(effect, classes, palette)]
    try:
        Plan(painters, _ANY_FRAME, _ANY_MASK_WH, is_matte=is_matte)
    finally:
        for painter in painters:
            painter.close()
