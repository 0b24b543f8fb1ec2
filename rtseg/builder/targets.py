"""Where a build may go; asked before anything is computed, so it needs nothing that building needs."""

from __future__ import annotations

from pathlib import Path

from rtseg.errors import ConfigError


def check_new(folder: Path) -> None:
    """Raise ConfigError where there is something at `folder` already; before hours are spent on it."""
    if folder.exists():
        raise ConfigError(f"bundle folder: got {folder}, which exists; expected a new name. Give another with -o.")
    if not folder.parent.is_dir():
        raise ConfigError(f"bundle folder: got {folder}; expected a folder that exists around it. Make it first.")
