"""The compositor for the CPU: draws effects on frames with OpenCV, in the frame's own format."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rtseg.errors import ConfigError
from rtseg.recycling import Recycler, Scratch
from rtseg.render import driving, effects
from rtseg.render.backdrop import ReplacePainter, open_backdrop
from rtseg.render.background import BlurPainter
from rtseg.render.cutout import CutoutPainter
from rtseg.render.effects import Effect, has_alpha
from rtseg.render.hud import HudState
from rtseg.render.outline import OutlinePainter, separate_codes
from rtseg.render.painter import Painter, Shot, SpotlightPainter, TintPainter
from rtseg.render.palette import Color, check_palette, lifted, parse_hex
from rtseg.render.panels import HudPainter, LegendPainter
from rtseg.render.planes import Canvas, resizing
from rtseg.types import Frame, Picture, Segmentation


class CpuCompositor:
    """Draws the effects of one stream, one on top of the other.

    A 4:2:0 frame comes back as 4:2:0, an RGB frame as RGB, and either as RGBA after `cutout`. Where nothing is drawn,
    every byte is the frame's own.
    Lifetime: a returned picture is the caller's, for as long as it holds it, or the frame's own where no effect draws
    anything; see Note [Recycled planes].
    Threading: one thread at a time.
    """

    def __init__(self, effects: Sequence[Effect], *, classes: tuple[str, ...], palette: tuple[Color, ...]) -> None:
        """Get ready to draw.

        Raises:
            ConfigError: a class the model does not know, or a backdrop that cannot be read.
        """
        check_palette(palette, classes)
        self.classes = classes
        self._scratch = Scratch()
        self._recycler = Recycler()
        self._painters: list[Painter] = []
        try:
            for effect in effects:
                self._painters.extend(painters_of(effect, classes, palette))
        except ConfigError:
            self.close()
            raise
        if not has_alpha(effects):
            # Stable: legend and HUD are read, not looked through, so no later blur or tint covers them.
            self._painters.sort(key=lambda painter: isinstance(painter, LegendPainter | HudPainter))

    def composite(self, frame: Frame, result: Segmentation, *, hud: HudState | None = None) -> Picture:
        """Return the frame's picture with all effects drawn on it."""
        if result.size_wh != frame.size_wh:
            raise ConfigError(
                f"composite: got a mask for {result.size_wh} and a frame of {frame.size_wh}; "
                "expected the same size. Pass the segmentation of this very frame."
            )
        canvas = Canvas(frame.picture, self._scratch, self._recycler)
        shot = Shot(result, frame.pts_seconds, hud, self._scratch)
        with resizing(quick=True):
            for painter in self._painters:
                painter.paint(canvas, shot)
        return canvas.picture()

    def close(self) -> None:
        """Release the backdrops; idempotent."""
        for painter in self._painters:
            painter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def painters_of(effect: Effect, classes: tuple[str, ...], palette: tuple[Color, ...]) -> list[Painter]:
    """Return what draws an effect, in drawing order."""
    if isinstance(effect, effects.Nothing):
        return []
    indices = effects.class_indices(effect, classes)
    chosen = [1.0 if index in indices else 0.0 for index in range(len(classes))]
    background = [1.0 - share for share in chosen]
    match effect:
        case effects.Driving():
            return _driving_painters(effect, classes, palette, indices)
        case effects.Tint():
            return [TintPainter([effect.opacity * share for share in chosen], palette)]
        case effects.Outline():
            color = None if effect.color is None else parse_hex(effect.color)
            codes = separate_codes(indices, len(classes))
            colors = [lifted(rgb) for rgb in palette]
            return [OutlinePainter(codes, width_px=effect.width, color=color, palette=colors)]
        case effects.Blur():
            return [BlurPainter(background, strength=effect.strength)]
        case effects.Replace():
            return [ReplacePainter(background, open_backdrop(effect))]
        case effects.Spotlight():
            return [SpotlightPainter(background, style=effect.style, strength=effect.strength)]
        case effects.Cutout():
            return [CutoutPainter(chosen, decontaminate=effect.decontaminate)]
    raise ConfigError(f"effect: got {effect!r}; expected one of rtseg.render.effects. Use one of these.")


def _driving_painters(
    effect: effects.Driving, classes: tuple[str, ...], palette: tuple[Color, ...], indices: tuple[int, ...]
) -> list[Painter]:
    colors = driving.driving_palette(classes, palette)
    weights = [
        driving.driving_opacity(name, effect.opacity) if index in indices else 0.0 for index, name in enumerate(classes)
    ]
    painters: list[Painter] = [TintPainter(weights, colors)]
    if effect.outlines:
        outline = OutlinePainter(
            driving.group_codes(classes, indices),
            width_px=driving.OUTLINE_WIDTH_PX,
            color=driving.OUTLINE_COLOR,
            palette=colors,
            opacity=driving.OUTLINE_OPACITY,
            bold=driving.drivable_indices(classes, indices),
            bold_width_px=driving.DRIVABLE_WIDTH_PX,
        )
        painters.append(outline)
    if effect.legend:
        painters.append(LegendPainter(classes, colors, indices))
    if effect.hud:
        painters.append(HudPainter())
    return painters
