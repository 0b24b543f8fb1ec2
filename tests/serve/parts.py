"""A server in a thread of its own, and browsers for it: WebRTC by aiortc, HTTP by the standard library."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from rtseg.serve.options import Limits, ServeOptions
from rtseg.serve.room import Room
from rtseg.serve.server import listen, serving


class ServerUnderTest:
    """`rtseg serve` on a free port of loopback; a context manager."""

    def __init__(self, *, limits: Limits | None = None, **options: Any) -> None:
        self.options = ServeOptions(**{"port": 0, "limits": limits or Limits(), **options})
        self.listener = listen(self.options.host, self.options.port)
        self.port = self.listener.getsockname()[1]
        self.room: Room = None  # type: ignore[assignment]
        self.loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]
        self.ended_in_seconds = 0.0
        self.error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server under test", daemon=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  the test raises it
            self.error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.room = Room(self.options)
        await serving(self.room, self.listener, on_ready=self._ready.set, signals=False)

    def __enter__(self) -> ServerUnderTest:
        self._thread.start()
        assert self._ready.wait(30)
        if self.error is not None:
            self.listener.close()
            raise self.error
        return self

    def __exit__(self, *_: object) -> None:
        began = time.monotonic()
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.room.ending.set)
            self._thread.join(20)
        self.ended_in_seconds = time.monotonic() - began
        self.listener.close()
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        timeout_seconds: float = 20.0,
    ) -> Answer:
        """One request; a body that is no bytes goes as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_seconds)
        coded = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
        try:
            connection.request(method, path, coded, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def in_loop(self, work: Callable[[], Any]) -> Any:
        """Call a function in the server's event loop and return what it returns."""

        async def call() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(10)


class Answer:
    """Status, body and headers."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:200]!r}"


class PictureTrack(MediaStreamTrack):
    """A camera: one picture after the other, again and again, at its own rate."""

    kind = "video"

    def __init__(self, pictures: list[np.ndarray], fps: float = 15.0) -> None:
        super().__init__()
        self._pictures = pictures
        self._fps = fps
        self._began = time.monotonic()
        self.sent = 0

    async def recv(self) -> av.VideoFrame:
        if self.readyState == "ended":
            raise MediaStreamError
        self.sent += 1
        await asyncio.sleep(max(0.0, self._began + self.sent / self._fps - time.monotonic()))
        frame = av.VideoFrame.from_ndarray(self._pictures[self.sent % len(self._pictures)], format="rgb24")
        frame.pts, frame.time_base = int(self.sent * 90_000 / self._fps), Fraction(1, 90_000)
        return frame


class Silent:
    """A socket that says nothing any more and hears nothing, as that of a machine that was switched off."""

    def __init__(self, protocol: Any) -> None:
        self._socket = protocol.transport
        protocol.transport = self
        protocol.datagram_received = lambda *_: None

    def sendto(self, *_: object) -> None:
        pass

    def close(self) -> None:
        self._socket.close()

    def get_extra_info(self, name: str) -> Any:
        return self._socket.get_extra_info(name)


class Browser:
    """One page: sends a camera maybe, takes what comes back."""

    def __init__(self, server: ServerUnderTest, pictures: list[np.ndarray] | None = None, fps: float = 15.0) -> None:
        self._server = server
        self._pictures = pictures
        self._fps = fps
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.frames: list[np.ndarray] = []
        self.frame_count = 0
        self.told: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        self._reading: list[asyncio.Task[None]] = []

    async def offer(self) -> str:
        if self._pictures is not None:
            channel = self.connection.createDataChannel("stats")
            channel.on("message", lambda text: self.told.append(json.loads(text)))
            self.connection.addTrack(PictureTrack(self._pictures, self._fps))
        else:
            self.connection.addTransceiver("video", direction="recvonly")
        self.connection.on("track", lambda track: self._reading.append(asyncio.ensure_future(self._read(track))))
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def start(self, path: str = "/api/camera", **body: Any) -> Browser:
        sdp = await self.offer()
        asked = {"sdp": sdp, "type": "offer", **body}
        answer = await asyncio.to_thread(self._server.ask, "POST", path, asked, timeout_seconds=60)
        assert answer.status == 200, answer
        self.answer = answer.json
        await self.connection.setRemoteDescription(RTCSessionDescription(self.answer["sdp"], "answer"))
        return self

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        return await asyncio.to_thread(self._server.ask, method, path, body)

    async def _read(self, track: Any) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.frame_count += 1
                self.frames.append(frame.to_ndarray(format="rgb24"))
                del self.frames[:-30]

    async def wait_for_frames(self, count: int, seconds: float = 40.0) -> None:
        wanted = self.frame_count + count
        await wait_until(lambda: self.frame_count >= wanted, seconds)

    async def close(self) -> None:
        await self.connection.close()
        for task in self._reading:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def vanish(self) -> None:
        """End without a word, as a killed browser does."""
        for connection in _ice_connections(self.connection):
            for protocol in connection._protocols:
                Silent(protocol)


def _ice_connections(connection: RTCPeerConnection) -> set[Any]:
    parts = [transceiver.receiver.transport for transceiver in connection.getTransceivers()]
    return {part.transport._connection for part in parts}


async def wait_until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until something holds, or fail."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        await asyncio.sleep(0.05)


def run(work: Coroutine[Any, Any, Any], seconds: float = 80.0) -> Any:
    """Run a test's coroutine in a loop of its own."""

    async def bounded() -> Any:
        return await asyncio.wait_for(work, seconds)

    return asyncio.run(bounded())


def small_limits(**changes: Any) -> Limits:
    """Limits that a test can reach."""
    return replace(Limits(upload_mb=4, background_mb=1, backgrounds=3, cameras=2, viewers=3, jobs=2), **changes)
