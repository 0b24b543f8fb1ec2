"""What can be asked of the server, as OpenAPI: made of the routes themselves, so that none is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from starlette.routing import BaseRoute, Route

from rtseg.stats import package_version

_SUMMARIES: Final[dict[tuple[str, str], str]] = {
    ("GET", "/"): "The page",
    ("GET", "/page/{name}"): "A file of the page",
    ("GET", "/favicon.ico"): "The icon of the page",
    ("GET", "/api/info"): "Models, effects, streams, limits and backgrounds",
    ("GET", "/api/stats"): "What is measured of everything that runs",
    ("GET", "/metrics"): "The same for Prometheus",
    ("GET", "/healthz"): "Whether the server answers",
    ("GET", "/openapi.json"): "This description",
    ("POST", "/api/camera"): "Send the browser's camera (WebRTC offer) and get it back composited",
    ("PATCH", "/api/camera/{name}"): "Change model, effect and so on while the camera runs",
    ("DELETE", "/api/camera/{name}"): "End a camera session",
    ("GET", "/api/camera/{name}/stats"): "What is measured of a camera session",
    ("GET", "/api/streams"): "The streams given on the command line",
    ("PATCH", "/api/streams/{name}"): "Change model, effect and so on of a stream, for everybody",
    ("POST", "/api/streams/{name}/offer"): "Watch a stream (WebRTC offer)",
    ("DELETE", "/api/viewers/{name}"): "Stop watching",
    ("GET", "/stream/{name}.mjpg"): "A stream as JPEG pictures (multipart/x-mixed-replace)",
    ("POST", "/api/backgrounds"): "Upload a background picture",
    ("GET", "/api/backgrounds"): "The background pictures",
    ("GET", "/api/backgrounds/{number}"): "A background picture",
    ("DELETE", "/api/backgrounds/{number}"): "Remove a background picture",
    ("POST", "/api/videos"): "Upload a video (the body is the file) and have it worked on",
    ("GET", "/api/videos"): "The videos",
    ("GET", "/api/videos/{job}"): "How far a video is",
    ("DELETE", "/api/videos/{job}"): "Cancel or remove a video",
    ("POST", "/api/videos/{job}/render"): "Make something else of the same upload",
    ("GET", "/api/videos/{job}/source.mp4"): "The upload, as a browser plays it",
    ("GET", "/api/videos/{job}/shares.json"): "Class shares over time, at most 1000 samples",
    ("GET", "/api/videos/{job}/{file}"): "result.mp4, masks.zip, shares.csv or shares.parquet",
}
_ERROR: Final = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_SETTINGS: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string"},
        "effect": {"enum": ["blur", "replace", "spotlight", "driving", "tint", "outline", "none"]},
        "strength": {"type": "number", "minimum": 0, "maximum": 1},
        "background": {"type": ["string", "null"]},
        "color": {"type": ["string", "null"], "pattern": "^#[0-9a-fA-F]{6}$"},
        "smoothing": {"type": "boolean"},
        "hidden": {"type": "array", "items": {"type": "string"}},
    },
}
_OFFER: Final = {
    "type": "object",
    "required": ["sdp"],
    "properties": {
        "sdp": {"type": "string"},
        "type": {"const": "offer"},
        "settings": {"$ref": "#/components/schemas/Settings"},
        "strip": {"type": "boolean"},
    },
}
_BODIES: Final[dict[tuple[str, str], tuple[str, dict[str, Any]]]] = {
    ("POST", "/api/camera"): ("application/json", {"$ref": "#/components/schemas/Offer"}),
    ("POST", "/api/streams/{name}/offer"): ("application/json", {"$ref": "#/components/schemas/Offer"}),
    ("PATCH", "/api/camera/{name}"): ("application/json", {"$ref": "#/components/schemas/Settings"}),
    ("PATCH", "/api/streams/{name}"): ("application/json", {"$ref": "#/components/schemas/Settings"}),
    ("POST", "/api/videos/{job}/render"): ("application/json", {"$ref": "#/components/schemas/Settings"}),
    ("POST", "/api/backgrounds"): ("image/*", {"type": "string", "format": "binary"}),
    ("POST", "/api/videos"): ("application/octet-stream", {"type": "string", "format": "binary"}),
}


def openapi(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Return the description of the routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, Route):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                paths.setdefault(route.path, {})[method.lower()] = _operation(method, route.path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "rtseg serve", "version": package_version("rtseg") or "0"},
        "paths": paths,
        "components": {
            "schemas": {"Settings": _SETTINGS, "Offer": _OFFER, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(method: str, path: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": _SUMMARIES[method, path],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", path)
        ],
        "responses": {
            "201" if (method, path) in {("POST", "/api/videos"), ("POST", "/api/backgrounds")} else "200": {
                "description": "As asked"
            },
            "4XX": {
                "description": "What was wrong, in one line",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if body := _BODIES.get((method, path)):
        operation["requestBody"] = {"required": True, "content": {body[0]: {"schema": body[1]}}}
    return operation
