"""The web application: which address does what. What it does is in the room."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from rtseg.errors import BackendUnavailable, ConfigError, EngineError, RtsegError
from rtseg.redaction import redact
from rtseg.serve.guard import JSON_BYTES, ClientTooSlow, Guard, Refused
from rtseg.serve.pages import page_file
from rtseg.serve.room import NotThere, Room, TooMany
from rtseg.serve.uploads import background_from

Endpoint = Callable[[Request], Awaitable[Response]]

_STATUS: Final[tuple[tuple[type[RtsegError], int], ...]] = (
    (NotThere, 404),
    (TooMany, 429),
    (ConfigError, 400),
    (BackendUnavailable, 409),
    (EngineError, 409),
    (RtsegError, 422),
)
"""How an error of rtseg's is answered: it is the request's, or the state of things', never a fault of the server's."""


def build_app(room: Room) -> Guard:
    """Return the application of a room, with its guard before it."""
    app = Starlette(
        routes=[*_page_routes(), *_camera_routes(), *_background_routes(), *_state_routes()],
        exception_handlers={RtsegError: _answer_error, HTTPException: _answer_http, ClientDisconnect: _answer_gone},
    )
    app.state.room = room
    limits = room.options.limits

    def body_limit(method: str, path: str) -> int:
        if method != "POST":
            return JSON_BYTES
        if path == "/api/backgrounds":
            return limits.background_mb * 1_000_000 + 10_000
        return limits.upload_mb * 1_000_000 if path == "/api/videos" else JSON_BYTES

    return Guard(app, host=room.options.host, token=room.options.token, body_limit=body_limit)


def room_of(request: Request) -> Room:
    """Return the room of the application."""
    room: Room = request.app.state.room
    return room


async def json_of(request: Request) -> object:
    """Return the JSON in a body; an empty one is an empty object. Raises ConfigError where it is none."""
    body = await request.body()
    try:
        return json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"body: got no JSON ({type(error).__name__}); expected an object. Mend the request."
        ) from error


# ---- the page ---------------------------------------------------------------------------------------------------


def _page_routes() -> list[Route]:
    return [
        Route("/", _index, methods=["GET"]),
        Route("/page/{name}", _page, methods=["GET"]),
        Route("/favicon.ico", _favicon, methods=["GET"]),
    ]


async def _index(request: Request) -> Response:
    del request
    return page_file("index.html")


async def _page(request: Request) -> Response:
    return page_file(request.path_params["name"])


async def _favicon(request: Request) -> Response:
    del request
    return page_file("icon.svg")


# ---- cameras ----------------------------------------------------------------------------------------------------


def _camera_routes() -> list[Route]:
    return [
        Route("/api/camera", _open_camera, methods=["POST"]),
        Route("/api/camera/{name}", _change_camera, methods=["PATCH"]),
        Route("/api/camera/{name}", _close_camera, methods=["DELETE"]),
        Route("/api/camera/{name}/stats", _camera_stats, methods=["GET"]),
    ]


async def _open_camera(request: Request) -> Response:
    return JSONResponse(await room_of(request).open_camera(await json_of(request)))


async def _change_camera(request: Request) -> Response:
    camera = room_of(request).camera(request.path_params["name"])
    return JSONResponse((await camera.change(await json_of(request))).to_json())


async def _close_camera(request: Request) -> Response:
    await room_of(request).camera(request.path_params["name"]).close()
    return JSONResponse({"closed": True})


async def _camera_stats(request: Request) -> Response:
    return JSONResponse(room_of(request).camera(request.path_params["name"]).to_json())


# ---- backgrounds ------------------------------------------------------------------------------------------------


def _background_routes() -> list[Route]:
    return [
        Route("/api/backgrounds", _add_background, methods=["POST"]),
        Route("/api/backgrounds", _list_backgrounds, methods=["GET"]),
        Route("/api/backgrounds/{number}", _show_background, methods=["GET"]),
        Route("/api/backgrounds/{number}", _remove_background, methods=["DELETE"]),
    ]


async def _add_background(request: Request) -> Response:
    room = room_of(request)
    coded, name = await background_from(request)
    background = await room.off_loop(lambda: room.backgrounds.add(coded, name))
    return JSONResponse(background.to_json(), 201)


async def _list_backgrounds(request: Request) -> Response:
    return JSONResponse(room_of(request).backgrounds.to_json())


async def _show_background(request: Request) -> Response:
    return FileResponse(room_of(request).backgrounds.path_of(request.path_params["number"]), media_type="image/jpeg")


async def _remove_background(request: Request) -> Response:
    room_of(request).backgrounds.remove(request.path_params["number"])
    return JSONResponse({"removed": True})


# ---- what is going on -------------------------------------------------------------------------------------------


def _state_routes() -> list[Route]:
    return [
        Route("/api/info", _info, methods=["GET"]),
        Route("/healthz", _health, methods=["GET"]),
    ]


async def _info(request: Request) -> Response:
    room = room_of(request)
    return JSONResponse(await room.off_loop(room.info))


async def _health(request: Request) -> Response:
    del request
    return JSONResponse({"ok": True})


# ---- errors -----------------------------------------------------------------------------------------------------


async def _answer_error(request: Request, error: Exception) -> Response:
    del request
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
    return JSONResponse({"error": redact(str(error))}, status)


async def _answer_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    line = {404: "nothing at this address", 405: "a method that this address does not know"}.get(
        status, "a bad request"
    )
    headers = getattr(error, "headers", None)
    return JSONResponse({"error": f"request: got {line}; expected one of /openapi.json."}, status, headers=headers)


async def _answer_gone(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=400)  # nobody is there to read it


__all__ = ["ClientTooSlow", "Refused", "build_app", "json_of", "room_of"]
