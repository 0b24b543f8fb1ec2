"""The addresses of what is live: cameras, streams and backgrounds."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from rtseg.serve.uploads import background_from
from rtseg.serve.web import json_of, room_of


def live_routes() -> list[Route]:
    """Return the routes."""
    return [
        Route("/api/camera", _open_camera, methods=["POST"]),
        Route("/api/camera/{name}", _change_camera, methods=["PATCH"]),
        Route("/api/camera/{name}", _close_camera, methods=["DELETE"]),
        Route("/api/camera/{name}/stats", _camera_stats, methods=["GET"]),
        Route("/api/streams", _list_streams, methods=["GET"]),
        Route("/api/streams/{name}", _change_stream, methods=["PATCH"]),
        Route("/api/streams/{name}/offer", _open_viewer, methods=["POST"]),
        Route("/api/viewers/{name}", _close_viewer, methods=["DELETE"]),
        Route("/stream/{name}.mjpg", _mjpeg, methods=["GET"]),
        Route("/api/backgrounds", _add_background, methods=["POST"]),
        Route("/api/backgrounds", _list_backgrounds, methods=["GET"]),
        Route("/api/backgrounds/{number}", _show_background, methods=["GET"]),
        Route("/api/backgrounds/{number}", _remove_background, methods=["DELETE"]),
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


async def _list_streams(request: Request) -> Response:
    return JSONResponse([stream.to_json() for stream in room_of(request).streams.values()])


async def _change_stream(request: Request) -> Response:
    stream = room_of(request).stream(request.path_params["name"])
    return JSONResponse((await stream.change(await json_of(request))).to_json())


async def _open_viewer(request: Request) -> Response:
    return JSONResponse(await room_of(request).open_viewer(request.path_params["name"], await json_of(request)))


async def _close_viewer(request: Request) -> Response:
    await room_of(request).viewer(request.path_params["name"]).close()
    return JSONResponse({"closed": True})


async def _mjpeg(request: Request) -> Response:
    return room_of(request).open_mjpeg(request.path_params["name"])


async def _add_background(request: Request) -> Response:
    room = room_of(request)
    coded, name = await background_from(request)
    background = await room.off_loop(lambda: room.backgrounds.add(coded, name))
    return JSONResponse(background.to_json(), 201)


async def _list_backgrounds(request: Request) -> Response:
    return JSONResponse(room_of(request).backgrounds.to_json())


async def _show_background(request: Request) -> Response:
    background = room_of(request).backgrounds.get(request.path_params["number"])
    return FileResponse(background.path, media_type="image/jpeg")


async def _remove_background(request: Request) -> Response:
    room_of(request).backgrounds.remove(request.path_params["number"])
    return JSONResponse({"removed": True})
