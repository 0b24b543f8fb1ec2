"""What the HUD line says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HudState:
    """The live numbers of a run, as far as they are known."""

    fps: float | None = None
    """Frames a second that come out."""
    frame_age_ms: float | None = None
    """Milliseconds from capture to display."""
    dropped: int = 0
    """Frames left out so far."""

    def line(self) -> str:
        """Return the HUD line."""
        parts = []
        if self.fps is not None:
            parts.append(f"{self.fps:.1f} fps")
        if self.frame_age_ms is not None:
            parts.append(f"age {self.frame_age_ms:.0f} ms")
        return "   ".join([*parts, f"drops {self.dropped}"])
