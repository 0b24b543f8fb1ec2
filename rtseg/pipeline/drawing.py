"""What is drawn with each model of a run, and the compositors that draw it."""

from __future__ import annotations

from collections.abc import Sequence

from rtseg.pipeline.segmenting import Segmented
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.render.effects import Effect
from rtseg.render.hud import HudState
from rtseg.segmenter import Segmenter
from rtseg.types import Frame


class Drawing:
    """The effects of a run, by model; several models may have frames under way. Threading: the delivering thread."""

    def __init__(self) -> None:
        self._effects: dict[int, tuple[Effect, ...]] = {}
        self._compositors: dict[int, CpuCompositor] = {}

    def use(self, segmenter: Segmenter, effects: Sequence[Effect]) -> None:
        """Draw these effects on the frames of this model from now on."""
        self._effects[id(segmenter)] = tuple(effects)
        if compositor := self._compositors.pop(id(segmenter), None):
            compositor.close()

    def effects_of(self, segmenter: Segmenter) -> tuple[Effect, ...]:
        """Return what is drawn with a model."""
        return self._effects[id(segmenter)]

    def composite(self, item: Segmented, hud: HudState) -> Frame:
        """Return the frame with its effects on it; what a device has drawn already stays as it is."""
        if item.shown is not None:
            return item.shown
        key = id(item.segmenter)
        effects = self._effects[key]
        if not effects:
            return item.frame
        compositor = self._compositors.get(key)
        if compositor is None:
            compositor = CpuCompositor(effects, classes=item.segmenter.classes, palette=item.segmenter.palette)
            self._compositors[key] = compositor
        return item.frame.with_picture(compositor.composite(item.frame, item.result, hud=hud))

    def close(self) -> None:
        """Release the compositors; idempotent."""
        for compositor in self._compositors.values():
            compositor.close()
        self._compositors.clear()
