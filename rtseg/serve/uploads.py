"""Bodies that are files: a picture as it is or in a form, and videos that are written to disk as they come."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

from starlette.requests import Request

from rtseg.errors import ConfigError


async def background_from(request: Request) -> tuple[bytes, str]:
    """Return the coded picture of a request and what it is called.

    The body is the picture itself (`?name=` says what it is called), or a form with the field `file`.

    Raises:
        ConfigError: there is none in it.
    """
    body = await request.body()
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        return _from_form(body, kind)
    if not body:
        raise ConfigError("background: got an empty body; expected a picture. Choose a file.")
    return body, request.query_params.get("name", "")


def _from_form(body: bytes, kind: str) -> tuple[bytes, str]:
    head = b"content-type: " + kind.encode("latin-1", "replace").replace(b"\r", b"").replace(b"\n", b"") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    for part in message.iter_parts() if message.is_multipart() else ():
        if part.get_param("name", header="content-disposition") == "file":
            content = part.get_payload(decode=True)
            if isinstance(content, bytes) and content:
                return content, part.get_filename() or ""
    raise ConfigError("background: got a form without a file; expected one named file. Send the picture itself.")
