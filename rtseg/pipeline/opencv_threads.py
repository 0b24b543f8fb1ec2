"""One OpenCV thread a stage while a pipeline runs.

The stages have threads of their own, and inference takes every core that is left: OpenCV's pool would only make them
wait for each other. The setting is the whole process's, so it is counted and put back when the last pipeline ends.
"""

from __future__ import annotations

import threading

import cv2

_lock = threading.Lock()
_running = 0
_before = 1


def take_one_thread() -> None:
    """Tell OpenCV to work in the calling thread; every call needs one `give_back_threads`."""
    global _running, _before
    with _lock:
        if _running == 0:
            _before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _running += 1


def give_back_threads() -> None:
    """Undo one `take_one_thread`; the last one puts OpenCV's own setting back."""
    global _running
    with _lock:
        _running -= 1
        if _running == 0:
            cv2.setNumThreads(_before)
