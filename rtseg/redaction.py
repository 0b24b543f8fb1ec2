"""Hiding what must not be shown: user names, passwords and tokens that are written into addresses.

Every address that goes into a log, an error, a metric, a page, a source's name or a file name passes through `redact`.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
"""What stands where something was hidden."""

_USER: Final = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*:/{1,2})(?P<user>(?!/)[^\s'\"<>]+)@")
"""Everything between `scheme://` and the last @ of the word: a password may hold any sign, even / and @."""

_SECRET_NAMES: Final = (
    r"pass|passwd|password|passphrase|pwd|psw|token|secret|sig|signature|auth|authorization|credential|session|jwt"
    r"|apikey|api_key|api-key|access_key|accesskey|key|streamid|streamkey|usr|user|username|login"
)
_QUERY: Final = re.compile(
    rf"(?P<name>[?&;](?:[\w.-]*[-_.])?(?:{_SECRET_NAMES})|[?&;]\w*(?:token|secret|password|signature))"
    r"=(?P<value>[^&#;\s'\"<>]*)",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(r"(?P<name>\b(?:proxy-)?authorization\s*[:=]\s*)(?P<value>[^\r\n'\"]+)", re.IGNORECASE)
_STREAM_KEY: Final = re.compile(
    r"(?P<before>\brtmp[a-z]*://[^\s'\"<>/]+/[^\s'\"<>/?]+/)(?P<key>[^\s'\"<>?]+)", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return a text in which no address shows a user, a password, a token or an RTMP stream key any more.

    Args:
        text: an address, or any text with addresses in it, such as a library's message. What is no secret stays as it
            is, so that host, port and path can still be recognised; a second pass changes nothing.
    """
    text = _USER.sub(lambda found: f"{found['scheme']}{HIDDEN}@", text)
    text = _STREAM_KEY.sub(lambda found: f"{found['before']}{HIDDEN}", text)
    text = _QUERY.sub(lambda found: f"{found['name']}={HIDDEN}", text)
    return _HEADER.sub(lambda found: f"{found['name']}{HIDDEN}", text)


def safe_name(text: str) -> str:
    """Return a short name made from an address, for file names and stats: no secret, only letters, digits and `-_.`.

    Args:
        text: an address; its scheme and query are left out, as is whatever `redact` hides.
    """
    shown = redact(text).partition("?")[0].partition("#")[0].replace(f"{HIDDEN}@", "").replace(HIDDEN, "")
    shown = shown.partition("://")[2] or shown
    return "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in shown).strip("-. ") or "stream"
