"""Edge refinement of one stream's mattes and the backlash after it, in one pass over the restless parts of a frame."""

from __future__ import annotations

import cv2
import numpy as np

from rtseg import geometry
from rtseg.postprocess.backlash import Backlash
from rtseg.postprocess.edges import Coefficients, EdgeFit, check_luma, drawn, refine_alpha
from rtseg.postprocess.spans import Span, SpanGrid
from rtseg.types import UInt8Array


class SteadyRefiner:
    """Refines the mattes of one stream and lets what is shown follow them; see Note [Only where the border is].

    Gives, byte for byte, what `refine_alpha` and then `Backlash.follow` give of whole planes.
    Threading: one thread at a time.
    """

    def __init__(self, backlash: Backlash) -> None:
        self._backlash = backlash
        self._fit = EdgeFit()
        self._grid = SpanGrid((1, 1), (1, 1))

    def refine(
        self, alpha: UInt8Array, luma_small: UInt8Array, luma_full: UInt8Array, still: UInt8Array | None
    ) -> UInt8Array:
        """Return the refined matte that is shown, uint8 [H, W]; the caller's own.

        Args:
            alpha: matte at network size, uint8 [h, w].
            luma_small: luma of the frame at the same size, uint8 [h, w].
            luma_full: luma of the frame, uint8 [H, W].
            still: how surely the picture stands still, 255 is wholly, uint8 [h, w]; None starts afresh.

        Raises:
            ConfigError: matte and small luma of different sizes.
        """
        if luma_full.shape[0] < alpha.shape[0] or luma_full.shape[1] < alpha.shape[1]:
            return self._backlash.follow(refine_alpha(alpha, luma_small, luma_full), still)
        check_luma(alpha, luma_small, luma_full)
        found = self._fit.fit(alpha, luma_small)
        if found is None:
            scaled = geometry.resize_linear(alpha, (luma_full.shape[1], luma_full.shape[0]))
            return self._backlash.follow(scaled, still)
        if self._backlash.shown.shape != luma_full.shape:
            self._backlash.shown, still = np.empty(luma_full.shape, np.uint8), None
        self._draw(alpha, found, luma_full, still)
        return self._backlash.shown_copy()

    def _draw(self, alpha: UInt8Array, found: Coefficients, luma: UInt8Array, still: UInt8Array | None) -> None:
        sizes = (alpha.shape[1], alpha.shape[0]), (luma.shape[1], luma.shape[0])
        if (self._grid.mask_wh, self._grid.frame_wh) != sizes:
            self._grid = SpanGrid(*sizes)
        grid = self._grid
        for span in grid.spans(alpha, found.border):
            shown = span.of(self._backlash.shown)
            if span.level is not None:
                shown.fill(span.level)
                continue
            sharp = drawn(span.of(luma), grid.part(found.gain, span), grid.part(found.offset, span))
            self._follow(shown, sharp, still, span)

    def _follow(self, shown: UInt8Array, sharp: UInt8Array, still: UInt8Array | None, span: Span) -> None:
        """Let a part of what is shown follow; where all of it moves, it is what it follows."""
        least, most = (0, 0) if still is None else cv2.minMaxLoc(span.of_mask(still))[:2]
        if still is None or most == 0:
            np.copyto(shown, sharp)
        else:
            self._backlash.follow_part(shown, sharp, None if least == 255 else self._grid.part(still, span))
