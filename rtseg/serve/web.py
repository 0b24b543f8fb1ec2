"""What all addresses share: the room, the JSON of a body, and errors as answers."""

from __future__ import annotations

import json
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rtseg.errors import BackendUnavailable, ConfigError, EngineError, RtsegError
from rtseg.redaction import redact
from rtseg.serve.guard import FAULT, TOO_SLOW, Refused
from rtseg.serve.refusals import NotThere, TooMany
from rtseg.serve.room import Room

_STATUS: Final[tuple[tuple[type[RtsegError], int], ...]] = (
    (NotThere, 404),
    (TooMany, 429),
    (ConfigError, 400),
    (BackendUnavailable, 409),
    (EngineError, 409),
)
"""How an error of rtseg's is answered: it is the request's, or the state of things', never a fault of the server's."""


def room_of(request: Request) -> Room:
    """Return the room of the application."""
    room: Room = request.app.state.room
    return room


async def json_of(request: Request) -> object:
    """Return the JSON in a body; an empty one is an empty object. Raises ConfigError where it is none."""
    return parsed(await request.body())


def parsed(text: bytes | str) -> object:
    """Return JSON; no text is an empty object. Raises ConfigError where it is none."""
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"body: got no JSON ({type(error).__name__}); expected an object. Mend it.") from error


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer an error of rtseg's with its line."""
    del request
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
    return JSONResponse({"error": redact(str(error))}, status)


async def answer_http(request: Request, error: Exception) -> Response:
    """Answer what the router refuses."""
    del request
    status = error.status_code if isinstance(error, HTTPException) else 400
    line = {404: "nothing at this address", 405: "a method that it does not know"}.get(status, "a bad request")
    headers = getattr(error, "headers", None)
    return JSONResponse({"error": f"request: got {line}; expected one of /openapi.json."}, status, headers=headers)


async def answer_fault(request: Request, error: Exception) -> Response:
    """Answer what the server itself got wrong; the guard tells its log what it was."""
    del request, error
    return JSONResponse({"error": FAULT}, 500)


async def answer_refused(request: Request, error: Exception) -> Response:
    """Answer a body that is too large or comes too slowly; the connection ends, as more of it may be on its way."""
    del request
    refused = error if isinstance(error, Refused) else Refused(408, TOO_SLOW)
    return JSONResponse({"error": refused.line}, refused.status, headers={"connection": "close"})


async def answer_gone(request: Request, error: Exception) -> Response:
    """Answer nobody: the client has gone."""
    del request, error
    return Response(status_code=400)
