"""What `rtseg serve` does with its options."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from dataclasses import dataclass
from typing import NoReturn

from rtseg.cli.request import key_values
from rtseg.errors import BackendUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """The words of the command line, as typed."""

    streams: tuple[str, ...]
    host: str
    port: int
    token: str | None
    model: str
    effect: str | None
    backend: str
    precision: str
    source_options: tuple[str, ...]
    upload_mb: int
    viewers: int
    quiet: bool


def execute(request: ServeRequest) -> int:
    """Serve until Ctrl-C and return the exit code.

    Raises:
        ConfigError: the port is taken, or another option cannot be right.
        BackendUnavailable: the packages of the extra `serve` are not installed.
        RtsegError: a model or a stream is not there.
    """
    try:
        from rtseg.serve.server import serve
    except ImportError as error:
        raise BackendUnavailable(
            f"serve: got no package {error.name}; expected the extra serve. pip install 'rtseg[serve]'"
        ) from error
    from rtseg.serve.options import Limits, ServeOptions, is_loopback

    token = request.token
    if token is None and not is_loopback(request.host):
        token = secrets.token_urlsafe(18)
    options = ServeOptions(
        host=request.host,
        port=request.port,
        token=token,
        streams=request.streams,
        source_options=key_values(request.source_options, what="--source-option"),
        model=request.model,
        effect=request.effect,
        backend=request.backend,
        precision=request.precision,
        limits=Limits(upload_mb=request.upload_mb, viewers=request.viewers),
    )

    def say(address: str) -> None:
        if not request.quiet or request.port == 0 or request.token is None is not token:
            sys.stdout.write(f"rtseg serves {address}  (Ctrl-C ends it)\n")
            sys.stdout.flush()

    serve(options, on_ready=say)
    return leave_at_once()


def leave_at_once() -> NoReturn:
    """End the process: everything is closed by now, and taking Python and the engines' libraries down takes a second.

    A model that is still being loaded, which nothing can stop, is left behind too: Ctrl-C means now.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)
