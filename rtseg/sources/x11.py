"""In which order two packages must be loaded for the screen to be grabbed. Imports nothing heavy itself.

Note [PyAV before OpenCV]
    The wheels of PyAV and OpenCV each bring X11 libraries of their own. Loaded after OpenCV's, those of PyAV get at
    functions of the others, and FFmpeg's X11 grabber crashes the process; loaded before, both work. So whoever may
    grab the screen loads PyAV first, and a screen that would crash is refused in one line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module


def load_before_opencv(sources: Sequence[object]) -> None:
    """Load PyAV if one of the sources is the screen; to be called before OpenCV is imported."""
    if any("screen:" in str(source) for source in sources):  # also NAME=screen:
        import_module("av")


def opencv_came_first() -> bool:
    """Find out whether OpenCV was loaded before PyAV in this process."""
    order = [name for name in sys.modules if name in ("cv2", "av")]
    return order[:1] == ["cv2"]
