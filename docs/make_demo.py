"""Make docs/demo.jpg, the picture of the README, from the built-in scenes and the shipped models.

python docs/make_demo.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import rtseg
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import Frame, Segmentation

WIDE_WH, TILE_WH = (960, 540), (320, 180)
EFFECTS = ("blur:strength=0.7", "replace:color=#1f6f54", "spotlight:style=grey,strength=1")


class Last(Sink):
    """Keeps the last frame as RGB."""

    name = "last"
    rgb: NDArray[np.uint8]

    def open(self, stream: StreamFormat) -> None:
        """Nothing to open."""

    def write(self, frame: Frame, result: Segmentation | None) -> None:  # noqa: ARG002
        """Keep the frame."""
        self.rgb = frame.rgb.copy()

    def close(self) -> None:
        """Nothing to close."""


def composited(source: str, model: str, effect: str, frames: int) -> NDArray[np.uint8]:
    """The last of so many frames, composited."""
    sink = Last()
    rtseg.run(source, model=model, effect=effect, out=sink, max_frames=frames)
    return sink.rgb


def main() -> None:
    """Put the overlay above three webcam effects."""
    top = composited("synthetic:street?size=960x540", "street", "driving", 60)
    tiles = [composited(f"synthetic:desk?size=960x540&seed={i}", "person", e, 40) for i, e in enumerate(EFFECTS)]
    row = np.hstack([cv2.resize(tile, TILE_WH, interpolation=cv2.INTER_AREA) for tile in tiles])
    picture = np.vstack([top, row])
    target = Path(__file__).with_name("demo.jpg")
    cv2.imwrite(str(target), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
