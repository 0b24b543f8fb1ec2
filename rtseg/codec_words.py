"""Who decodes or encodes a video, in words, and what FFmpeg said where the GPU cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_MOST: Final = 160
"""Characters of a reason that are kept; it goes into a progress line."""


def codec_user(on_gpu: str, why_not: str) -> str:
    """Return the name of the GPU's own decoder or encoder, or "cpu (REASON)" where there is a reason not to use it."""
    return f"cpu ({why_not})" if why_not else on_gpu


def reason_of(said: Sequence[tuple[int, str, str]], error: Exception) -> str:
    """Return in one line what went wrong: FFmpeg's own first complaint, else the exception's words.

    Args:
        said: what FFmpeg logged: level, part of it, text.
        error: what was raised.
    """
    complaints = [text.strip() for _, _, text in said if text.strip()]
    text = complaints[0] if complaints else (getattr(error, "strerror", None) or str(error))
    return " ".join(text.split())[:_MOST].rstrip(".")
