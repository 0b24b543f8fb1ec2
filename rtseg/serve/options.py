"""How a server is to be: where it listens, what it shows, and what it takes at most."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from rtseg.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is taken at most; everything beyond is refused with one line."""

    upload_mb: int = 512
    """Size of a video."""
    video_seconds: float = 1800.0
    """Length of a video."""
    video_pixels: int = 3840 * 2160
    """Pixels of a picture of a video."""
    background_mb: int = 16
    """Size of a background picture."""
    backgrounds: int = 32
    """Background pictures kept."""
    cameras: int = 4
    """Browsers' cameras at once."""
    viewers: int = 16
    """Viewers of all streams together."""
    jobs: int = 16
    """Videos kept, done and waiting."""
    job_seconds: float = 3600.0
    """How long a video and what was made of it is kept after it was last asked for."""
    connections: int = 256
    """TCP connections at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Everything about a server."""

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    """What must be shown to be let in; None: nobody is asked, which loopback alone allows."""
    streams: tuple[str, ...] = ()
    """Cameras, addresses, files and scenes that are shown to everybody."""
    source_options: dict[str, str] = field(default_factory=dict)
    """Options of these."""
    model: str = "person"
    effect: str | None = None
    backend: str = "auto"
    precision: str = "auto"
    limits: Limits = field(default_factory=Limits)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Find out whether a host name or address is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_options(options: ServeOptions) -> None:
    """Raise ConfigError for options that cannot be right."""
    if not 0 <= options.port <= 65535:
        raise ConfigError(f"--port: got {options.port}; expected 0 to 65535. Choose another.")
    if options.token is not None and not 8 <= len(options.token) <= 200:
        raise ConfigError("--token: got one of fewer than 8 or more than 200 characters; expected 8 to 200.")
    if options.token is not None and not all(
        "!" <= sign <= "~" and sign not in "\"';,\\&#%+" for sign in options.token
    ):
        raise ConfigError("--token: got signs that an address or a cookie cannot carry; expected letters and digits.")
    if not options.is_loopback and options.token is None:
        raise ConfigError(f"--host: got {options.host} without a token; expected one. Give --token.")
