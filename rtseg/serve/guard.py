"""What stands before every request: who may ask, from which page, how much and how slowly.

Note [Rebinding]: a stranger's page can make its own name lead to 127.0.0.1 and then talk to this server as its own. The
Host header still says the stranger's name, so only addresses of this server are let in.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG: Final = logging.getLogger("rtseg.serve")
RECEIVE_SECONDS: Final = 10.0
"""How long the next piece of a body may take."""
DRAIN_SECONDS: Final = 2.0
"""How long what is left of a body is taken after it was answered."""
LEAST_BYTES_A_SECOND: Final = 20_000
"""How slowly a body may come after the first seconds."""
FAULT: Final = "server: got an error of its own; expected none. Please report it."
TOO_SLOW: Final = "request: got its body too slowly; expected it at once. Send it again."
SEND_SECONDS: Final = 8.0
"""How long a client may take nothing of an answer."""
JSON_BYTES: Final = 256_000
"""Size of a body where no more is said."""
COOKIE: Final = "rtseg_token"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS: Final = frozenset({"/healthz"})
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: mediastream:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)


class Refused(Exception):
    """A request that is not let in: its status and the line that says why."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status
        self.line = line


class ClientTooSlow(Exception):
    """The client sends or takes so slowly that it is given up."""


class Guard:
    """ASGI middleware round the whole application."""

    def __init__(
        self,
        app: App,
        *,
        host: str,
        token: str | None,
        body_limit: Callable[[str, str], int],
    ) -> None:
        """Take the application, where it listens, the token, and how large the body of a request may be."""
        self._app = app
        self._host = host
        self._token = token
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        exchange = _Exchange(receive, send, self._body_limit(scope["method"], scope["path"]))
        try:
            self._check(scope, headers)
            exchange.check_length(headers)
            exchange.cookie = self._cookie_for(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Refused as refused:
            await exchange.refuse(refused)
        except ClientTooSlow:
            await exchange.refuse(Refused(408, TOO_SLOW))
        except OSError:
            return  # the client has gone
        except Exception:  # noqa: BLE001  the last place; it is told, and the server goes on
            _LOG.exception("a request failed: %s %s", scope["method"], scope["path"][:200])
            await exchange.refuse(Refused(500, FAULT))

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        if not self._is_own(host):
            raise Refused(421, f"host: got {host[:60]!r}; expected this server's address. Open it by its address.")
        self._check_token(scope, headers)
        origin = headers.get("origin")
        if scope["method"] in SAFE_METHODS:
            return
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "origin: got a request of another site; expected this page's. Open the page itself.")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refused(403, f"origin: got {origin[:60]!r}; expected this page's own. Open the page itself.")

    def _is_own(self, host: str) -> bool:
        """Find out whether a Host header names this server; where a token is asked for, any name may lead here."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is not None and (self._token is not None or name in ("localhost", self._host.lower())):
            return True
        try:
            return ipaddress.ip_address(name or "").is_loopback
        except ValueError:
            return False

    def _check_token(self, scope: Scope, headers: dict[str, str]) -> None:
        if self._token is None or scope["path"] in OPEN_PATHS:
            return
        if not any(_same(shown, self._token) for shown in _shown_tokens(scope, headers)):
            raise Refused(401, "token: got none or a wrong one; expected the server's. Open the address it printed.")

    def _cookie_for(self, scope: Scope) -> str | None:
        """Return the cookie to set where the token came in the address of the page."""
        if self._token is None or scope["path"] != "/" or not any(_query_tokens(scope)):
            return None
        return f"{COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Strict"


def _shown_tokens(scope: Scope, headers: dict[str, str]) -> list[str]:
    shown = [*_query_tokens(scope)]
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        shown.append(value.strip())
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    return [*shown, cookie.value] if cookie is not None else shown


def _query_tokens(scope: Scope) -> list[str]:
    try:
        return parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=50).get("token", [])
    except ValueError:
        return []


def _same(shown: str, token: str) -> bool:
    return hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode())


class _Exchange:
    """One request and its answer, within limits of size and time."""

    def __init__(self, receive: Receive, send: Send, most_bytes: int) -> None:
        self.cookie: str | None = None
        self._receive = receive
        self._send = send
        self._most_bytes = most_bytes
        self._taken_bytes = 0
        self._began: float | None = None
        self._body_ended = False
        self._answering = False

    def check_length(self, headers: dict[str, str]) -> None:
        """Refuse a body that says it is too large before any of it is read."""
        stated = headers.get("content-length", "0")
        if stated.isdecimal() and int(stated[:20]) > self._most_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        """Return the next piece of the body; the wait for the other side's end, after it, has no limit."""
        if self._body_ended:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._began = self._began or now
        allowed = RECEIVE_SECONDS + self._taken_bytes / LEAST_BYTES_A_SECOND - (now - self._began)
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, min(RECEIVE_SECONDS, allowed)))
        except TimeoutError:
            raise ClientTooSlow from None
        if message["type"] == "http.request":
            self._taken_bytes += len(message.get("body", b""))
            self._body_ended = not message.get("more_body", False)
            if self._taken_bytes > self._most_bytes:
                raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Pass a piece of the answer on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self._answering = True
            given = [*message.get("headers", [])]
            present = {name.lower() for name, _ in given}
            own = [header for header in HEADERS if header[0] not in present]
            if self.cookie:
                own.append((b"set-cookie", self.cookie.encode()))
            message = {**message, "headers": [*given, *own]}
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._drain()
        try:
            await asyncio.wait_for(self._send(message), SEND_SECONDS)
        except TimeoutError:
            raise ClientTooSlow from None

    async def _drain(self) -> None:
        """Take the rest of a body that was answered early: a client that still sends would see a broken connection."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_SECONDS
        while not self._body_ended:
            try:
                message = await asyncio.wait_for(self._receive(), deadline - loop.time())
            except TimeoutError:
                return
            self._body_ended = message["type"] != "http.request" or not message.get("more_body", False)

    async def refuse(self, refused: Refused) -> None:
        """Answer with an error and end the connection, as some of the body may still be on its way."""
        if self._answering:
            return
        body = json.dumps({"error": refused.line}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await self.send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _too_large(self) -> Refused:
        return Refused(413, f"body: got more than {self._most_bytes} bytes; expected at most that. Send less.")
