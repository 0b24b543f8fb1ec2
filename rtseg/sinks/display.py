"""Whether a window can be opened here, found out in a child process.

Note [Probe in a child]: without a working display, OpenCV's Qt does not raise; it aborts the whole process. So the
first window is always opened by a child, whose death costs nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from typing import Final

PROBE_SECONDS: Final = 30.0
PROBE: Final = (
    "import cv2\n"
    "cv2.namedWindow('rtseg probe', cv2.WINDOW_NORMAL)\n"
    "cv2.resizeWindow('rtseg probe', 8, 8)\n"
    "cv2.waitKey(1)\n"
    "cv2.destroyAllWindows()\n"
)


@lru_cache(maxsize=1)
def display_available() -> tuple[bool, str]:
    """Return whether OpenCV can open a window in this process, and how that is known, in one line.

    The answer is kept for the life of the process.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False, "neither DISPLAY nor WAYLAND_DISPLAY is set"
    try:
        probe = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"opening a window took over {PROBE_SECONDS:.0f} s"
    except OSError as error:
        return False, f"the window probe could not be started ({error.strerror})"
    if probe.returncode == 0:
        return True, "a window was opened and closed"
    return False, _why(probe.stderr, probe.returncode)


def _why(stderr: str, returncode: int) -> str:
    telling = [line.strip() for line in stderr.splitlines() if "could not" in line.lower() or "error" in line.lower()]
    lines = telling or [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[0][:200] if lines else f"the window probe ended with {returncode}"
