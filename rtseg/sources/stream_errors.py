"""What to say when a network stream does not open: each cause in words of its own, none with a credential.

FFmpeg knows the answer of a server that speaks; where it only says "Input/output error", host name, port and
certificate are looked at once more, one after the other, to find out which of them it was.
"""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final

import av

from rtseg.errors import DecodeError, SourceError
from rtseg.redaction import redact
from rtseg.sources.stream_address import StreamAddress

LOOK_SECONDS: Final = 3.0
"""How long one look at a host may take."""

_TIMED_OUT: Final = (errno.ETIMEDOUT, errno.EAGAIN)
_UNREACHABLE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


def open_error(
    address: StreamAddress,
    error: BaseException,
    *,
    waited_seconds: float,
    most_seconds: float,
    stopped: Callable[[], bool],
) -> SourceError:
    """Return what to say of an address that FFmpeg did not open.

    Args:
        address: where to.
        error: what PyAV raised.
        waited_seconds: how long the call took.
        most_seconds: how long it could have taken.
        stopped: whether the user has asked to end; then no more looks are taken.
    """
    answer = _answer(address, error)
    if answer is not None:
        return answer
    if stopped():
        return SourceError(f"opening {address}: got a stop; expected to go on. Start again.")
    ran_out = waited_seconds > 0.95 * most_seconds  # of a call that was ended, RTSP says "invalid data"
    if ran_out or isinstance(error, av.error.ExitError) or getattr(error, "errno", None) in _TIMED_OUT:
        found = look_at(address, stopped) if address.is_connected else None
        return found or _timeout(address, waited_seconds)
    found = None if not address.is_connected else look_at(address, stopped)
    return found or _other(address, error)


def lost_error(address: StreamAddress, error: BaseException | None) -> SourceError:
    """Return what to say of a stream that ended or broke off: the sender has gone, or the connection."""
    reason = "its end" if error is None else _words(error)
    return SourceError(f"stream {address}: got {reason}; expected it to go on. Is the sender still there?")


def no_decoder(address: StreamAddress, codec: str) -> DecodeError:
    """Return what to say of a stream in a codec that this FFmpeg has no decoder for."""
    return DecodeError(
        f"stream {address}: got video in {codec}, for which this FFmpeg has no decoder; expected a known codec. "
        "Set the camera to H.264 or H.265."
    )


def _answer(address: StreamAddress, error: BaseException) -> SourceError | None:
    """Return the error for an answer that a server gave, or that the operating system gave at once."""
    code = getattr(error, "errno", None)
    texts: list[tuple[bool, str]] = [
        (
            isinstance(error, av.error.HTTPUnauthorizedError),
            "got the answer 401, the user name or password is wrong or missing; expected access. "
            f"Write {address.scheme}://USER:PASSWORD@HOST/…",
        ),
        (
            isinstance(error, av.error.HTTPForbiddenError),
            "got the answer 403, this user may not see it; expected access. Use another user or address.",
        ),
        (
            isinstance(error, av.error.HTTPNotFoundError),
            "got the answer 404, there is no such stream on that server; expected one. Check the path.",
        ),
        (
            isinstance(error, av.error.HTTPError | av.error.HTTPClientError | av.error.HTTPServerError),
            f"got the answer {_words(error)}; expected a stream. Check the address and the server.",
        ),
        (
            code == errno.ECONNREFUSED,
            "got a connection that was refused; expected a server on that port. Check the port, start the server.",
        ),
        (code in _UNREACHABLE, "got no way to that host; expected a network to it. Check cable, Wi-Fi and address."),
        (
            isinstance(error, av.error.ProtocolNotFoundError),
            f"got the protocol {address.scheme}, which this FFmpeg lacks; expected another. {PROTOCOL_REMEDY}",
        ),
        (
            code == errno.EADDRINUSE,
            "got a port that another program listens on; expected a free one. End that program or take another port.",
        ),
        (
            code == errno.EADDRNOTAVAIL,
            "got an address that is none of this machine's; expected one to listen on. Try udp://0.0.0.0:PORT.",
        ),
        (
            isinstance(error, av.error.DecoderNotFoundError),
            "got a codec without a decoder; expected a known one. Set the camera to H.264 or H.265.",
        ),
    ]
    return next((SourceError(f"opening {address}: {text}") for applies, text in texts if applies), None)


PROTOCOL_REMEDY: Final = (
    "The wheels of PyAV have no SRT: pip install --no-binary av av against an FFmpeg with libsrt, "
    "or let ffmpeg or a gateway pass the stream on as RTSP or UDP."
)


def _timeout(address: StreamAddress, waited_seconds: float) -> SourceError:
    what = "no packet" if address.scheme == "udp" else "no answer"
    remedy = (
        "Is the sender sending to this address? Check port and firewall"
        if address.scheme == "udp"
        else "Check host, port and firewall, or wait longer: -s open_timeout=30"
    )
    return SourceError(
        f"opening {address}: got {what} within {waited_seconds:.1f} s (timeout); expected a stream. {remedy}."
    )


def _other(address: StreamAddress, error: BaseException) -> SourceError:
    if isinstance(error, av.error.InvalidDataError | EOFError):
        return SourceError(
            f"opening {address}: got something that is no video stream ({_words(error)}); "
            "expected one that FFmpeg can read. Check the address."
        )
    return SourceError(f"opening {address}: got {_words(error)}; expected a stream. Check the address.")


def _words(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(str(text)).lower()


# ---- a second look ------------------------------------------------------------------------------------------------


def look_at(address: StreamAddress, stopped: Callable[[], bool] = lambda: False) -> SourceError | None:
    """Try name, port and certificate of a host in turn and return the first trouble; None: none was found."""
    trouble = check_name(address, stopped)
    if trouble is not None or stopped():
        return trouble
    try:
        with socket.create_connection((address.host, address.port or 0), timeout=LOOK_SECONDS) as connection:
            return _check_tls(address, connection) if address.uses_tls else None
    except TimeoutError:
        return _timeout(address, LOOK_SECONDS)
    except OSError as error:
        return _answer(address, error)


def check_name(address: StreamAddress, stopped: Callable[[], bool]) -> SourceError | None:
    """Return the error for a host name that leads nowhere; None where it does, or where it is a number already.

    The system's resolver cannot be interrupted, so it is asked in a thread that is left behind when it hangs.
    """
    found: list[bool] = []

    def resolve() -> None:
        try:
            found.append(bool(socket.getaddrinfo(address.host, address.port)))
        except (OSError, UnicodeError):
            found.append(False)

    asking = threading.Thread(target=resolve, name="rtseg-resolve", daemon=True)
    asking.start()
    for _ in range(round(LOOK_SECONDS * 20)):
        asking.join(0.05)
        if found or stopped():
            break
    if found == [True] or stopped():
        return None
    why = "does not exist" if found else f"was not resolved within {LOOK_SECONDS:.0f} s"
    return SourceError(
        f"opening {address}: got a host name that {why} ({address.host}); expected one that DNS knows. "
        "Check the spelling and the network, or write the IP address."
    )


def _check_tls(address: StreamAddress, connection: socket.socket) -> SourceError | None:
    try:
        with ssl.create_default_context().wrap_socket(connection, server_hostname=address.host):
            return None
    except ssl.SSLCertVerificationError as error:
        return SourceError(
            f"opening {address}: got a TLS certificate that is not trusted ({error.verify_message}); expected a valid "
            "one. For a camera of your own with a certificate of its own: -s tls_verify=no."
        )
    except TimeoutError:
        return _timeout(address, LOOK_SECONDS)
    except OSError as error:  # also every SSLError
        reason = getattr(error, "reason", None) or error.strerror or "the connection was closed"
        return SourceError(
            f"opening {address}: got no TLS on that port ({str(reason).lower()}); expected an encrypted connection. "
            f"Try {address.scheme.removesuffix('s')}://"
        )
