"""The files of the page: the ones in the folder `page`, read once, by name."""

from __future__ import annotations

from importlib import resources
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""What the page may be made of, by suffix."""


def page_names() -> frozenset[str]:
    """Return the names of all files of the page; a request names one of these or gets nothing."""
    folder = resources.files("rtseg.serve") / "page"
    if not folder.is_dir():
        return frozenset()
    return frozenset(file.name for file in folder.iterdir() if _suffix(file.name) in MEDIA_TYPES)


def page_file(name: str) -> Response:
    """Return a file of the page. Raises HTTPException 404 where there is none of that name."""
    if name not in page_names():
        raise HTTPException(404)
    content = (resources.files("rtseg.serve") / "page" / name).read_bytes()
    return Response(content, media_type=MEDIA_TYPES[_suffix(name)], headers={"cache-control": "no-cache"})


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2]}"
