"""A document of `rtseg bench` written for people: a page, a picture or Markdown, by the suffix of the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rtseg.errors import ConfigError, SinkError


def write_report(document: Mapping[str, Any], path: Path) -> None:
    """Write a document as a self-contained page (.html), a picture (.png) or Markdown (.md).

    A file that was there before stays whole until the new one is. Numbers that the document lacks are shown as
    unknown, results that failed with their reason.

    Raises:
        ConfigError: the suffix is none of these, or the document has no list of results.
        SinkError: it cannot be written there.
    """
    render = RENDERERS.get(path.suffix.lower())
    if render is None:
        raise ConfigError(
            f"report: got {path.name}; expected a name that ends with {', '.join(RENDERERS)}. Change the name."
        )
    if not isinstance(document.get("results"), list):
        raise ConfigError(
            "report: got a document without a list of results; expected one that rtseg bench made. Run it with --json."
        )
    _write_whole(path, render(document))


def _page(document: Mapping[str, Any]) -> bytes:
    from rtseg.bench.html_page import page_of

    return page_of(document).encode("utf-8", errors="replace")


def _picture(document: Mapping[str, Any]) -> bytes:
    from rtseg.bench.report_sheet import sheet_of
    from rtseg.sinks.png import colour_png

    return colour_png(sheet_of(document))


def _markdown(document: Mapping[str, Any]) -> bytes:
    from rtseg.bench.report_markdown import markdown_of

    return markdown_of(document).encode("utf-8", errors="replace")


RENDERERS: Final[dict[str, Callable[[Mapping[str, Any]], bytes]]] = {
    ".html": _page,
    ".png": _picture,
    ".md": _markdown,
}
"""How a document becomes a file, by suffix."""


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SinkError(
            f"report: got {error.strerror} for {path}; expected a file that can be written. Choose another place."
        ) from error
