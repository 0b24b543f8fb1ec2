"""Two small renderers of believable video with exact ground truth: a street and a desk in front of a camera."""

from __future__ import annotations

from rtseg.scenes.desk import DeskScene
from rtseg.scenes.street import StreetScene

__all__ = ["DeskScene", "StreetScene"]
