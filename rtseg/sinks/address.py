"""The address of a live output: taken apart once, and never shown with its secrets.

What follows a `#` is for rtseg and goes to no server: `rtmp://host/app/key#bitrate=3M,keyframes=2,audio=off`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from rtseg.errors import ConfigError
from rtseg.redaction import redact

DEFAULT_PORTS: Final = {"rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "udp": None, "srt": None}
"""Schemes that a live output may have, and the port where the address names none."""

_UNITS: Final = {"k": 1_000, "m": 1_000_000}
_WORDS: Final = {"on": True, "yes": True, "1": True, "off": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What may follow the `#` of a live output."""

    bitrate: int | None = None
    """Most bits a second of the picture; None: by size and rate."""
    keyframes_seconds: float = 2.0
    """Longest time between two pictures that can be decoded alone."""
    audio: bool = True
    """Whether the sound goes along."""
    verify: bool = True
    """Whether the certificate of a TLS server must be valid."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a URL. `str()` and `repr()` show no secret."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    """From the first slash on, without the query."""
    query: str = field(repr=False)
    user: str = field(repr=False)
    password: str = field(repr=False)
    shown: str
    """The URL as it may be seen by anyone."""
    options: LiveOptions = LiveOptions()

    def __str__(self) -> str:
        return self.shown

    @property
    def is_tls(self) -> bool:
        """True where the scheme asks for TLS."""
        return self.scheme in ("rtmps", "rtsps")

    @property
    def base(self) -> str:
        """The URL without user, password and fragment, as a server is told it. Not for logs: queries hold secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{host}{port}{self.path}{query}"

    def query_value(self, name: str) -> str | None:
        """Return a value of the query; None where it is not there."""
        return dict(parse_qsl(self.query)).get(name)


def parse_address(url: str) -> Address:
    """Return the parts of a live output's URL.

    Raises:
        ConfigError: scheme, host, port or an option cannot be right; the message holds no secret.
    """
    address, _, fragment = url.partition("#")
    shown = redact(address)
    scheme = address.partition(":")[0].lower()
    if scheme not in DEFAULT_PORTS:
        raise ConfigError(f"output {shown}: got {scheme}://; expected {', '.join(DEFAULT_PORTS)}. Choose one of them.")
    try:
        parts = urlsplit(address)
        host, port = _host_and_port(parts, scheme)
    except ValueError:
        try:  # a password may hold signs that should have been written as %2F, %3A, %40
            parts = urlsplit(_escaped(address))
            host, port = _host_and_port(parts, scheme)
        except ValueError:
            raise ConfigError(  # not chained: what it would tell is a piece of the password
                f"output {shown}: got no usable host and port; expected {scheme}://HOST:PORT/…. Mend the address."
            ) from None
    if not host:
        raise ConfigError(f"output {shown}: got no host; expected {scheme}://HOST:PORT/…. Name one.")
    if not port:
        raise ConfigError(f"output {shown}: got no port; expected {scheme}://HOST:PORT. Name one, such as 1234.")
    return Address(
        scheme=scheme,
        host=host.lstrip("@"),
        port=port,
        path=parts.path,
        query=parts.query,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        shown=shown,
        options=parse_live_options(fragment, shown),
    )


def parse_live_options(text: str, shown: str) -> LiveOptions:
    """Return the options in "bitrate=3M,keyframes=1"; `&` parts them as well.

    Raises:
        ConfigError: an option is unknown or its value cannot be right.
    """
    given: dict[str, str] = {}
    for pair in filter(None, text.replace("&", ",").split(",")):
        name, equals, value = pair.partition("=")
        if name not in ("bitrate", "keyframes", "audio", "verify") or not equals:
            raise ConfigError(
                f"output {shown}: got the option {name!r} after #; expected bitrate=3M, keyframes=SECONDS, "
                f"audio=off or verify=off. Give one of these."
            )
        given[name] = value
    return LiveOptions(
        bitrate=_bits(given["bitrate"], shown) if "bitrate" in given else None,
        keyframes_seconds=_seconds(given.get("keyframes", "2"), shown),
        audio=_switch(given.get("audio", "on"), "audio", shown),
        verify=_switch(given.get("verify", "on"), "verify", shown),
    )


def _host_and_port(parts: SplitResult, scheme: str) -> tuple[str | None, int | None]:
    return parts.hostname, parts.port or DEFAULT_PORTS[scheme]


def _escaped(address: str) -> str:
    """Return the address with everything before its last @ taken for user and password, and escaped."""
    scheme, _, rest = address.partition("://")
    login, _, place = rest.rpartition("@")
    user, _, password = login.partition(":")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{place}"


def _bits(text: str, shown: str) -> int:
    unit = _UNITS.get(text[-1:].lower(), 1)
    try:
        bits = int(float(text.rstrip("kKmM")) * unit)
    except (ValueError, OverflowError):
        bits = 0
    if not 50_000 <= bits <= 200_000_000:
        raise ConfigError(f"output {shown}: got bitrate={text}; expected 50k to 200M bits a second. Give another.")
    return bits


def _seconds(text: str, shown: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 30:
        raise ConfigError(f"output {shown}: got keyframes={text}; expected 0.1 to 30 seconds. Give another.")
    return seconds


def _switch(text: str, name: str, shown: str) -> bool:
    if text.lower() not in _WORDS:
        raise ConfigError(f"output {shown}: got {name}={text}; expected on or off. Give one of these.")
    return _WORDS[text.lower()]
