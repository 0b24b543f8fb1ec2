"""A stream as JPEG pictures one after the other, for whatever shows an `<img>`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from starlette.responses import Response

from rtseg.serve.guard import Receive, Scope, Send
from rtseg.serve.live_sink import JPEG
from rtseg.serve.mailbox import Mailbox
from rtseg.serve.streams import Stream

BOUNDARY: Final = "rtseg-frame"


class MjpegResponse(Response):
    """Sends the pictures of a stream until the client, the stream or the server ends."""

    def __init__(self, stream: Stream, on_end: Callable[[MjpegResponse], None]) -> None:
        super().__init__(media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-store"
        # Pages elsewhere may show it (a dashboard's <img>), but not read it: nothing allows that.
        self.headers["cross-origin-resource-policy"] = "cross-origin"
        self._stream = stream
        self._on_end = on_end
        self._box = Mailbox()

    @property
    def box(self) -> Mailbox:
        """What waits for the client."""
        return self._box

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["method"] == "HEAD":
            self._on_end(self)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
            return
        watching = asyncio.ensure_future(self._watch(receive))
        self._stream.join(JPEG, self._box)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (picture := await self._box.get()) is not None:
                await send({"type": "http.response.body", "body": _part(bytes(picture)), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._stream.leave(self._box)
            self._on_end(self)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, receive: Receive) -> None:
        """Close the mailbox when the client has gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._box.close()


def _part(picture: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
    return head.encode() + picture + b"\r\n"
