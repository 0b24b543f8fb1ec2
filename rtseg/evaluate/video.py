"""Score how calm a model's masks are on a video, with smoothing and without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rtseg.errors import SourceError
from rtseg.evaluate.pictures import plain
from rtseg.evaluate.protocol import model_facts
from rtseg.geometry import resize_labels, resize_linear
from rtseg.metrics import RETURN_PX, STILL_LEVELS, STILL_PX, TemporalStability
from rtseg.preprocess import luma_of
from rtseg.segmenter import Segmenter
from rtseg.types import Frame

MOST_PX: Final = 640
"""Longer side at which motion is sought and labels are compared."""


@dataclass(frozen=True, slots=True)
class VideoReport:
    """How often labels flip where the picture does not change."""

    flips_off: float
    """Flips per pixel per second, frame by frame without smoothing."""
    flips_on: float
    """The same with smoothing."""
    unchanged_share: float
    """Share of the picture that was unchanged and counted, mean over frames."""
    frames: int
    protocol: dict[str, Any]

    @property
    def times_fewer(self) -> float:
        """How many times fewer flips smoothing leaves; NaN where there is none either way."""
        if not self.flips_on > 0:
            return float("inf") if self.flips_off > 0 else float("nan")
        return self.flips_off / self.flips_on

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        flips = {"smoothing_off": self.flips_off, "smoothing_on": self.flips_on}
        times = self.times_fewer
        return {
            "flips_per_pixel_second": plain(flips),
            "times_fewer": None if not np.isfinite(times) else round(times, 3),
            "unchanged_share": round(self.unchanged_share, 6),
            "frames": self.frames,
            "protocol": self.protocol,
        }


def score_video(
    segmenter: Segmenter, frames: Iterable[Frame], *, name: str, on_frame: Callable[[int], None] | None = None
) -> VideoReport:
    """Return the temporal stability of a model on consecutive frames; everything else as it was loaded.

    Raises:
        SourceError: there are fewer than two frames.
    """
    sessions = [
        Segmenter(segmenter.bundle, segmenter.backend, smoothing=smoothing).session() for smoothing in (False, True)
    ]
    calm = [TemporalStability(), TemporalStability()]
    count, size_wh = 0, (0, 0)
    for count, frame in enumerate(frames, start=1):
        size_wh = _compared_at(frame.size_wh)
        luma = resize_linear(luma_of(frame.picture), size_wh)
        for session, stability in zip(sessions, calm, strict=True):
            labels = session.submit(frame).result().labels
            stability.add(luma, resize_labels(labels, size_wh), frame.pts_seconds)
        if on_frame is not None:
            on_frame(count)
    if not calm[0].unchanged_share:
        raise SourceError(f"{name}: got {count} frames; expected two or more that follow each other. Raise the limit.")
    return VideoReport(
        flips_off=calm[0].flips_per_pixel_second(),
        flips_on=calm[1].flips_per_pixel_second(),
        unchanged_share=float(np.mean(calm[0].unchanged_share)),
        frames=count,
        protocol=_protocol(segmenter, name, count, size_wh),
    )


def _protocol(segmenter: Segmenter, name: str, count: int, size_wh: tuple[int, int]) -> dict[str, Any]:
    return {
        "video": name,
        "frames": count,
        "scored_at": f"{size_wh[0]}x{size_wh[1]}",
        "resize_rule": f"masks at frame size, then by nearest to at most {MOST_PX} px",
        "unchanged": f"luma within {STILL_LEVELS} levels, in place or along optical flow (DIS, back to {RETURN_PX} px)",
        "flip": f"another label than there before; from {STILL_PX} px of motion on, than any of the nine around there",
        **model_facts(segmenter),
    }


def _compared_at(size_wh: tuple[int, int]) -> tuple[int, int]:
    shrink = max(1.0, max(size_wh) / MOST_PX)
    return round(size_wh[0] / shrink), round(size_wh[1] / shrink)
