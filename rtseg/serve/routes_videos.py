"""The addresses of videos: in, how far, out, away."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from rtseg.serve.jobs import RESULTS, VideoJob
from rtseg.serve.refusals import NotThere
from rtseg.serve.web import json_of, parsed, room_of


def video_routes() -> list[Route]:
    """Return the routes."""
    return [
        Route("/api/videos", _take, methods=["POST"]),
        Route("/api/videos", _list, methods=["GET"]),
        Route("/api/videos/{job}", _show, methods=["GET"]),
        Route("/api/videos/{job}", _remove, methods=["DELETE"]),
        Route("/api/videos/{job}/render", _render, methods=["POST"]),
        Route("/api/videos/{job}/source.mp4", _source, methods=["GET"]),
        Route("/api/videos/{job}/shares.json", _shares, methods=["GET"]),
        Route("/api/videos/{job}/{file}", _result, methods=["GET"]),
    ]


def _job(request: Request) -> VideoJob:
    return room_of(request).jobs.get(request.path_params["job"])


async def _take(request: Request) -> Response:
    query = request.query_params
    stated = request.headers.get("content-length", "0")
    job = await room_of(request).jobs.take(
        request.stream(),
        query.get("name", ""),
        parsed(query.get("settings", "")),
        int(stated) if stated.isdecimal() else 0,
    )
    return JSONResponse(job.to_json(), 201)


async def _list(request: Request) -> Response:
    return JSONResponse(room_of(request).jobs.to_json())


async def _show(request: Request) -> Response:
    return JSONResponse(_job(request).to_json())


async def _remove(request: Request) -> Response:
    return JSONResponse({"state": room_of(request).jobs.remove(request.path_params["job"]).state})


async def _render(request: Request) -> Response:
    return JSONResponse(room_of(request).jobs.render(request.path_params["job"], await json_of(request)).to_json())


async def _source(request: Request) -> Response:
    path, media_type = _job(request).source()
    return _file(path, media_type, request, "source")


async def _result(request: Request) -> Response:
    name, job = request.path_params["file"], _job(request)
    if name not in RESULTS:
        raise NotThere(f"video: got {name[:40]!r}; expected one of {', '.join(RESULTS)}, shares.json.")
    path = job.result(name)
    if name == "shares.parquet" and not path.exists() and job.work is not None:
        shares = job.work.shares
        await room_of(request).off_loop(lambda: path.write_bytes(shares.parquet()))
    return _file(path, RESULTS[name], request, Path(name).stem)


async def _shares(request: Request) -> Response:
    job = _job(request)
    job.result("shares.json")
    if job.work is None:
        raise NotThere("video: got no shares yet; expected them when it is done. Wait for it.")
    return JSONResponse(await room_of(request).off_loop(job.work.shares.to_json))


def _file(path: Path, media_type: str, request: Request, kind: str) -> Response:
    """Return a file, or the part of it that is asked for; a download is called after the upload."""
    if not path.exists():
        raise NotThere("video: got a file that is gone; expected one that is kept. Upload it again.")
    name = _job(request).name.rpartition(".")[0] or _job(request).name
    plain = "".join(sign if sign.isalnum() or sign in "-_. " else "-" for sign in name)
    suffix = path.suffix or f".{media_type.rpartition('/')[2]}"
    return FileResponse(
        path, media_type=media_type, filename=f"{plain}.{kind}{suffix}", content_disposition_type="inline"
    )
