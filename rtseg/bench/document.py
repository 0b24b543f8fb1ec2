"""The document on disk: written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rtseg.errors import ConfigError, SinkError


def check_place(path: Path, option: str) -> None:
    """Raise ConfigError where the folder of an output does not exist, before any time is spent on measuring."""
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"{option}: got {path}; expected a file in a folder that exists. Make the folder first.")


def write_document(document: dict[str, Any], path: Path) -> None:
    """Write a document as JSON; a file that was there before stays whole until the new one is.

    Raises:
        SinkError: it cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SinkError(f"--json: got {error.strerror} for {path}; expected a file that can be written.") from error


def read_document(path: Path) -> dict[str, Any]:
    """Return the document that `rtseg bench --json` has written.

    Raises:
        ConfigError: there is no such file, or it is no such document.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"bench: got {error} for {path}; expected a file that rtseg bench --json wrote.") from error
    if not isinstance(document, dict) or not isinstance(document.get("results"), list):
        raise ConfigError(f"bench: got no results in {path}; expected a file that rtseg bench --json wrote.")
    return document
