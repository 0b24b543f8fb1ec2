"""What the address of a network stream says: where it leads, what it is called, and what FFmpeg is told."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from rtseg.errors import ConfigError
from rtseg.redaction import redact, safe_name

TLS_SCHEMES: Final = frozenset({"rtsps", "rtmps", "https"})
DEFAULT_PORTS: Final = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
SCHEMES: Final = (*DEFAULT_PORTS, "udp", "srt")
"""Schemes of network streams that are known."""

PROBE_BYTES: Final = 1_000_000
"""What FFmpeg may read to find out what a stream holds; its own default is five times that."""
PROBE_SECONDS: Final = 1.0
"""How much of a stream it may look at for that; its own default is five seconds."""
UDP_SOCKET_BYTES: Final = 2 << 20
"""The socket's own buffer: a key frame of a good camera arrives as a burst of half a megabyte."""

_PROTOCOLS: Final = "rtp,srtp,udp,tcp,tls,crypto,http,https,httpproxy,rtmp,rtmps,rtsp,rtsps,hls,data,srt"
"""What a stream may lead on to; no `file`, so that nobody's playlist can name files of this machine."""
_ADDRESS: Final = re.compile(r"^(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://")
_FILE_SUFFIXES: Final = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".wmv", ".ogv"})


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """An address, taken apart; shown without credentials wherever it is printed."""

    url: str = field(repr=False)
    """As it was given, with credentials: for FFmpeg only."""
    scheme: str
    """In small letters."""
    host: str = ""
    """Empty for a UDP socket that listens on every address."""
    port: int | None = None

    @property
    def name(self) -> str:
        """A short name for stats and file names, without credentials."""
        return safe_name(self.url)

    @property
    def uses_tls(self) -> bool:
        """True where the connection is encrypted."""
        return self.scheme in TLS_SCHEMES

    @property
    def is_connected(self) -> bool:
        """True where a host is connected to, so that its name, port and answer can be told apart."""
        return self.scheme in DEFAULT_PORTS and bool(self.host)

    def __str__(self) -> str:
        return redact(self.url)


def is_stream_address(text: str) -> bool:
    """Return whether a text begins as an address does, with a scheme and `://`."""
    return _ADDRESS.match(text) is not None


def is_live_address(text: str) -> bool:
    """Return whether an address is probably of a live stream, from its words alone: not an http address of a file."""
    scheme = text.partition(":")[0].lower()
    suffix = PurePosixPath(text.partition("?")[0]).suffix.lower()
    return not (scheme in ("http", "https") and suffix in _FILE_SUFFIXES)


def parse_address(text: str) -> StreamAddress:
    """Return an address taken apart.

    Raises:
        ConfigError: a scheme that is not known, no host, or a port that is no number.
    """
    found = _ADDRESS.match(text)
    scheme = found["scheme"].lower() if found else ""
    if scheme not in SCHEMES:
        raise ConfigError(
            f"source {redact(text)}: got the scheme {scheme or 'of nothing'}; "
            f"expected {', '.join(SCHEMES)}. Change the address."
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(scheme)
    except ValueError as error:
        raise ConfigError(
            f"source {redact(text)}: got an address that cannot be read ({redact(str(error))}); "
            f"expected {scheme}://HOST:PORT/PATH. A password with /, ? or # has to be written with %2F, %3F, %23."
        ) from None
    if not host and scheme != "udp":
        raise ConfigError(f"source {redact(text)}: got no host; expected {scheme}://HOST/PATH. Name the host.")
    if scheme == "udp" and port is None:
        raise ConfigError(f"source {redact(text)}: got no port; expected udp://HOST:PORT. Name the port.")
    return StreamAddress(text, scheme, host, port)


def demuxer_options(
    address: StreamAddress, *, transport: str, tls_verify: bool, probe_seconds: float, probe_bytes: int
) -> dict[str, str]:
    """Return what FFmpeg is told by default: little probing, no buffering where there is a choice.

    Not `nobuffer`: it throws away what was read while probing, and with it the first key frame.
    """
    options = {
        "probesize": str(probe_bytes),
        "analyzeduration": str(round(probe_seconds * 1e6)),
        "protocol_whitelist": _PROTOCOLS,
    }
    if address.scheme not in ("http", "https"):  # there it may be a file, whose rate is worth looking for
        options["fpsprobesize"] = "0"
    if address.scheme in ("rtsp", "rtsps"):
        options |= {"rtsp_transport": transport, "allowed_media_types": "video+audio"}
    elif address.scheme in ("rtmp", "rtmps"):
        options |= {"rtmp_live": "live", "rtmp_buffer": "100", "tcp_nodelay": "1"}
    elif address.scheme == "udp":
        options |= {"buffer_size": str(UDP_SOCKET_BYTES), "overrun_nonfatal": "1"}
    elif address.scheme in ("http", "https"):
        options |= {"reconnect": "1", "reconnect_delay_max": "2", "live_start_index": "-2"}
    if address.uses_tls:
        options["tls_verify"] = "1" if tls_verify else "0"
        options |= _certificates() if tls_verify else {}
    return options


def _certificates() -> dict[str, str]:
    """Return where this system keeps the certificates that it trusts; the FFmpeg of the wheels looks elsewhere."""
    paths = ssl.get_default_verify_paths()
    return {"ca_file": paths.cafile} if paths.cafile else {}


def check_stream_options(
    address: StreamAddress,
    transport: str,
    open_seconds: float,
    probe_seconds: float,
    probe_bytes: int,
    duration_seconds: float | None,
) -> None:
    """Raise ConfigError for an option of a stream that cannot be right."""
    if transport not in ("tcp", "udp", "udp_multicast", "http"):
        raise ConfigError(f"{address}: got transport {transport!r}; expected tcp, udp, udp_multicast or http. Use tcp.")
    if not (0 < open_seconds <= 3600 and 0 <= probe_seconds <= 60 and 32 <= probe_bytes <= 1 << 30):
        raise ConfigError(
            f"{address}: got open_timeout {open_seconds} s, probe_seconds {probe_seconds}, probe_bytes {probe_bytes}; "
            "expected more than 0 s, 0 to 60 s, 32 bytes or more. Change the value."
        )
    if duration_seconds is not None and not duration_seconds > 0:
        raise ConfigError(f"{address}: got duration {duration_seconds} s; expected more than 0. Change it.")
