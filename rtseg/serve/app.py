"""The web application: the page, the addresses of what it uses, and the guard before them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rtseg.errors import RtsegError
from rtseg.serve.guard import JSON_BYTES, ClientTooSlow, Guard, Refused
from rtseg.serve.openapi import openapi
from rtseg.serve.pages import page_file
from rtseg.serve.prometheus import metrics_text
from rtseg.serve.room import Room
from rtseg.serve.routes_live import live_routes
from rtseg.serve.routes_videos import video_routes
from rtseg.serve.web import answer_error, answer_fault, answer_gone, answer_http, answer_refused, room_of


def build_app(room: Room) -> Guard:
    """Return the application of a room, with its guard before it."""
    app = Starlette(
        routes=[*_own_routes(), *live_routes(), *video_routes()],
        exception_handlers={
            RtsegError: answer_error,
            HTTPException: answer_http,
            ClientDisconnect: answer_gone,
            Refused: answer_refused,
            ClientTooSlow: answer_refused,
            Exception: answer_fault,
        },
    )
    app.state.room = room
    app.router.redirect_slashes = False
    limits = room.options.limits

    def body_limit(method: str, path: str) -> int:
        if method != "POST":
            return JSON_BYTES
        if path == "/api/backgrounds":
            return limits.background_mb * 1_000_000 + 10_000
        return limits.upload_mb * 1_000_000 if path == "/api/videos" else JSON_BYTES

    return Guard(app, host=room.options.host, token=room.options.token, body_limit=body_limit)


def _own_routes() -> list[Route]:
    return [
        Route("/", _index, methods=["GET"]),
        Route("/page/{name}", _page, methods=["GET"]),
        Route("/favicon.ico", _icon, methods=["GET"]),
        Route("/api/info", _info, methods=["GET"]),
        Route("/api/stats", _stats, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
        Route("/healthz", _health, methods=["GET"]),
        Route("/openapi.json", _openapi, methods=["GET"]),
    ]


async def _index(request: Request) -> Response:
    del request
    return page_file("index.html")


async def _page(request: Request) -> Response:
    return page_file(request.path_params["name"])


async def _icon(request: Request) -> Response:
    del request
    return page_file("icon.svg")


async def _info(request: Request) -> Response:
    room = room_of(request)
    return JSONResponse(await room.off_loop(room.info))


async def _stats(request: Request) -> Response:
    return JSONResponse(room_of(request).stats())


async def _metrics(request: Request) -> Response:
    text = metrics_text(room_of(request))
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _health(request: Request) -> Response:
    del request
    return JSONResponse({"ok": True})


async def _openapi(request: Request) -> Response:
    return JSONResponse(openapi(request.app.routes))
