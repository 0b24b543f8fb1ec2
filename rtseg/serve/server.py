"""The server round the application: its socket, its connections, its beginning and its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rtseg.errors import ConfigError
from rtseg.serve.app import build_app
from rtseg.serve.options import ServeOptions, check_options
from rtseg.serve.room import Room

HEAD_SECONDS: Final = 10.0
"""How long a connection may take until its first request has begun to be answered."""
SEND_BUFFER_BYTES: Final = 262_144
GONE_MS: Final = 8000
"""How long data may go without an acknowledgement."""
END_SECONDS: Final = 1
"""How long requests that are being answered may go on after the end was asked for."""
MOST_HEAD_BYTES: Final = 32_768


class PatientOnce(H11Protocol):
    """Gives up connections that take too long to say what they want, or are too many."""

    most_connections = 256

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, and give it until the deadline to send a whole head."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)
        if len(self.connections) > self.most_connections:
            transport.abort()
            return
        own: socket.socket = transport.get_extra_info("socket")
        # What the kernel keeps for a client that has gone is kept small, and given up in time.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_MS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Give the next request of the connection a deadline of its own."""
        super().on_response_complete()
        self._deadline.cancel()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class Server(uvicorn.Server):
    """Uvicorn, ended by the room's own hand: signals are taken in `serving`."""

    @contextmanager
    def capture_signals(self) -> Any:
        """Leave the signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return the listening socket.

    Raises:
        ConfigError: the port is taken, or the address is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--host: got {host!r}; expected an address of this machine. Try 127.0.0.1.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(_why_not(error, host, port)) from error
    listener.setblocking(False)
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port: got {port}, which is in use; expected a free one. Try --port {(port + 1) % 65536}."
    if error.errno == errno.EACCES:
        return f"--port: got {port}, which needs more rights; expected 1024 or above. Try --port 8000."
    return f"--host: got {host} ({error.strerror}); expected an address of this machine. Try 127.0.0.1."


def address_of(options: ServeOptions, listener: socket.socket) -> str:
    """Return the address to open, with the token in it where one is asked for."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={options.token}" if options.token else "")


async def serving(
    room: Room, listener: socket.socket, *, on_ready: Callable[[], None] = lambda: None, signals: bool = True
) -> None:
    """Answer requests until a signal comes or `room.ending` is set, then end everything.

    Args:
        room: what the requests share; closed at the end.
        listener: closed at the end.
        on_ready: called once requests are answered.
        signals: take SIGINT and SIGTERM for the end; only in the main thread.
    """
    room.open()
    server = Server(_config(room))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_tell_trouble)
    if signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows; there Ctrl-C interrupts the loop itself
                loop.add_signal_handler(number, room.ending.set)
    answering = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        while not server.started and not answering.done():
            await asyncio.sleep(0.01)
        on_ready()
        await asyncio.wait([answering, asyncio.ensure_future(room.ending.wait())], return_when="FIRST_COMPLETED")
    finally:
        room.ending.set()
        server.should_exit = True
        await asyncio.gather(answering, room.close())


def _tell_trouble(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell what went wrong in the loop, but not what a stranger's offer did to its own connection."""
    work = getattr(context.get("future"), "get_coro", lambda: None)()
    file = getattr(getattr(work, "cr_code", None), "co_filename", "")
    if not any(library in Path(file).parts for library in ("aiortc", "aioice")):
        loop.default_exception_handler(context)


def _config(room: Room) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    kind = type("Connection", (PatientOnce,), {"most_connections": room.options.limits.connections})
    return uvicorn.Config(
        build_app(room),
        http=kind,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=END_SECONDS,
    )


def serve(options: ServeOptions, *, on_ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        options: everything about the server.
        on_ready: called with the address to open.

    Raises:
        ConfigError: the port is taken, or another option cannot be right.
        RtsegError: a model or a stream is not there.
    """
    check_options(options)
    listener = listen(options.host, options.port)

    async def run() -> None:
        room = Room(options)
        await serving(room, listener, on_ready=lambda: on_ready(address_of(options, listener)))

    try:
        asyncio.run(run())
    finally:
        listener.close()
