"""One TCP or TLS connection of a live sink, which never waits longer than it may and can be cut from outside.

Note [Cutting a connection]: every wait is a `select` of at most `SLICE_SECONDS`, after which the flag that `cut` sets
is looked at. No other thread touches the socket, so nothing is closed under anybody's hands, and a peer that takes
nothing holds a stop up for a twentieth of a second.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from rtseg.errors import SinkError
from rtseg.sinks.address import Address

SLICE_SECONDS: Final = 0.05
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 5.0
STALL_SECONDS: Final = 5.0
"""How long a peer may take nothing at all before it counts as gone."""

BYTES_AT_ONCE: Final = 65_536
SEND_BUFFER_BYTES: Final = 262_144
"""What the system may hold for a slow peer; left to itself it would keep ten seconds of old pictures."""

Answer = TypeVar("Answer")


class PeerClosed(SinkError):
    """The peer has closed the connection by itself."""


class Wire:
    """A connection to the host of an address.

    Threading: one thread; `cut` from any.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._cut = False

    def connect(self) -> None:
        """Connect, with TLS where the scheme asks for it.

        Raises:
            SinkError: no such host, refused, no answer in time, or TLS failed: each with its own message.
        """
        self._cut = False
        problem: SinkError | None = None
        for family, kind, protocol, _, place in self._places():
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            try:
                self._connect_to(place)
                problem = None
                break
            except SinkError as error:
                self.close()
                problem = error
        if problem is not None:
            raise problem
        self._open_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._address.is_tls:
            self._start_tls()

    def send(self, content: bytes | bytearray | memoryview) -> None:
        """Send everything.

        Raises:
            SinkError: the peer is gone, or has taken nothing for `STALL_SECONDS`.
        """
        rest = memoryview(content)
        while rest:
            part = rest[:BYTES_AT_ONCE]
            sent = self._when_ready(partial(self._open_socket.send, part), STALL_SECONDS, for_writing=True)
            rest = rest[sent:]

    def receive(self, seconds: float = ANSWER_SECONDS) -> bytes:
        """Return what has come, at least one byte, waiting for it.

        Raises:
            SinkError: the peer is gone, or nothing came in time.
        """
        content = self._when_ready(partial(self._open_socket.recv, BYTES_AT_ONCE), seconds)
        if not content:
            raise PeerClosed(str(self.lost("it closed the connection")))
        return content

    def pending(self) -> bytes:
        """Return what has come, without waiting; nothing: b"".

        Raises:
            SinkError: the peer has closed the connection.
        """
        try:
            content = self._open_socket.recv(BYTES_AT_ONCE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError as error:
            raise self.lost(_words(error)) from error
        if not content:
            raise PeerClosed(str(self.lost("it closed the connection")))
        return content

    def listen(self, seconds: float) -> bytes:
        """Return everything that comes within a time.

        Raises:
            SinkError: the peer has closed the connection meanwhile.
        """
        until, content = time.monotonic() + seconds, b""
        while (left := until - time.monotonic()) > 0 and not self._cut:
            if is_ready(self._open_socket, min(left, SLICE_SECONDS)):
                content += self.pending()
        return content

    def cut(self) -> None:
        """Make whatever waits give up within `SLICE_SECONDS`, and everything after it at once."""
        self._cut = True

    def close(self) -> None:
        """Let go of the socket, without waiting for what is still on its way; idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def lost(self, reason: str) -> SinkError:
        """Return the error for a peer that is gone."""
        return SinkError(
            f"output {self._address}: got a lost connection ({reason}); expected the peer to go on reading. "
            f"Check the server."
        )

    @property
    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise self.lost("it is not open")
        return self._socket

    def _places(self) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
        try:
            found = socket.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise SinkError(
                f"output {self._address}: got no address for the host {self._address.host}; expected one that can be "
                f"found. Check its name and the network."
            ) from error
        return [(int(family), int(kind), *rest) for family, kind, *rest in found]  # type: ignore[misc]

    def _connect_to(self, place: tuple[object, ...]) -> None:
        number = self._open_socket.connect_ex(place)
        if number in (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY):
            self._wait(CONNECT_SECONDS, for_writing=True, fault="given no answer")
            number = self._open_socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number == 0:
            return
        where = f"{self._address.host}, port {self._address.port}"
        if number == errno.ECONNREFUSED:
            raise SinkError(
                f"output {self._address}: got 'connection refused' by {where}; expected a server that listens there. "
                f"Start it, or check the port."
            )
        raise SinkError(
            f"output {self._address}: got {errno.errorcode.get(number, number)} from {where}; expected a host that can "
            f"be reached. Check the network."
        )

    def _start_tls(self) -> None:
        context = ssl.create_default_context()
        if not self._address.options.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            secure = context.wrap_socket(
                self._open_socket, server_hostname=self._address.host, do_handshake_on_connect=False
            )
            self._socket = secure
            self._when_ready(secure.do_handshake, CONNECT_SECONDS)
        except SinkError as error:
            self.close()
            raise self._tls_error(error) from error

    def _tls_error(self, error: SinkError) -> SinkError:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SinkError(
                f"output {self._address}: got a certificate that is not trusted ({cause.verify_message}); expected a "
                f"valid one. Mend the certificate, or add #verify=off if you know the server."
            )
        if isinstance(cause, OSError):
            return SinkError(
                f"output {self._address}: got no TLS from the server ({_words(cause)}); expected "
                f"{self._address.scheme}. Check scheme and port."
            )
        return error

    def _when_ready(self, step: Callable[[], Answer], seconds: float, *, for_writing: bool = False) -> Answer:
        """Do a step that may have to wait for the socket; TLS says itself for which way."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._wait(seconds)
            except ssl.SSLWantWriteError:
                self._wait(seconds, for_writing=True)
            except BlockingIOError:
                self._wait(seconds, for_writing=for_writing)
            except OSError as error:
                raise self.lost(_words(error)) from error

    def _wait(self, seconds: float, *, for_writing: bool = False, fault: str = "") -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._cut:
                raise self.lost("the run was stopped")
            if is_ready(self._open_socket, SLICE_SECONDS, for_writing=for_writing):
                return
        what = fault or ("taken nothing" if for_writing else "given no answer")
        raise SinkError(
            f"output {self._address}: got a timeout, the peer has {what} for {seconds:.2g} s; expected it to keep up. "
            f"Check the server and the network."
        )


def is_ready(waiting: socket.socket, seconds: float, *, for_writing: bool = False) -> bool:
    """Wait for a socket that much at most; return whether it can be read (or written) or has failed."""
    if hasattr(select, "poll"):  # select() itself refuses descriptors above 1023
        poll = select.poll()
        poll.register(waiting, select.POLLOUT if for_writing else select.POLLIN)
        return bool(poll.poll(1000 * seconds))
    mine = [waiting]
    return any(select.select([] if for_writing else mine, mine if for_writing else [], mine, seconds))


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
